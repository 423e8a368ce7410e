"""Authority: what a credential may do now.

permissions(user at resource) = the user's role + the grants on that resource;
authority = that AND the key's role AND the key's scopes AND the key's resource.
A key without role and scopes has all its user's authority.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from keywright.domain import resources
from keywright.domain.directory import SYSTEM_WORKSPACE, Grant, Owner
from keywright.domain.errors import Denied, Reason
from keywright.domain.keys import Narrowing
from keywright.domain.permissions import CROSSING, PermissionSet
from keywright.domain.roles import Role

NO_NARROWING = Narrowing()


@dataclass(frozen=True, slots=True)
class Authority:
    """The parts from which permissions follow, live."""

    workspace_id: str
    role: Role
    grants: Sequence[Grant] = ()
    narrowing: Narrowing = NO_NARROWING

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the user has: the key has no role, no scopes, no resource."""
        key = self.narrowing
        return key.role is None and not key.scopes and not key.resource

    def at(self, resource: str) -> PermissionSet:
        """What may be done at `resource` (empty: in the workspace as such).

        Raises:
            Denied: the key is bound to a resource, and none or another one was named.
        """
        self.check_bound(resource)
        permissions = self.role.permissions
        if grants := self.grants_at(resource):  # all at once: a user may have a thousand
            sets = (permissions, *(each.permissions for each in grants))
            permissions = PermissionSet(chain.from_iterable(each.patterns for each in sets))
        if self.narrowing.role is not None:
            permissions &= self.narrowing.role.permissions
        if self.narrowing.scopes:
            permissions &= PermissionSet(self.narrowing.scopes)
        return permissions

    def check_bound(self, resource: str) -> None:
        """The key is not bound to a resource, or to one that covers this.

        Raises:
            Denied: it is, and none or another one was named.
        """
        bound = self.narrowing.resource
        if bound and not resource:
            raise Denied(
                Reason.RESOURCE_REQUIRED,
                "the key is bound to a resource: say which resource is accessed",
            )
        if bound and not resources.covers(bound, resource):
            raise Denied(
                Reason.RESOURCE_MISMATCH, "the key is bound to another resource than this one"
            )

    def grants_at(self, resource: str) -> list[Grant]:
        """The grants that count at `resource`; none does in the workspace as such."""
        if not resource:
            return []
        return [each for each in self.grants if resources.covers(each.resource, resource)]

    def lacking(self, required: Iterable[str], permissions: PermissionSet) -> list[str]:
        """Those of `required` that are not among `permissions`.

        The permissions that cross workspaces count for users of `system` only: `*` means all *in
        its workspace*.
        """
        foreign = frozenset() if self.workspace_id == SYSTEM_WORKSPACE else CROSSING
        return sorted(
            each for each in set(required) if each in foreign or not permissions.allows(each)
        )


def authority_of(owner: Owner, narrowing: Narrowing = NO_NARROWING) -> Authority:
    """What a key of this user with this narrowing may do."""
    return Authority(owner.user.workspace_id, owner.user.role, owner.grants, narrowing)

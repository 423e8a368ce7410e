"""Roles: named sets of permissions, and the ones that every workspace has."""

from dataclasses import dataclass

from keywright.domain import permissions as p
from keywright.domain.permissions import PermissionSet


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions; `may_hold_keys` says whether its holders may hold keys."""

    role_id: str
    permissions: PermissionSet
    may_hold_keys: bool
    internal_id: int = 0
    built_in: bool = False


def _built_in(role_id: str, *patterns: str, may_hold_keys: bool = True) -> Role:
    return Role(role_id, PermissionSet(patterns), may_hold_keys, built_in=True)


WITHOUT_ROLE = Role("", PermissionSet(), may_hold_keys=True)
"""What stands in for the role of a resource's service user: nothing but grants gives it authority.
"""

_LABELER = (p.KEYS_OWN, "labels.*")
_COLLABORATOR = (*_LABELER, "projects.read", "datasets.read")
_VIEWER = ("projects.read", "datasets.read", "labels.read")

# The last three are meant for grants. The migrations write the same rows; a test compares the two.
BUILT_IN: tuple[Role, ...] = (
    _built_in("guest", may_hold_keys=False),
    _built_in("labeler", *_LABELER),
    _built_in("collaborator", *_COLLABORATOR),
    _built_in("member", *_LABELER, "projects.*", "datasets.*", p.USERS_READ, p.ROLES_READ),
    _built_in("admin", p.EVERYTHING),
    _built_in("authenticator", p.AUTHENTICATE),
    _built_in("viewer", *_VIEWER, may_hold_keys=False),
    _built_in(
        "editor",
        *_VIEWER,
        "projects.write",
        "datasets.write",
        "labels.write",
        may_hold_keys=False,
    ),
    _built_in("manager", "projects.*", "datasets.*", "labels.*", p.KEYS_BOUND, may_hold_keys=False),
)

"""What a new key may be given: no more than its creator's credential has, nor than its owner has.

Checked at creation only; what becomes of the creator later changes nothing (promise G7). That the
key never exceeds its owner follows from `Authority`, which starts from the owner's role each time.
"""

from collections.abc import Sequence
from datetime import datetime

from keywright.domain import permissions as p
from keywright.domain.authority import Authority
from keywright.domain.decision import Principal
from keywright.domain.directory import Grant, State, User, Workspace
from keywright.domain.errors import (
    Reason,
    ServiceError,
    invalid_field,
    permission_missing,
)
from keywright.domain.keys import (
    NETWORKS_MAX_COUNT,
    SCOPES_MAX_COUNT,
    Narrowing,
    Network,
)
from keywright.domain.resources import covers, is_resource


def check_form(narrowing: Narrowing) -> None:
    """The parts of a narrowing can be what they are meant to be.

    Raises:
        InvalidFields: names the part and what would be right.
    """
    if len(narrowing.scopes) > SCOPES_MAX_COUNT:
        raise invalid_field("key.scopes", f"must be at most {SCOPES_MAX_COUNT} patterns")
    for index, scope in enumerate(narrowing.scopes):
        if not p.is_pattern(scope):
            raise invalid_field(
                f"key.scopes[{index}]",
                "must be a permission such as datasets.read, or a pattern: datasets.* or *",
            )
    if len(set(narrowing.scopes)) < len(narrowing.scopes):
        raise invalid_field("key.scopes", "must not name a pattern twice")
    if narrowing.resource and not is_resource(narrowing.resource):
        raise invalid_field(
            "key.resource", "must be a path such as projects/abc without empty segments"
        )
    if len(narrowing.allowed_networks) > NETWORKS_MAX_COUNT:
        raise invalid_field("key.allowed_networks", f"must be at most {NETWORKS_MAX_COUNT}")


def check_owner(owner: User) -> None:
    """The owner can hold a key at all.

    Raises:
        ServiceError: a guest, or a disabled user.
    """
    if not owner.role.may_hold_keys:
        raise ServiceError(
            Reason.KEYS_NOT_ALLOWED,
            f"{owner.name} has the role {owner.role.role_id}, whose holders may not hold keys",
        )
    if owner.state is not State.ACTIVE:
        raise ServiceError(
            Reason.STATE_CONFLICT, f"{owner.name} is disabled: enable the user first"
        )


def check_environment(workspace: Workspace, environment: str) -> str:
    """The environment of the key: the one that was asked for, else the workspace's first."""
    if not environment:
        return workspace.environments[0]
    if environment not in workspace.environments:
        raise invalid_field(
            "key.environment",
            f"must be one of the workspace's environments: {', '.join(workspace.environments)}",
        )
    return environment


def check_creation(
    caller: Principal,
    owner: User,
    grants: Sequence[Grant],
    narrowing: Narrowing,
    expire_time: datetime | None,
) -> None:
    """The calling credential may create this key for this owner, who has these grants.

    Raises:
        ServiceError: CALLER_PERMISSION_MISSING, or AUTHORITY_EXCEEDED naming what exceeds.
    """
    own = owner.internal_id == caller.user.internal_id
    if not caller.may(p.KEYS_ANY) and not (own and caller.may(p.KEYS_OWN)):
        raise permission_missing(p.KEYS_OWN if own else p.KEYS_ANY)
    if narrowing.resource and not caller.may(p.KEYS_ANY):
        there = caller.credential.authority.at(narrowing.resource)
        if not there.allows(p.KEYS_BOUND):
            raise permission_missing(p.KEYS_BOUND)
    _check_permissions(caller, Authority(owner.workspace_id, owner.role, grants, narrowing))
    calling = caller.credential.key
    if calling.expire_time is not None and (
        expire_time is None or expire_time > calling.expire_time
    ):
        raise _exceeded(
            f"a key may not outlive the key that creates it, which expires at "
            f"{calling.expire_time.isoformat()}",
            "expire_time",
        )
    bounds = calling.narrowing.allowed_networks
    loose = [each for each in narrowing.allowed_networks if not _within(each, bounds)]
    if bounds and (loose or not narrowing.allowed_networks):
        raise _exceeded(
            "the key that creates it is bound to networks: give allowed_networks within "
            + ", ".join(map(str, bounds)),
            "allowed_networks",
        )


def _check_permissions(caller: Principal, wanted: Authority) -> None:
    """Wherever the key reaches, it may do at most what the calling credential may do there.

    Authority rises at the resources of grants and nowhere else, so these are all that there is to
    look at, besides the resource that the key is bound to, or the workspace as such.
    """
    having = caller.credential.authority
    role, bound = wanted.narrowing.role, wanted.narrowing.resource
    if role is not None and (above := having.at(bound).lacking(role.permissions.patterns)):
        raise _exceeded(f"the role {role.role_id} has {', '.join(above)}, which you lack", "role")
    granted = {each.resource for each in wanted.grants if not bound or covers(bound, each.resource)}
    for resource in sorted({bound, *granted}):
        if excess := having.at(resource).lacking(wanted.at(resource).patterns):
            raise _exceeded(
                f"the key would have {', '.join(excess)}"
                + (f" on {resource}" if resource else "")
                + ", which your credential lacks: narrow it with scopes or a role",
                "scopes",
            )


def _within(network: Network, bounds: tuple[Network, ...]) -> bool:
    return any(
        network.version == bound.version and network.subnet_of(bound)  # type: ignore[arg-type]
        for bound in bounds
    )


def _exceeded(message: str, field: str) -> ServiceError:
    return ServiceError(Reason.AUTHORITY_EXCEEDED, message, details={"field": f"key.{field}"})

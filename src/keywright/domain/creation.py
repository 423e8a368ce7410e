"""What a new key may be given: no more than its creator's credential has, nor than its owner has.

Checked when a key is created, widened or given a new token; what becomes of the creator later
changes nothing (promise G7). That a key never exceeds its owner later on follows from `Authority`,
which starts from the owner's role each time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.authority import Authority
from keywright.domain.decision import Principal
from keywright.domain.directory import Grant, KeyCreation, KeyPolicy, User, Workspace
from keywright.domain.errors import (
    Reason,
    ServiceError,
    authority_exceeded,
    invalid_field,
    permission_missing,
)
from keywright.domain.keys import (
    NETWORKS_MAX_COUNT,
    SCOPES_MAX_COUNT,
    Narrowing,
    Network,
)
from keywright.domain.permissions import PermissionSet
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
    if owner.state is not owner.state.ACTIVE:
        raise ServiceError(
            Reason.STATE_CONFLICT,
            f"{owner.name} is disabled: enable the user first",
            details={"state": owner.state},
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


def check_permission(caller: Principal, owner: User, resource: str, policy: KeyPolicy) -> None:
    """The caller may create a key of `owner` that is bound to `resource` (empty: to none).

    Raises:
        ServiceError: CALLER_PERMISSION_MISSING, or POLICY_CREATION_NOT_ALLOWED.
    """
    if caller.may(p.KEYS_ANY):
        return
    if owner.internal_id == caller.user.internal_id:
        if not caller.may(p.KEYS_OWN):
            raise permission_missing(p.KEYS_OWN)
        free = policy.free_binding
    else:
        if not access.manages_resource_of(caller, owner):
            raise permission_missing(p.KEYS_ANY)
        if not resource:
            raise invalid_field(
                "key.resource", f"must be {owner.resource} or below, which you manage"
            )
        free = False
    if resource and not free and not caller.may_at(resource, p.KEYS_BOUND):
        raise permission_missing(p.KEYS_BOUND)
    if policy.key_creation is KeyCreation.ADMINS:
        raise ServiceError(
            Reason.POLICY_CREATION_NOT_ALLOWED,
            "only administrators (keys.any) may create keys in this workspace",
        )


def check_within(
    caller: Principal,
    owner: User,
    grants: Sequence[Grant],
    narrowing: Narrowing,
    expire_time: datetime | None,
) -> None:
    """A key of this owner, who has these grants, exceeds neither the calling credential nor them.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED naming what exceeds.
    """
    check_role(caller, owner, grants, narrowing)
    check_authority(
        caller, Authority(owner.workspace_id, owner.role, grants, narrowing), "key.scopes"
    )
    calling = caller.credential.key
    _check_cap(calling.narrowing, narrowing)
    if calling.expire_time is not None and (
        expire_time is None or expire_time > calling.expire_time
    ):
        raise authority_exceeded(
            f"a key may not outlive the key that creates it, which expires at "
            f"{calling.expire_time.isoformat()}",
            "key.expire_time",
        )
    bounds = calling.narrowing.allowed_networks
    if bounds and not networks_within(narrowing.allowed_networks, bounds):
        raise authority_exceeded(
            "the key that creates it is bound to networks: give allowed_networks within "
            + ", ".join(map(str, bounds)),
            "key.allowed_networks",
        )


def check_role(
    caller: Principal, owner: User, grants: Sequence[Grant], narrowing: Narrowing
) -> None:
    """The role of a key is above neither the calling credential nor its owner.

    Above the owner it would promise what the key never has.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED.
    """
    role = narrowing.role
    if role is None:
        return
    whole = Authority(owner.workspace_id, owner.role, grants)
    for who, authority in (
        ("you lack", caller.credential.authority),
        ("the owner lacks", whole),
    ):
        if above := authority.at(narrowing.resource).lacking(role.permissions.patterns):
            raise authority_exceeded(
                f"the role {role.role_id} has {', '.join(above)}, which {who}", "key.role"
            )


def check_authority(caller: Principal, wanted: Authority, field: str) -> None:
    """Wherever `wanted` reaches, it may do at most what the calling credential may do there.

    Authority rises at the resources of grants and nowhere else, so these are all that there is to
    look at, besides the resource that it is bound to, or the workspace as such.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED naming what exceeds, and where.
    """
    having = caller.credential.authority
    bound = wanted.narrowing.resource
    granted = {each.resource for each in wanted.grants if not bound or covers(bound, each.resource)}
    for resource in sorted({bound, *granted}):
        if excess := having.at(resource).lacking(wanted.at(resource).patterns):
            raise authority_exceeded(
                f"it would have {', '.join(excess)}"
                + (f" on {resource}" if resource else "")
                + ", which your credential lacks",
                field,
            )


def networks_within(networks: Iterable[Network], bounds: Iterable[Network]) -> bool:
    """Whether who must be in `networks` is always in `bounds`; no networks are everywhere."""
    networks, bounds = tuple(networks), tuple(bounds)
    return not bounds or (
        networks != ()
        and all(
            any(
                network.version == bound.version and network.subnet_of(bound)  # type: ignore[arg-type]
                for bound in bounds
            )
            for network in networks
        )
    )


def cap(narrowing: Narrowing) -> PermissionSet:
    """The most that a key with this narrowing can ever do, whatever becomes of its owner."""
    most = PermissionSet([p.EVERYTHING])
    if narrowing.role is not None:
        most &= narrowing.role.permissions
    if narrowing.scopes:
        most &= PermissionSet(narrowing.scopes)
    return most


def _check_cap(calling: Narrowing, wanted: Narrowing) -> None:
    """A narrowed key makes no key that is less narrowed, not even one that would gain later."""
    if excess := cap(calling).lacking(cap(wanted).patterns):
        raise authority_exceeded(
            f"it could come to have {', '.join(excess)}, which the key that creates it never can: "
            "narrow it with scopes or a role",
            "key.scopes",
        )

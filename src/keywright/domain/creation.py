"""What a new key may be given: no more than its creator's credential has, nor than its owner has.

Checked when a key is created, widened or given a new token; what becomes of the creator later
changes nothing (promise G7). That a key never exceeds its owner later on follows from `Authority`,
which starts from the owner's role each time.
"""

from collections.abc import Iterable
from datetime import datetime

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.authority import NO_NARROWING, Authority, authority_of
from keywright.domain.decision import Principal
from keywright.domain.directory import KeyCreation, KeyPolicy, Owner, User, Workspace
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
from keywright.domain.sessions import Session


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
    caller: Principal, owner: Owner, narrowing: Narrowing, expire_time: datetime | None
) -> None:
    """A key of this owner exceeds neither the calling credential nor the owner.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED naming what exceeds.
    """
    check_role(caller, owner, narrowing)
    check_authority(caller, authority_of(owner, narrowing), "key.scopes")
    calling = caller.credential.record.narrowing
    _check_limits(calling, narrowing)
    ends = caller.credential.gives_until
    if ends is not None and (expire_time is None or expire_time > ends):
        what = "token that creates it"
        if isinstance(caller.credential.record, Session):
            what = "key that this session comes from"
        raise authority_exceeded(
            f"a key may not outlive the {what}, which ends at {ends.isoformat()}",
            "key.expire_time",
        )
    bounds = calling.allowed_networks
    if bounds and not networks_within(narrowing.allowed_networks, bounds):
        raise authority_exceeded(
            "the key that creates it is bound to networks: give allowed_networks within "
            + ", ".join(map(str, bounds)),
            "key.allowed_networks",
        )


def check_sign_in(caller: Principal, owner: Owner) -> None:
    """Who lets `owner` sign in could do itself, for good, all that a session of `owner` could.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED.
    """
    if caller.credential.record.narrowing != NO_NARROWING:
        raise authority_exceeded(
            "a narrowed key signs nobody in: a session is not narrowed", "user"
        )
    check_authority(caller, authority_of(owner), "user")


def check_role(caller: Principal, owner: Owner, narrowing: Narrowing) -> None:
    """The role of a key is above neither the calling credential nor its owner.

    Above the owner it would promise what the key never has.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED.
    """
    role = narrowing.role
    if role is None:
        return
    for who, permissions in (
        ("you lack", caller.permissions_at(narrowing.resource)),
        ("the owner lacks", authority_of(owner).at(narrowing.resource)),
    ):
        if above := permissions.lacking(role.permissions.patterns):
            raise authority_exceeded(
                f"the role {role.role_id} has {', '.join(above)}, which {who}", "key.role"
            )


def check_given(
    caller: Principal, what: str, permissions: Iterable[str], field: str, *, resource: str = ""
) -> None:
    """The caller has itself, on `resource` or throughout the workspace, what it gives with `what`.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED naming what it lacks.
    """
    having = caller.permissions_at(resource) if resource else caller.permissions
    if above := caller.credential.authority.lacking(permissions, having):
        raise authority_exceeded(
            f"{what} has {', '.join(above)}, which your credential lacks"
            + (f" on {resource}" if resource else ""),
            field,
        )


def check_authority(caller: Principal, wanted: Authority, field: str) -> None:
    """Wherever `wanted` reaches, it may do at most what the calling credential may do there.

    Authority rises at the resources of grants and nowhere else, so these are all that there is to
    look at, besides the resource that it is bound to, or the workspace as such.

    Raises:
        ServiceError: AUTHORITY_EXCEEDED naming what exceeds, and where.
    """
    bound = wanted.narrowing.resource
    granted = {each.resource for each in wanted.grants if not bound or covers(bound, each.resource)}
    for resource in sorted({bound, *granted}):
        if excess := caller.permissions_at(resource).lacking(wanted.at(resource).patterns):
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


def beyond(limits: Narrowing, wanted: Narrowing) -> list[str]:
    """What a key narrowed to `wanted` could come to have that one narrowed to `limits` never can.

    Whatever becomes of their owner. A role of the workspace's own may be edited, so that what is in
    it today is no bound; unless both are narrowed to it, and change together.
    """
    most = PermissionSet([p.EVERYTHING])
    if wanted.role is not None and wanted.role.built_in:
        most &= wanted.role.permissions
    if wanted.scopes:
        most &= PermissionSet(wanted.scopes)
    excess = set(PermissionSet(limits.scopes).lacking(most.patterns) if limits.scopes else ())
    if limits.role is not None and not _same_role(limits, wanted):
        excess |= set(limits.role.permissions.lacking(most.patterns))
    return sorted(excess)


def _same_role(one: Narrowing, other: Narrowing) -> bool:
    return (
        one.role is not None
        and other.role is not None
        and one.role.internal_id == other.role.internal_id
        and one.role.role_id == other.role.role_id
    )


def _check_limits(calling: Narrowing, wanted: Narrowing) -> None:
    """A narrowed key makes no key that is less narrowed, not even one that would gain later."""
    if excess := beyond(calling, wanted):
        raise authority_exceeded(
            f"it could come to have {', '.join(excess)}, which the key that creates it never can: "
            "narrow it with scopes or a role",
            "key.scopes",
        )

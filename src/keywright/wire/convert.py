"""Between messages and the domain's words. What cannot be converted names its field."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from keywright.domain.decision import Principal
from keywright.domain.directory import (
    NO_POLICY,
    GrantRecord,
    KeyPolicy,
    RoleRecord,
    State,
    User,
    UserKind,
    Workspace,
)
from keywright.domain.errors import Reason, ServiceError, invalid_field
from keywright.domain.keys import (
    Address,
    KeyAt,
    KeyState,
    Network,
    RateLimit,
    parse_address,
    parse_network,
)
from keywright.domain.names import RoleName, UserName
from keywright.domain.roles import WITHOUT_ROLE, Role
from keywright.domain.secret import Secret
from keywright.service.call import etag_of
from keywright.v1 import (
    grant_pb2,
    key_pb2,
    principal_pb2,
    rate_limit_pb2,
    role_pb2,
    user_pb2,
    workspace_pb2,
)

_NANOS_PER_SECOND = 10**9

# Every answer is read from the database itself: there is no replica's cache to wait for.
NOT_WAITED = Duration()


def refuse_unimplemented(request: Message, *fields: str) -> None:
    """Refuse a request that gives a field which this version does not honour.

    To ignore it would be to promise something else than was asked for.
    """
    for path in fields:
        *outer, last = path.split(".")
        message: Any = request
        for name in outer:
            message = getattr(message, name)
        if any(field.name == last for field, _ in message.ListFields()):
            raise ServiceError(
                Reason.FIELD_UNIMPLEMENTED,
                f"{path} is not implemented by this version of the server: leave it out",
                details={"field": path},
            )


def refuse_unknown(message: Message, path: str) -> None:
    """Refuse a message with fields that this version does not know, where none can be left out."""
    if len(UnknownFieldSet(message)):
        raise ServiceError(
            Reason.FIELD_UNIMPLEMENTED,
            f"{path} has a field that this version of the server does not know: leave it out",
            details={"field": path},
        )


def moment(message: Message, field: str, path: str) -> datetime | None:
    """A timestamp field; None if it is absent."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid_field(path, "must be a time between the years 1 and 9999") from None


def lifetime(message: Message, field: str, path: str) -> timedelta | None:
    """A duration field; None if it is absent."""
    if not message.HasField(field):
        return None
    value: Duration = getattr(message, field)
    if abs(value.nanos) >= _NANOS_PER_SECOND or value.seconds * value.nanos < 0:
        raise invalid_field(path, "must have nanos of less than a second, of the seconds' sign")
    try:
        return value.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid_field(path, "must be a duration of less than 10,000 years") from None


def timestamp(value: datetime | None) -> Timestamp | None:
    """A time, for a reply."""
    if value is None:
        return None
    message = Timestamp()
    message.FromDatetime(value)
    return message


def duration(value: timedelta | None) -> Duration | None:
    """A duration, for a reply."""
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """`key.allowed_networks`; an address alone is a network of one."""
    parsed = []
    for index, text in enumerate(texts):
        try:
            network = parse_network(text)
        except ValueError:
            raise invalid_field(
                f"key.allowed_networks[{index}]",
                "must be a network without host bits, such as 192.0.2.0/24 or 2001:db8::/32",
            ) from None
        parsed.append(network)
    return tuple(parsed)


def address(text: str, path: str) -> Address | None:
    """An IP address; None if it is empty."""
    if not text:
        return None
    try:
        return parse_address(text)
    except ValueError:
        raise invalid_field(path, "must be an IPv4 or IPv6 address") from None


def user_name(text: str, path: str) -> UserName | None:
    """A user's name; None if it is empty."""
    return UserName.parse(text, path) if text else None


def role_name(text: str, path: str) -> RoleName | None:
    """A role's name; None if it is empty."""
    return RoleName.parse(text, path) if text else None


def labels(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels to filter by."""
    return tuple(sorted(pairs.items()))


def key_states(values: Iterable[int]) -> frozenset[KeyState]:
    """The states that a filter names."""
    return frozenset(KeyState(key_pb2.KeyState.Name(each)[10:]) for each in values)  # type: ignore[arg-type]


def key(found: KeyAt) -> key_pb2.Key:
    """A key's record."""
    record = found.key
    parent = f"workspaces/{record.workspace_id}"
    return key_pb2.Key(
        name=str(record.name),
        display_name=record.display_name,
        user=f"{parent}/users/{record.owner.user_id}",
        user_email=record.owner.email,
        creator=f"{parent}/users/{record.creator.user_id}",
        creator_email=record.creator.email,
        creator_credential=record.creator_credential,
        role=_role(parent, record.narrowing.role),
        scopes=record.narrowing.scopes,
        resource=record.narrowing.resource,
        environment=record.environment,
        labels=record.labels,
        allowed_networks=map(str, record.narrowing.allowed_networks),
        rate_limit=rate_limit(record.rate_limit),
        prefix=record.prefix,
        retiring_prefix=record.retiring_prefix,
        retire_time=timestamp(record.retire_time),
        state=key_pb2.KeyState.Value(f"KEY_STATE_{found.state}"),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        expire_time=timestamp(record.expire_time),
        rotate_time=timestamp(record.rotate_time),
        revoke_time=timestamp(record.revoke_time),
        last_used_time=timestamp(record.last_used_time),
        last_used_address=record.last_used_address,
        etag=etag_of(record),
    )


def token(shown: Secret[str] | None) -> str:
    """A token, in the one reply that shows it; empty if there is none."""
    return "" if shown is None else shown.reveal()


def rate_limit(limit: RateLimit | None) -> rate_limit_pb2.RateLimit | None:
    """A key's rate limit, for a reply."""
    if limit is None:
        return None
    return rate_limit_pb2.RateLimit(requests=limit.requests, period=duration(limit.period))


def user(found: User) -> user_pb2.User:
    """A user."""
    return user_pb2.User(
        name=str(found.name),
        email=found.email or "",
        display_name=found.display_name,
        kind=user_pb2.UserKind.Value(f"USER_KIND_{found.kind}"),
        role=role_of(found),
        state=user_pb2.UserState.Value(f"USER_STATE_{found.state}"),
        external_id=found.external_id,
        resource=found.resource,
        labels=found.labels,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def role(found: RoleRecord) -> role_pb2.Role:
    """A role."""
    return role_pb2.Role(
        name=str(found.name),
        display_name=found.display_name,
        description=found.description,
        permissions=sorted(found.role.permissions.patterns),
        may_hold_keys=found.role.may_hold_keys,
        built_in=found.role.built_in,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def grant(found: GrantRecord) -> grant_pb2.Grant:
    """A grant."""
    return grant_pb2.Grant(
        name=str(found.name),
        user=str(found.user.name),
        user_email=found.user.email or "",
        resource=found.resource,
        role=_role(f"workspaces/{found.workspace_id}", found.role),
        creator=found.creator,
        create_time=timestamp(found.create_time),
    )


def workspace(found: Workspace) -> workspace_pb2.Workspace:
    """A workspace. A policy that asks nothing is left out."""
    catalog = found.permission_catalog
    return workspace_pb2.Workspace(
        name=str(found.name),
        display_name=found.display_name,
        state=workspace_pb2.WorkspaceState.Value(f"WORKSPACE_STATE_{found.state}"),
        policy=None if found.key_policy == NO_POLICY else policy(found.key_policy),
        environments=found.environments,
        permission_catalog=None
        if catalog is None
        else workspace_pb2.PermissionCatalog(
            entries=[
                workspace_pb2.PermissionEntry(permission=each, description=catalog[each])
                for each in sorted(catalog)
            ]
        ),
        labels=found.labels,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def policy(found: KeyPolicy) -> workspace_pb2.KeyPolicy:
    """What a workspace asks of its keys."""
    return workspace_pb2.KeyPolicy(
        max_ttl=duration(found.max_ttl),
        default_ttl=duration(found.default_ttl),
        expiry_required=found.expiry_required,
        max_keys_per_user=found.max_keys_per_user or 0,
        key_creation=workspace_pb2.KeyCreation.Value(f"KEY_CREATION_{found.key_creation}"),
        free_binding=found.free_binding,
        rotation_reminder=duration(found.rotation_reminder),
    )


def user_kind(value: int) -> UserKind:
    """A user's kind; a person unless a service is asked for."""
    return UserKind.SERVICE if value == user_pb2.USER_KIND_SERVICE else UserKind.HUMAN


def user_states(values: Iterable[int]) -> frozenset[State]:
    """The states that a filter names."""
    return frozenset(State(user_pb2.UserState.Name(each)[11:]) for each in values)  # type: ignore[arg-type]


def principal_user(principal: Principal) -> principal_pb2.PrincipalUser:
    """Whose authority it is."""
    found = principal.user
    return principal_pb2.PrincipalUser(
        name=str(found.name),
        email=found.email or "",
        display_name=found.display_name,
        kind=user_pb2.UserKind.Value(f"USER_KIND_{found.kind}"),
        external_id=found.external_id,
        labels=found.labels,
    )


def credential(principal: Principal) -> principal_pb2.Credential:
    """What was presented."""
    record = principal.credential.key
    return principal_pb2.Credential(
        name=str(record.name),
        display_name=record.display_name,
        labels=record.labels,
        kind=principal_pb2.CREDENTIAL_KIND_KEY,
    )


def role_of(found: User) -> str:
    """The name of a user's role; empty for a service user of a resource."""
    return _role(f"workspaces/{found.workspace_id}", found.role)


def _role(parent: str, of: Role | None) -> str:
    return "" if of in (None, WITHOUT_ROLE) else f"{parent}/roles/{of.role_id}"

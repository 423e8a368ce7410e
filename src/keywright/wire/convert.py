"""Between messages and the domain's words. What cannot be converted names its field."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from keywright.domain.directory import (
    State,
    UserKind,
)
from keywright.domain.errors import Reason, ServiceError, invalid_field
from keywright.domain.keys import (
    Address,
    KeyState,
    Network,
    parse_address,
    parse_network,
)
from keywright.domain.names import RoleName, UserName
from keywright.domain.permissions import is_permission
from keywright.domain.resources import RESOURCE_MAX_LENGTH, is_resource
from keywright.domain.sessions import SessionState
from keywright.domain.token import is_environment
from keywright.v1 import (
    key_pb2,
    session_pb2,
    user_pb2,
)

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_NANOS_PER_SECOND = 10**9


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


def permission(text: str, path: str) -> str:
    """One permission."""
    if not is_permission(text):
        raise invalid_field(path, "must be a permission such as datasets.read, not a pattern")
    return text


def resource(text: str, path: str) -> str:
    """A resource of an application; may be empty."""
    if text and not is_resource(text):
        raise invalid_field(
            path,
            f"must be a path such as projects/abc, of at most {RESOURCE_MAX_LENGTH} characters, "
            "without empty segments or control characters",
        )
    return text


def environment(text: str, path: str) -> str:
    """An environment; may be empty."""
    if text and not is_environment(text):
        raise invalid_field(path, "must be an environment such as live")
    return text


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


def session_states(values: Iterable[int]) -> frozenset[SessionState]:
    """The states that a filter names."""
    return frozenset(SessionState(session_pb2.SessionState.Name(each)[14:]) for each in values)  # type: ignore[arg-type]


def user_kind(value: int) -> UserKind:
    """A user's kind; a person unless a service is asked for."""
    return UserKind.SERVICE if value == user_pb2.USER_KIND_SERVICE else UserKind.HUMAN


def user_states(values: Iterable[int]) -> frozenset[State]:
    """The states that a filter names."""
    return frozenset(State(user_pb2.UserState.Name(each)[11:]) for each in values)  # type: ignore[arg-type]

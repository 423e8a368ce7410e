"""What calls return: frozen, in Python's own types. Fields are as in protos/keywright/v1.

Times are aware, in UTC. An enum member `UNKNOWN` is a value that is newer than this client.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from keywright.sdk.credentials import Secret

Result = TypeVar("Result")


class KeyState(StrEnum):
    """Whether a key stands. `REVOKED` is final."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class UserKind(StrEnum):
    """A person or a program."""

    UNKNOWN = "UNKNOWN"
    HUMAN = "HUMAN"
    SERVICE = "SERVICE"


class UserState(StrEnum):
    """Whether a user may act; no credential of a disabled one stands."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class CredentialKind(StrEnum):
    """What was presented."""

    UNKNOWN = "UNKNOWN"
    KEY = "KEY"
    SSH_KEY = "SSH_KEY"
    SESSION = "SESSION"


class _Named:
    """A resource; its id is the last part of its name."""

    __slots__ = ()
    name: str

    @property
    def id(self) -> str:
        """The last part of `name`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in each period."""

    requests: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Key(_Named):
    """The record of an API key; never its token."""

    name: str
    display_name: str
    user: str
    user_email: str
    creator: str
    creator_email: str
    role: str
    scopes: tuple[str, ...]
    resource: str
    environment: str
    labels: Mapping[str, str]
    allowed_networks: tuple[str, ...]
    rate_limit: RateLimit | None
    prefix: str
    state: KeyState
    create_time: datetime | None
    update_time: datetime | None
    expire_time: datetime | None
    rotate_time: datetime | None
    revoke_time: datetime | None
    last_used_time: datetime | None
    last_used_address: str
    etag: str


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key and its token, which is shown this once; `token.reveal()` gives it."""

    key: Key
    token: Secret
    revision: str


@dataclass(frozen=True, slots=True)
class User(_Named):
    """Someone or something that acts in a workspace."""

    name: str
    email: str
    display_name: str
    kind: UserKind
    role: str
    state: UserState
    external_id: str
    labels: Mapping[str, str]
    create_time: datetime | None
    update_time: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class PrincipalUser(_Named):
    """The user that a credential proves, as it is at this moment."""

    name: str
    email: str
    display_name: str
    kind: UserKind
    external_id: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credential(_Named):
    """What was proven."""

    name: str
    display_name: str
    labels: Mapping[str, str]
    kind: CredentialKind


@dataclass(frozen=True, slots=True)
class Principal:
    """Who presents a token, and what they may do.

    `permissions` are patterns and alone are authority: `a.*` covers `a.b` and `a.b.c` but not `a`,
    `*` covers all. `role` only informs: a narrowed key still shows its user's role. The answer may
    not be used at or after `expire_time`.
    """

    workspace: str
    user: PrincipalUser
    credential: Credential
    environment: str
    role: str
    permissions: tuple[str, ...]
    scopes: tuple[str, ...]
    resource: str
    allowed_networks: tuple[str, ...]
    rate_limit: RateLimit | None
    expire_time: datetime | None
    revision: str


_CONTAINERS: Mapping[Any, Callable[[Any], Any]] = {tuple: tuple, Mapping: dict}


def read(kind: type[Result], message: Any) -> Result:
    """A message as the result type `kind`, whose fields are among its own."""
    hints = _hints(cast("Hashable", kind))
    return kind(**{field: _value(message, field, hint) for field, hint in hints.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(message: Any, field: str, hint: Any) -> Any:
    value = getattr(message, field)
    if isinstance(hint, UnionType):
        return _convert(value, get_args(hint)[0]) if message.HasField(field) else None
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member(hint, message.DESCRIPTOR.fields_by_name[field].enum_type, value)
    return _convert(value, hint)


def _convert(value: Any, hint: Any) -> Any:
    if hint is datetime:
        return value.ToDatetime(tzinfo=UTC)
    if hint is timedelta:
        return value.ToTimedelta()
    if is_dataclass(hint) and isinstance(hint, type):
        return read(hint, value)
    container = _CONTAINERS.get(get_origin(hint))
    return value if container is None else container(value)


def _member(kind: type[StrEnum], enum: Any, number: int) -> StrEnum:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    known = enum.values_by_number.get(number)
    name = "" if known is None else known.name.removeprefix(prefix)
    return kind.__members__.get(name, kind("UNKNOWN"))

"""What calls return: frozen, in Python's own types. Fields are as in protos/keywright/v1.

Times are aware, in UTC. An enum member `UNKNOWN` is a value that is newer than this client.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keywright.sdk.connection.credentials import Secret


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


class WorkspaceState(StrEnum):
    """Whether a workspace is in use; no credential of a disabled one stands."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class KeyCreation(StrEnum):
    """Who may create keys of their own: who has `keys.own`, or only who has `keys.any`."""

    UNKNOWN = "UNKNOWN"
    EVERYONE = "EVERYONE"
    ADMINS = "ADMINS"
    UNSPECIFIED = EVERYONE  # the contract says so of a policy that says nothing


class UsageInterval(StrEnum):
    """How long the time is that a point of usage covers; days are those of UTC."""

    UNKNOWN = "UNKNOWN"
    HOUR = "HOUR"
    DAY = "DAY"
    UNSPECIFIED = HOUR


class CredentialKind(StrEnum):
    """What was presented."""

    UNKNOWN = "UNKNOWN"
    KEY = "KEY"
    SSH_KEY = "SSH_KEY"
    SESSION = "SESSION"


class Named:
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
class Key(Named):
    """The record of an API key; never its token."""

    name: str
    display_name: str
    user: str
    user_email: str
    creator: str
    creator_email: str
    creator_credential: str
    role: str
    scopes: tuple[str, ...]
    resource: str
    environment: str
    labels: Mapping[str, str]
    allowed_networks: tuple[str, ...]
    rate_limit: RateLimit | None
    prefix: str
    retiring_prefix: str
    retire_time: datetime | None
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
class EnsuredKey:
    """A key that is there now; its token only if this call has created it."""

    key: Key
    token: Secret | None
    created: bool
    revision: str


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A key and its new token, which is shown this once; `token.reveal()` gives it.

    The old one, `key.retiring_prefix`, stands until `key.retire_time`. `waited` is how long it took
    until no replica could act on the old state any more.
    """

    key: Key
    token: Secret
    revision: str
    waited: timedelta


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """Why a key was not imported; `reason` is from the same list as that of an error."""

    reason: str
    message: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of an `ImportItem`: a key, or why there is none."""

    key: Key | None
    error: ImportFailure | None


@dataclass(frozen=True, slots=True)
class User(Named):
    """Someone or something that acts in a workspace."""

    name: str
    email: str
    display_name: str
    kind: UserKind
    role: str
    state: UserState
    external_id: str
    resource: str
    labels: Mapping[str, str]
    create_time: datetime | None
    update_time: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class Role(Named):
    """A named set of permissions, as patterns."""

    name: str
    display_name: str
    description: str
    permissions: tuple[str, ...]
    may_hold_keys: bool
    built_in: bool
    create_time: datetime | None
    update_time: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class Grant(Named):
    """Adds a role's permissions to a user, on a resource and everything below it."""

    name: str
    user: str
    user_email: str
    resource: str
    role: str
    creator: str
    create_time: datetime | None


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a workspace asks of its keys; with nothing given it asks nothing.

    Attributes:
        max_ttl: the longest that a key may live. None: 25 weeks if `expiry_required`, else any.
        default_ttl: how long a key lives whose creation does not say.
        expiry_required: whether every key must expire.
        max_keys_per_user: of those that are neither revoked nor expired; 0 is without limit.
        key_creation: who may create keys of their own.
        free_binding: whether everyone who may create a key may bind it to a resource.
        rotation_reminder: after how long without a rotation people are reminded. None: never.
    """

    max_ttl: timedelta | None = None
    default_ttl: timedelta | None = None
    expiry_required: bool = False
    max_keys_per_user: int = 0
    key_creation: KeyCreation = KeyCreation.EVERYONE
    free_binding: bool = False
    rotation_reminder: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Workspace(Named):
    """The tenant. `environments` begins with the default.

    `permission_catalog` has a description for each permission of its applications, and every other
    is refused; None: permissions are free.
    """

    name: str
    display_name: str
    state: WorkspaceState
    policy: KeyPolicy
    environments: tuple[str, ...]
    permission_catalog: Mapping[str, str] | None
    labels: Mapping[str, str]
    create_time: datetime | None
    update_time: datetime | None
    etag: str


@dataclass(frozen=True, slots=True)
class CreatedWorkspace:
    """A new workspace, and its first admin if one was named."""

    workspace: Workspace
    admin: User | None
    revision: str


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """How often a key was used in the hour or day that begins at `start_time`.

    `key` is empty where it is the sum of all keys; `denials` are by reason, `KEY_EXPIRED`.
    """

    key: str
    start_time: datetime
    allowed_count: int
    denials: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PrincipalUser(Named):
    """The user that a credential proves, as it is at this moment."""

    name: str
    email: str
    display_name: str
    kind: UserKind
    external_id: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credential(Named):
    """What was proven."""

    name: str
    display_name: str
    labels: Mapping[str, str]
    kind: CredentialKind


@dataclass(frozen=True, slots=True)
class Principal:
    """Who presents a token, and what they may do.

    `permissions` are patterns and alone are authority: `a.*` covers `a.b` and `a.b.c` but not `a`,
    `*` covers all. `role` only informs: it is the user's, and a key that is narrowed, by a role,
    scopes or a resource of its own, has not its user's `whole_authority`. The answer may not be
    used at or after `expire_time`.
    """

    workspace: str
    user: PrincipalUser
    credential: Credential
    environment: str
    role: str
    whole_authority: bool
    permissions: tuple[str, ...]
    scopes: tuple[str, ...]
    resource: str
    allowed_networks: tuple[str, ...]
    rate_limit: RateLimit | None
    expire_time: datetime | None
    revision: str

    def may(self, permission: str) -> bool:
        """Whether this permission, no pattern, is covered by `permissions`."""
        return covered(permission, self.permissions)


def covered(permission: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns covers a permission."""
    return any(
        pattern in {permission, "*"}
        or (pattern.endswith(".*") and permission.startswith(pattern[:-1]))
        for pattern in patterns
    )

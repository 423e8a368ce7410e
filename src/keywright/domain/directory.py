"""Workspaces, users and grants: who there is, and what they were given."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from keywright.domain.names import RoleName, UserName
from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import Role

SYSTEM_WORKSPACE = "system"


class State(StrEnum):
    """Whether a user or a workspace may act."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class UserKind(StrEnum):
    """A person, or a program."""

    HUMAN = "HUMAN"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a workspace asks of its keys. The default asks nothing.

    A policy that requires expiry has a maximum of 25 weeks unless it sets one.
    """

    max_ttl: timedelta | None = None
    default_ttl: timedelta | None = None
    expiry_required: bool = False
    max_keys_per_user: int | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant."""

    workspace_id: str
    state: State
    environments: tuple[str, ...]
    key_policy: KeyPolicy = KeyPolicy()
    permission_catalog: tuple[str, ...] | None = None
    internal_id: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role adds to a user on one resource."""

    resource: str
    permissions: PermissionSet


@dataclass(frozen=True, slots=True)
class User:
    """Someone or something that acts. `version` rises with every change (it makes the etag)."""

    workspace_id: str
    user_id: str
    kind: UserKind
    state: State
    role: Role
    email: str | None
    display_name: str
    external_id: str
    labels: dict[str, str] = field(default_factory=dict)
    create_time: datetime | None = None
    update_time: datetime | None = None
    version: int = 1
    internal_id: int = 0

    @property
    def name(self) -> UserName:
        """The resource name."""
        return UserName(self.workspace_id, self.user_id)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users to list; empty asks nothing."""

    states: frozenset[State] = frozenset()
    kinds: frozenset[UserKind] = frozenset()
    role: RoleName | None = None
    external_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    search: str = ""

    @property
    def role_id(self) -> str:
        """The id of the role that is asked for."""
        return "" if self.role is None else self.role.role

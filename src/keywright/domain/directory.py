"""Workspaces, users, roles and grants: who there is, and what they were given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from keywright.domain.names import GrantName, RoleName, UserName, WorkspaceName
from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import Role

SYSTEM_WORKSPACE = "system"
DEFAULT_ENVIRONMENTS = ("live", "test")


class State(StrEnum):
    """Whether a user or a workspace may act."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class UserKind(StrEnum):
    """A person, or a program."""

    HUMAN = "HUMAN"
    SERVICE = "SERVICE"


class KeyCreation(StrEnum):
    """Who may create keys of their own: whoever has `keys.own`, or only who has `keys.any`."""

    EVERYONE = "EVERYONE"
    ADMINS = "ADMINS"


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a workspace asks of its keys. The default asks nothing.

    A policy that requires expiry has a maximum of 25 weeks unless it sets one.
    """

    max_ttl: timedelta | None = None
    default_ttl: timedelta | None = None
    expiry_required: bool = False
    max_keys_per_user: int | None = None
    key_creation: KeyCreation = KeyCreation.EVERYONE
    free_binding: bool = False
    rotation_reminder: timedelta | None = None


NO_POLICY = KeyPolicy()


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant. `permission_catalog` maps permissions to what they permit, for people."""

    workspace_id: str
    state: State
    environments: tuple[str, ...]
    key_policy: KeyPolicy = NO_POLICY
    permission_catalog: Mapping[str, str] | None = None
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    create_time: datetime | None = None
    update_time: datetime | None = None
    version: int = 1
    internal_id: int = 0

    @property
    def name(self) -> WorkspaceName:
        """The resource name."""
        return WorkspaceName(self.workspace_id)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role adds to a user on one resource.

    A decision needs no more than the first two; the public ids are there where it is explained.
    """

    resource: str
    permissions: PermissionSet
    role_internal_id: int = 0
    grant_id: str = ""
    role_id: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Someone or something that acts. `version` rises with every change (it makes the etag).

    With a `resource` it is a service user of that resource: without a role (`WITHOUT_ROLE`), so
    that its only authority is what grants give it there.
    """

    workspace_id: str
    user_id: str
    kind: UserKind
    state: State
    role: Role
    email: str | None
    display_name: str
    external_id: str
    resource: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    create_time: datetime | None = None
    update_time: datetime | None = None
    version: int = 1
    internal_id: int = 0

    @property
    def name(self) -> UserName:
        """The resource name."""
        return UserName(self.workspace_id, self.user_id)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user with all its grants: whose authority the user's keys have."""

    user: User
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """A role with what people are told of it. Built-in ones are in every workspace."""

    workspace_id: str
    role: Role
    display_name: str
    description: str
    create_time: datetime
    update_time: datetime
    version: int

    @property
    def name(self) -> RoleName:
        """The resource name."""
        return RoleName(self.workspace_id, self.role.role_id)


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant as a resource of its own: who has which role where, and who gave it."""

    workspace_id: str
    grant_id: str
    user: User
    resource: str
    role: Role
    creator: str
    create_time: datetime
    internal_id: int

    @property
    def name(self) -> GrantName:
        """The resource name."""
        return GrantName(self.workspace_id, self.grant_id)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users to list; empty asks nothing."""

    states: frozenset[State] = frozenset()
    kinds: frozenset[UserKind] = frozenset()
    role: RoleName | None = None
    external_id: str = ""
    resource: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    search: str = ""

    @property
    def role_id(self) -> str:
        """The id of the role that is asked for."""
        return "" if self.role is None else self.role.role

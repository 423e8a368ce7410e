"""What admins do with users: create, get, list, disable, enable."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from keywright.domain import permissions as p
from keywright.domain.directory import State, User, UserFilter, UserKind
from keywright.domain.errors import (
    NotFound,
    Reason,
    ServiceError,
    invalid_field,
)
from keywright.domain.identity import mint_id
from keywright.domain.names import ID_RULE, RoleName, UserName, WorkspaceName, is_id
from keywright.domain.position import Position
from keywright.domain.roles import Role
from keywright.domain.text import (
    check_display_name,
    check_email,
    check_external_id,
    check_labels,
)
from keywright.domain.token import Entropy
from keywright.service.call import Call, check_etag
from keywright.service.visibility import visible_role
from keywright.storage.authority import Change, ChangeKind
from keywright.storage.database import Database, Writes
from keywright.storage.users import NewUser

DEFAULT_ROLE = "guest"


@dataclass(frozen=True, slots=True)
class UserSpec:
    """What a caller asks of a new user. Empty is: the default."""

    user_id: str = ""
    kind: UserKind = UserKind.HUMAN
    role: RoleName | None = None
    email: str = ""
    display_name: str = ""
    external_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangedUser:
    """A user after a change, and the position of the change."""

    user: User
    position: Position


@dataclass(frozen=True, slots=True)
class Users:
    """The use cases of users."""

    database: Database
    entropy: Entropy

    async def create(self, call: Call, parent: WorkspaceName, spec: UserSpec) -> ChangedUser:
        """Create a user with a role that is at most the caller's own authority."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.USERS_MANAGE)
        _check_form(spec)
        user_id = spec.user_id or mint_id(self.entropy)

        async def transaction(writes: Writes) -> ChangedUser:
            confirmed = await call.hold(writes)
            confirmed.require(p.USERS_MANAGE)
            workspace = await writes.read.workspaces.get(parent.workspace)
            if workspace is None:
                raise NotFound(str(parent))
            wanted = spec.role or RoleName(parent.workspace, DEFAULT_ROLE)
            role = await visible_role(writes.read, confirmed, wanted)
            _check_role(confirmed, role)
            await writes.users.insert(
                workspace.internal_id,
                NewUser(
                    user_id=user_id,
                    kind=spec.kind,
                    role=role,
                    email=spec.email or None,
                    display_name=spec.display_name,
                    external_id=spec.external_id,
                    labels=spec.labels,
                ),
            )
            created = await writes.read.users.get(parent.workspace, user_id)
            assert created is not None, "inserted above, in the same transaction"  # noqa: S101
            await writes.audit.insert(
                confirmed.event("CreateUser", created.name, after=_described(created))
            )
            return ChangedUser(created, await writes.authority.position())

        return await self.database.writing(transaction, within=call.remaining())

    async def get(self, call: Call, name: UserName) -> User:
        """One user: oneself, or any for who may read users."""
        call.in_workspace(name.workspace, name)
        async with self.database.reading() as reads:
            user = await reads.users.get(name.workspace, name.user)
        me = call.caller.user.internal_id
        if user is None or not (user.internal_id == me or call.caller.may(p.USERS_READ)):
            raise NotFound(str(name))
        return user

    async def list(
        self, call: Call, parent: WorkspaceName, only: UserFilter, *, after: int | None, limit: int
    ) -> Sequence[User]:
        """Users, newest first."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.USERS_READ)
        async with self.database.reading() as reads:
            if only.role is not None:
                await visible_role(reads, call, only.role)
            return await reads.users.list(parent.workspace, only, after=after, limit=limit)

    async def disable(self, call: Call, name: UserName, *, etag: str = "") -> ChangedUser:
        """Disable a user: all its keys are dead when this returns. Never the last admin."""
        return await self._set_state(call, name, etag, State.DISABLED)

    async def enable(self, call: Call, name: UserName, *, etag: str = "") -> ChangedUser:
        """Enable a user again, and with it its keys that stand by themselves."""
        return await self._set_state(call, name, etag, State.ACTIVE)

    async def _set_state(self, call: Call, name: UserName, etag: str, state: State) -> ChangedUser:
        """The transaction that changes a user's state (DESIGN section 5).

        1. Find the user. 2. Lock what the decision rests on, in `LOCK_ORDER`; the workspace too,
        so that two admins cannot disable each other at once. 3. Check the caller, and read the
        user, again. 4. Write, with the audit event. 5. Advance the history. 6. Commit.
        """
        call.in_workspace(name.workspace, name)
        call.require(p.USERS_MANAGE)

        async def transaction(writes: Writes) -> ChangedUser:
            workspace = await writes.read.workspaces.get(name.workspace)
            found = await writes.read.users.get(name.workspace, name.user)
            if workspace is None or found is None:
                raise NotFound(str(name))
            caller = call.caller.credential
            await writes.authority.lock(
                workspaces=[workspace.internal_id],
                users=[caller.user.internal_id, found.internal_id],
                keys=[caller.key.internal_id],
            )
            confirmed = await call.confirm(writes)
            confirmed.require(p.USERS_MANAGE)
            user = await writes.read.users.get(name.workspace, found.user_id)
            if user is None:
                raise NotFound(str(name))
            check_etag(etag, user.version)
            if user.state is state:
                return ChangedUser(user, await writes.authority.position())
            if state is State.DISABLED:
                await _check_not_last_admin(writes, user)
            await writes.users.set_state(user.internal_id, state)
            await writes.audit.insert(
                confirmed.event(
                    "DisableUser" if state is State.DISABLED else "EnableUser",
                    user.name,
                    before={"state": user.state},
                    after={"state": state},
                )
            )
            after = await writes.read.users.get(name.workspace, user.user_id)
            assert after is not None, "locked above"  # noqa: S101
            change = Change(ChangeKind.USER, user.internal_id)
            return ChangedUser(after, await writes.authority.advance([change]))

        return await self.database.writing(transaction, within=call.remaining())


def _check_form(spec: UserSpec) -> None:
    if spec.user_id and not is_id(spec.user_id):
        raise invalid_field("user_id", f"must be {ID_RULE}")
    if spec.email:
        check_email(spec.email, "user.email")
    check_display_name(spec.display_name, "user.display_name")
    check_external_id(spec.external_id, "user.external_id")
    check_labels(spec.labels, "user.labels")


def _check_role(call: Call, role: Role) -> None:
    above = call.caller.permissions.lacking(role.permissions.patterns)
    if above:
        raise ServiceError(
            Reason.AUTHORITY_EXCEEDED,
            f"the role {role.role_id} has {', '.join(above)}, which your credential lacks",
            details={"field": "user.role"},
        )


async def _check_not_last_admin(writes: Writes, user: User) -> None:
    if not user.role.permissions.allows(p.EVERYTHING):
        return
    if not await writes.read.users.other_admin_exists(user.workspace_id, user.internal_id):
        raise ServiceError(
            Reason.LAST_ADMIN,
            f"{user.name} is the last active admin of the workspace: make another one first",
        )


def _described(user: User) -> dict[str, object]:
    """A user as the audit trail keeps it."""
    return {
        "kind": user.kind,
        "state": user.state,
        "role": user.role.role_id,
        "email": user.email,
        "display_name": user.display_name,
        "external_id": user.external_id,
        "labels": user.labels,
    }

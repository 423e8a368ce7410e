"""What admins do with users, and who manages a resource with its service users."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from keywright.domain import access, creation
from keywright.domain import permissions as p
from keywright.domain.authority import authority_of
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import State, User, UserFilter
from keywright.domain.errors import (
    NotFound,
    Reason,
    ServiceError,
    invalid_field,
    permission_missing,
)
from keywright.domain.identity import mint_id
from keywright.domain.keys import KeyState
from keywright.domain.listing import Listed
from keywright.domain.names import (
    GrantName,
    KeyName,
    RoleName,
    SessionName,
    UserName,
    WorkspaceName,
)
from keywright.domain.roles import WITHOUT_ROLE, Role
from keywright.domain.sessions import SessionState
from keywright.domain.token import Entropy
from keywright.service.admins import check_admin_remains, is_admin
from keywright.service.call import Call, ConfirmedCall, altered, check_etag
from keywright.service.mutation import Committed, Mutated, changing, creating
from keywright.service.user_requests import UserSpec, UserUpdate, check_form, described
from keywright.service.visibility import is_named, visible_role, visible_user
from keywright.storage.authority import Change
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.users import NewUser

DEFAULT_ROLE = "guest"
_TAKEN = frozenset({"display_name", "external_id", "labels"})
_NAMED_MAX_COUNT = 5


@dataclass(frozen=True, slots=True)
class Users:
    """The use cases of users."""

    database: Database
    entropy: Entropy

    async def create(self, call: Call, parent: WorkspaceName, spec: UserSpec) -> Committed[User]:
        """Create a user with a role that is at most the caller's own authority.

        With `resource`: a service user of that resource, without a role; who manages the resource
        may, too.
        """
        call.in_workspace(parent.workspace, parent)
        _may_create(call, spec)
        check_form(spec)
        user_id = spec.user_id or mint_id(self.entropy)

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[User]:
            _may_create(confirmed, spec)
            role = WITHOUT_ROLE
            if not spec.resource:
                wanted = spec.role or RoleName(parent.workspace, DEFAULT_ROLE)
                role = await visible_role(writes.read, confirmed, wanted)
                _check_role(confirmed, role)
            await writes.users.insert(
                confirmed.workspace.internal_id,
                NewUser(
                    user_id=user_id,
                    kind=spec.kind,
                    role=role,
                    email=spec.email or None,
                    display_name=spec.display_name,
                    external_id=spec.external_id,
                    labels=spec.labels,
                    resource=spec.resource,
                ),
            )
            created = await _again(writes.read, parent.workspace, user_id)
            await writes.audit.insert(
                confirmed.event("CreateUser", created.name, after=described(created))
            )
            return Mutated(created, confirmed.position)

        return await creating(self.database, call, transaction)

    async def get(self, call: Call, name: UserName) -> User:
        """One user: oneself, or whom the caller may know of."""
        async with self.database.reading() as reads:
            return await visible_user(reads, call, name)

    async def list(
        self, call: Call, parent: WorkspaceName, only: UserFilter, *, after: str | None, limit: int
    ) -> Sequence[Listed[User]]:
        """Users, newest first; those of one resource also for who manages it."""
        call.in_workspace(parent.workspace, parent)
        if not (only.resource and call.caller.may_at(only.resource, p.KEYS_BOUND)):
            call.require(p.USERS_READ)
        async with self.database.reading() as reads:
            if only.role is not None:
                await visible_role(reads, call, only.role)
            return await reads.users.list(parent.workspace, only, after=after, limit=limit)

    async def update(
        self, call: Call, name: UserName, update: UserUpdate, *, etag: str = ""
    ) -> Committed[User]:
        """Change a user. A lower role narrows all of its credentials at once."""
        check_form(update.values, changing=update.fields)

        async def write(writes: Writes, confirmed: ConfirmedCall, user: User) -> Sequence[Change]:
            own = user.internal_id == confirmed.caller.user.internal_id
            if not (own and update.fields <= {"display_name"}):
                _manages(confirmed, user)
            changed = await _updated(writes.read, confirmed, user, update)
            if changed == user:
                return []
            await _check_update(writes, confirmed, user, changed)
            await writes.users.update(changed)
            change = altered(described(user), described(changed))
            await writes.audit.insert(confirmed.event("UpdateUser", user.name, **change))
            return [Change(ChangeKind.USER, user.internal_id)] if change["after"] else []

        return await self._change(call, name, etag, write)

    async def disable(self, call: Call, name: UserName, *, etag: str = "") -> Committed[User]:
        """Disable a user: all its keys are dead when this returns. Never the last admin."""
        return await self._set_state(call, name, etag, State.DISABLED)

    async def enable(self, call: Call, name: UserName, *, etag: str = "") -> Committed[User]:
        """Enable a user again, and with it its keys that stand by themselves."""
        return await self._set_state(call, name, etag, State.ACTIVE)

    async def delete(
        self, call: Call, name: UserName, *, force: bool, etag: str = ""
    ) -> Committed[User]:
        """Delete a user with grants and sessions; with `force` revoke the keys that it still has.

        The records of its keys stay, and keep who it was.
        """

        async def write(writes: Writes, confirmed: ConfirmedCall, user: User) -> Sequence[Change]:
            _manages(confirmed, user)
            await check_admin_remains(writes.read, user)
            keys, count = await writes.read.keys.names_unrevoked(user.internal_id, _NAMED_MAX_COUNT)
            if count and not force:
                raise ServiceError(
                    Reason.RESOURCE_IN_USE,
                    f"{user.name} has keys that are not revoked ({count}): revoke them, or delete "
                    "the user with force",
                    details={"used_by": ",".join(f"keys/{key}" for key in keys)},
                )
            revoked = await writes.keys.revoke_all_of(user.internal_id)
            ended = await writes.sessions.revoke_all_of(user.internal_id)
            taken = await writes.grants.delete_all_of(user.internal_id)
            await writes.keys.remember(user)
            await writes.users.delete(user.internal_id)
            await writes.audit.insert(
                confirmed.event("DeleteUser", user.name, before=described(user))
            )
            await writes.audit.insert_each(
                confirmed.event("RevokeKey", "", after={"state": KeyState.REVOKED}),
                [str(KeyName(user.workspace_id, key_id)) for key_id in revoked],
            )
            await writes.audit.insert_each(
                confirmed.event("RevokeSession", "", after={"state": SessionState.REVOKED}),
                [str(SessionName(user.workspace_id, session_id)) for session_id in ended.values()],
            )
            await writes.audit.insert_each(
                confirmed.event("DeleteGrant", "", before={"user": user.user_id}),
                [str(GrantName(user.workspace_id, grant_id)) for grant_id in taken],
            )
            return [Change(ChangeKind.USER, user.internal_id)]

        return await self._change(call, name, etag, write)

    async def _set_state(
        self, call: Call, name: UserName, etag: str, state: State
    ) -> Committed[User]:
        async def write(writes: Writes, confirmed: ConfirmedCall, user: User) -> Sequence[Change]:
            _manages(confirmed, user)
            if user.state is state:
                return []
            if state is State.DISABLED:
                await check_admin_remains(writes.read, user)
            else:  # its keys come to stand again: no more than the caller may do
                await _check_whole(writes.read, confirmed, user, "name")
            await writes.users.set_state(user.internal_id, state)
            await writes.audit.insert(
                confirmed.event(
                    "DisableUser" if state is State.DISABLED else "EnableUser",
                    user.name,
                    before={"state": user.state},
                    after={"state": state},
                )
            )
            return [Change(ChangeKind.USER, user.internal_id)]

        return await self._change(call, name, etag, write)

    async def _change(
        self,
        call: Call,
        name: UserName,
        etag: str,
        write: Callable[[Writes, ConfirmedCall, User], Awaitable[Sequence[Change]]],
    ) -> Committed[User]:
        """The transaction that changes one user (DESIGN section 5).

        1. Find the user. 2. Lock what the decision rests on, in `LOCK_ORDER`; the workspace too,
        so that two admins cannot disable each other at once. 3. Check the caller, and read the
        user, again. 4. Write, with the audit event. `mutation` goes on from there.
        """
        call.in_workspace(name.workspace, name)
        if not (is_named(call.caller.user, name) or call.caller.resources_with(p.KEYS_BOUND)):
            call.require(p.USERS_MANAGE)

        async def transaction(writes: Writes) -> Mutated[User]:
            found = await visible_user(writes.read, call, name)
            confirmed = await call.lock(
                writes,
                workspaces=[call.caller.credential.workspace_internal_id],
                users=[found.internal_id],
            )
            user = await _again(writes.read, name.workspace, found.user_id)
            if user.internal_id != found.internal_id or not access.sees_user(
                confirmed.caller, user
            ):
                raise NotFound(str(name))
            check_etag(etag, user)
            changes = await write(writes, confirmed, user)
            after = await writes.read.users.get(name.workspace, found.user_id) or user
            return Mutated(after, confirmed.position, changes)

        return await changing(self.database, call, transaction)


def _may_create(call: Call, spec: UserSpec) -> None:
    managed = spec.resource and call.caller.may_at(spec.resource, p.KEYS_BOUND)
    # An e-mail address or external id is of the whole workspace, and says who signs in.
    if not managed or spec.email or spec.external_id:
        call.require(p.USERS_MANAGE)


def _manages(call: Call, user: User) -> None:
    if not access.manages_user(call.caller, user):
        raise permission_missing(p.USERS_MANAGE)


async def _updated(reads: Reads, call: Call, user: User, update: UserUpdate) -> User:
    """The user with the new values of the fields that are to change."""
    fields, values = update.fields, update.values
    changed = user
    if "role" in fields:
        if user.resource:
            if values.role is not None:
                raise invalid_field("user.role", "must be empty for a service user of a resource")
        else:
            wanted = values.role or RoleName(user.workspace_id, DEFAULT_ROLE)
            changed = replace(changed, role=await visible_role(reads, call, wanted))
    if "email" in fields:
        changed = replace(changed, email=values.email or None)
    taken = {each: getattr(values, each) for each in fields & _TAKEN}
    return replace(changed, **taken)


async def _check_update(writes: Writes, call: ConfirmedCall, user: User, changed: User) -> None:
    if changed.role.internal_id != user.role.internal_id:
        _check_role(call, changed.role)
        if not is_admin(changed.role):
            await check_admin_remains(writes.read, user)
    if (changed.email, changed.external_id) != (user.email, user.external_id):
        # Who signs in as somebody is told by these: a new one hands over what that user may do. And
        # they are of the whole workspace, where a resource's managers name nobody.
        call.require(p.USERS_MANAGE)
        field = "user.email" if changed.email != user.email else "user.external_id"
        await _check_whole(writes.read, call, user, field)


def _check_role(call: Call, role: Role) -> None:
    what = f"the role {role.role_id}"
    creation.check_given(call.caller, what, role.permissions.patterns, "user.role")


async def _check_whole(reads: Reads, call: Call, user: User, field: str) -> None:
    """The caller may do all that the user may, anywhere."""
    owner = await reads.users.owner(user.workspace_id, user.user_id)
    if owner is not None:
        creation.check_authority(call.caller, authority_of(owner), field)


async def _again(reads: Reads, workspace_id: str, user_id: str) -> User:
    """A user that this transaction has written or locked."""
    user = await reads.users.get(workspace_id, user_id)
    if user is None:
        raise NotFound(str(UserName(workspace_id, user_id)))
    return user

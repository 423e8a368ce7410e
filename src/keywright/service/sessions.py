"""What people and admins do with sessions that are there: get, list, revoke one, revoke all."""

from collections.abc import Sequence
from dataclasses import dataclass

from keywright.domain import permissions as p
from keywright.domain.dependency import ChangeKind
from keywright.domain.listing import Listed
from keywright.domain.names import SessionName, UserName, WorkspaceName
from keywright.domain.sessions import SessionAt, SessionState
from keywright.service.call import Call
from keywright.service.mutation import Committed, Mutated, changing
from keywright.service.visibility import is_named, visible_session, visible_user
from keywright.storage.authority import Change
from keywright.storage.database import Database, Writes
from keywright.storage.sessions import SessionFilter

_LISTED = frozenset({SessionState.ACTIVE})
_REVOKED = {"state": SessionState.REVOKED}


@dataclass(frozen=True, slots=True)
class Sessions:
    """Reads and revokes sessions: everybody one's own, and with `users.manage` everybody's."""

    database: Database

    async def get(self, call: Call, name: SessionName) -> SessionAt:
        """One session."""
        async with self.database.reading() as reads:
            return await visible_session(reads, call, name)

    async def list(
        self,
        call: Call,
        parent: WorkspaceName,
        user: UserName | None,
        states: frozenset[SessionState],
        *,
        after: str | None,
        limit: int,
    ) -> Sequence[Listed[SessionAt]]:
        """Sessions of a user, or of all, newest first: active ones, unless others are asked for.

        Raises:
            NotFound: the caller may not know of the user.
        """
        call.in_workspace(parent.workspace, parent)
        me = call.caller.user.internal_id
        async with self.database.reading() as reads:
            whose = None if user is None else (await visible_user(reads, call, user)).internal_id
            if not call.caller.may(p.USERS_MANAGE):
                if whose not in (None, me):
                    return []
                whose = me
            only = SessionFilter(states or _LISTED, whose)
            return await reads.sessions.list(parent.workspace, only, after=after, limit=limit)

    async def revoke(self, call: Call, name: SessionName) -> Committed[SessionAt]:
        """Revoke a session, for good. Revoking it again changes nothing and is no error."""

        async def transaction(writes: Writes) -> Mutated[SessionAt]:
            found = await visible_session(writes.read, call, name)
            session = found.session.internal_id
            confirmed = await call.lock(writes, sessions=[session])
            found = await visible_session(writes.read, confirmed, name)
            if found.session.revoke_time is not None:
                return Mutated(found, confirmed.position)
            await writes.sessions.revoke(session)
            await writes.audit.insert(
                confirmed.event(
                    "RevokeSession", name, before={"state": found.state}, after=_REVOKED
                )
            )
            after = await visible_session(writes.read, confirmed, name)
            return Mutated(after, confirmed.position, [Change(ChangeKind.SESSION, session)])

        return await changing(self.database, call, transaction)

    async def revoke_all(
        self, call: Call, parent: WorkspaceName, user: UserName, *, keep_current: bool
    ) -> Committed[int]:
        """Revoke every session of a user in one revision, but, if asked, the one that calls.

        Nobody signs in meanwhile: whoever does holds the user, which is locked here.
        """
        call.in_workspace(parent.workspace, parent)
        call.in_workspace(user.workspace, user)
        if not is_named(call.caller.user, user):
            call.require(p.USERS_MANAGE)

        async def transaction(writes: Writes) -> Mutated[int]:
            found = await visible_user(writes.read, call, user)
            confirmed = await call.lock(writes, users=[found.internal_id])
            if not is_named(confirmed.caller.user, user):
                confirmed.require(p.USERS_MANAGE)
            calling = confirmed.caller.credential
            kept = keep_current and calling.kind is ChangeKind.SESSION
            revoked = await writes.sessions.revoke_all_of(
                found.internal_id, but=calling.record.internal_id if kept else 0
            )
            names = [str(SessionName(parent.workspace, each)) for each in revoked.values()]
            await writes.audit.insert_each(
                confirmed.event("RevokeSession", "", after=_REVOKED), names
            )
            changes = [Change(ChangeKind.SESSION, each) for each in revoked]
            return Mutated(len(revoked), confirmed.position, changes)

        return await changing(self.database, call, transaction)

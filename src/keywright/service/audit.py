"""What people ask of the audit trail: events, and the seals that cover them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.audit import Event, EventFilter, workspace_of
from keywright.domain.audit_trail import Seal
from keywright.domain.errors import NotFound, permission_missing
from keywright.domain.listing import Listed
from keywright.domain.names import AuditEventName, AuditSealName, UserName, WorkspaceName, is_number
from keywright.service.call import Call
from keywright.service.visibility import is_named
from keywright.storage.database import Database, Reads


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events a caller means. Empty asks nothing."""

    actor: UserName | None = None
    credential: str = ""
    resource: str = ""
    actions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    client_address: str = ""
    request_id: str = ""
    seal: AuditSealName | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Reads the trail of the caller's workspace."""

    database: Database

    async def get(self, call: Call, name: AuditEventName) -> Event:
        """One event."""
        call.in_workspace(name.workspace, name)
        call.require(p.AUDIT_READ)
        if is_number(name.event):
            async with self.database.reading() as reads:
                found = await reads.audit_events.get(name.workspace, int(name.event))
            if found is not None:
                return found
        raise NotFound(str(name))

    async def list(
        self,
        call: Call,
        parent: WorkspaceName,
        query: EventQuery,
        *,
        records: bool,
        after: str | None,
        limit: int,
    ) -> Sequence[Listed[Event]]:
        """Events that match, newest first: all, or those about the caller's own keys."""
        call.in_workspace(parent.workspace, parent)
        if not call.caller.may(p.AUDIT_READ) and not call.caller.may(p.KEYS_OWN):
            raise permission_missing(p.AUDIT_READ)
        async with self.database.reading() as reads:
            only = await _filter(reads, call, query)
            return await reads.audit_events.list(
                parent.workspace, only, records=records, after=after, limit=limit
            )

    async def seals(
        self,
        call: Call,
        parent: WorkspaceName,
        *,
        start_time: datetime | None,
        end_time: datetime | None,
        after_seal: AuditSealName | None,
        after: str | None,
        limit: int,
    ) -> Sequence[Listed[Seal]]:
        """Seals oldest first, those after one of them, and after a cursor."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.AUDIT_READ)
        async with self.database.reading() as reads:
            if after_seal is not None:
                await _visible_seal(reads, call, after_seal)
            first = 0 if after_seal is None else after_seal.number
            return await reads.seals.list(
                parent.workspace,
                start_time=start_time,
                end_time=end_time,
                after=first if after is None else int(after),
                limit=limit,
            )


async def _filter(reads: Reads, call: Call, query: EventQuery) -> EventFilter:
    """The filter that a query stands for, of the events that are the caller's to see."""
    for name, path in (
        (query.credential, "filter.credential"),
        (query.resource, "filter.resource"),
    ):
        if name:
            call.in_workspace(workspace_of(name, path), name)
    if query.seal is not None:
        await _visible_seal(reads, call, query.seal)
    return EventFilter(
        actor=await _actor(reads, call, query.actor),
        credential=query.credential,
        resource=query.resource,
        actions=query.actions,
        outcomes=query.outcomes,
        start_time=query.start_time,
        end_time=query.end_time,
        client_address=query.client_address,
        request_id=query.request_id,
        seal=None if query.seal is None else query.seal.number,
        about_keys_of=None if call.caller.may(p.AUDIT_READ) else call.caller.user.internal_id,
    )


async def _actor(reads: Reads, call: Call, name: UserName | None) -> str:
    """The full name of who is meant; of one who is gone, by id, if the trail remembers that."""
    if name is None:
        return ""
    call.in_workspace(name.workspace, name)
    caller = call.caller
    if is_named(caller.user, name):
        return str(caller.user.name)
    reads_all = caller.may(p.AUDIT_READ)
    user = await reads.users.get(name.workspace, name.user)
    if user is not None and (reads_all or access.sees_user(caller, user)):
        return str(user.name)
    if reads_all and await reads.audit_events.remembers(name.workspace, str(name)):
        return str(name)
    raise NotFound(str(name))


async def _visible_seal(reads: Reads, call: Call, name: AuditSealName) -> None:
    call.in_workspace(name.workspace, name)
    if not await reads.seals.exists(name.workspace, name.number):
        raise NotFound(str(name))

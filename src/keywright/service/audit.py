"""What people ask of the audit trail: events, and the seals that cover them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.audit import Event, EventFilter, workspace_of
from keywright.domain.audit_trail import Seal
from keywright.domain.errors import NotFound, invalid_field, permission_missing
from keywright.domain.listing import Listed
from keywright.domain.names import (
    AuditEventName,
    AuditSealName,
    KeyName,
    UserName,
    WorkspaceName,
    is_number,
)
from keywright.service.call import Call
from keywright.service.visibility import is_named
from keywright.storage.database import Database, Reads


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events a caller means: `only`, but that actor and seal are names that it may not see.

    Empty asks nothing.
    """

    only: EventFilter
    actor: UserName | None = None
    seal: AuditSealName | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Reads the trail of the caller's workspace."""

    database: Database

    async def get(self, call: Call, name: AuditEventName) -> Event:
        """One event, if it is among those that `list` shows."""
        call.in_workspace(name.workspace, name)
        _check_may_ask(call)
        if is_number(name.event):
            async with self.database.reading() as reads:
                found = await reads.audit_events.get(name.workspace, int(name.event))
                if found is not None and await _is_visible(reads, call, found):
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
        _check_may_ask(call)
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


def _check_may_ask(call: Call) -> None:
    """Refuse who can see no events at all."""
    if not call.caller.may(p.AUDIT_READ) and not call.caller.may(p.KEYS_OWN):
        raise permission_missing(p.AUDIT_READ)


async def _is_visible(reads: Reads, call: Call, event: Event) -> bool:
    """Whether an event is the caller's to see: any, or about a key of the caller's own."""
    if call.caller.may(p.AUDIT_READ):
        return True
    found = await reads.keys.get(event.workspace_id, event.resource.rpartition("/keys/")[2])
    return (
        found is not None
        and str(found.key.name) == event.resource
        and found.key.owner_internal_id == call.caller.user.internal_id
    )


async def _filter(reads: Reads, call: Call, query: EventQuery) -> EventFilter:
    """The filter that a query stands for, of the events that are the caller's to see."""
    only = query.only
    if only.credential:
        key = KeyName.parse(only.credential, "filter.credential")
        call.in_workspace(key.workspace, key)
    if only.resource:
        call.in_workspace(workspace_of(only.resource, "filter.resource"), only.resource)
    if only.start_time is not None and only.end_time is not None:
        _check_range(only.start_time, only.end_time)
    if query.seal is not None:
        await _visible_seal(reads, call, query.seal)
    return replace(
        only,
        actor=await _actor(reads, call, query.actor),
        resource=await _resource(reads, call, only.resource),
        seal=None if query.seal is None else query.seal.number,
        about_keys_of=None if call.caller.may(p.AUDIT_READ) else call.caller.user.internal_id,
    )


def _check_range(start_time: datetime, end_time: datetime) -> None:
    if end_time <= start_time:
        raise invalid_field("filter.end_time", "must be after filter.start_time")


async def _resource(reads: Reads, call: Call, name: str) -> str:
    """The same resource as the trail names it: a user by id."""
    return (
        await _actor(reads, call, UserName.parse(name, "filter.resource")) if "@" in name else name
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

"""What people ask of the audit trail: events, and the seals that cover them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.domain import permissions as p
from keywright.domain.audit import Event, EventFilter, workspace_of
from keywright.domain.audit_trail import Seal
from keywright.domain.errors import NotFound, permission_missing
from keywright.domain.listing import Listed
from keywright.domain.names import AuditEventName, UserName, WorkspaceName, is_number
from keywright.service.call import Call
from keywright.storage.database import Database, Reads


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events a caller means. Empty asks nothing; `seal` is the number of one."""

    actor: UserName | None = None
    credential: str = ""
    resource: str = ""
    actions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    client_address: str = ""
    request_id: str = ""
    seal: int | None = None


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
        after: int,
        limit: int,
    ) -> Sequence[Listed[Seal]]:
        """Seals after a number, oldest first."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.AUDIT_READ)
        async with self.database.reading() as reads:
            return await reads.seals.list(
                parent.workspace,
                start_time=start_time,
                end_time=end_time,
                after=after,
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
    actor, actor_email = await _actor(reads, call, query.actor)
    return EventFilter(
        actor=actor,
        actor_email=actor_email,
        credential=query.credential,
        resource=query.resource,
        actions=query.actions,
        outcomes=query.outcomes,
        start_time=query.start_time,
        end_time=query.end_time,
        client_address=query.client_address,
        request_id=query.request_id,
        seal=query.seal,
        about_keys_of=None if call.caller.may(p.AUDIT_READ) else call.caller.user.internal_id,
    )


async def _actor(reads: Reads, call: Call, name: UserName | None) -> tuple[str, str]:
    """The full name of who is meant; or the e-mail address, of one who is gone.

    The trail remembers users that are deleted: an id is taken as it is.
    """
    if name is None:
        return "", ""
    call.in_workspace(name.workspace, name)
    if "@" not in name.user:
        return str(name), ""
    user = await reads.users.get(name.workspace, name.user)
    return ("", name.user) if user is None else (str(user.name), "")

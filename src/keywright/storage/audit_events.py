"""Audit events as they are read."""

from datetime import UTC, datetime, timedelta

import asyncpg

from keywright.domain.audit import Event, EventFilter
from keywright.domain.listing import Listed
from keywright.storage.conditions import Conditions
from keywright.storage.connection import Connection

_MICROSECONDS = "trunc(extract(epoch FROM {0}) * 1000000)"  # of 'infinity', too
# The line of JSON that a seal covers: all that an event says, but not by which seal it is covered.
# Its form is published (docs/audit-trail): a change of it would break every trail there is.
RECORD = f"""
    jsonb_build_object(
        'id', e.id, 'create_time', {_MICROSECONDS.format("e.create_time")},
        'workspace', e.workspace_id, 'action', e.action, 'resource', e.resource,
        'outcome', e.outcome, 'reason', e.reason, 'actor', e.actor, 'actor_email', e.actor_email,
        'credential', e.credential, 'client_address', e.client_address, 'call_id', e.call_id,
        'request_id', e.request_id, 'count', e.count,
        'first_time', {_MICROSECONDS.format("e.first_time")}, 'change', e.change
    )::text
"""
_COLUMNS = """
    e.id, e.workspace_id, e.create_time, e.action, e.resource, e.outcome, e.reason, e.actor,
    e.actor_email, e.credential, e.client_address, e.call_id, e.request_id, e.count, e.first_time,
    e.change, e.seal
"""
# Everything that begins with `name/` comes before `name0`, the character after the slash: a range
# of the index. In between lie names such as `name-2`, too.
_BELOW = """
    e.resource COLLATE "C" >= {0} AND e.resource COLLATE "C" < {0} || '0'
    AND (e.resource = {0} OR starts_with(e.resource, {0} || '/'))
"""
_ABOUT_KEYS_OF = """
    e.resource COLLATE "C" = ANY (ARRAY(
        SELECT 'workspaces/' || w.workspace_id || '/keys/' || k.key_id
        FROM keywright.key k JOIN keywright.workspace w ON w.id = k.workspace
        WHERE k.owner = {0}
    ))
    -- Its id may have been that of somebody else's, before that was deleted.
    AND e.id >= coalesce((
        SELECT max(made.id) FROM keywright.audit_event made
        WHERE made.workspace_id = e.workspace_id AND made.resource COLLATE "C" = e.resource
          AND made.action IN ('CreateKey', 'ImportKey') AND made.outcome = 'DONE'
    ), 0)
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditEventReader:
    """Reads events of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, event_id: int) -> Event | None:
        """The event of that id."""
        row = await self._connection.fetchrow(
            f"SELECT {_COLUMNS}, '' AS record FROM keywright.audit_event e "
            "WHERE e.id = $1 AND e.workspace_id = $2",
            event_id,
            workspace_id,
        )
        return None if row is None else _event(row)

    async def remembers(self, workspace_id: str, actor: str) -> bool:
        """Whether there is an event of somebody's of that name."""
        found: bool = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM keywright.audit_event "
            "WHERE workspace_id = $1 AND actor = $2)",
            workspace_id,
            actor,
        )
        return found

    async def list(
        self,
        workspace_id: str,
        only: EventFilter,
        *,
        records: bool,
        after: str | None,
        limit: int,
    ) -> list[Listed[Event]]:
        """Events newest first, at most `limit`, those after a cursor; with their `records`."""
        where = Conditions(
            [
                # A list of one: see `conditions.in_workspace`.
                ("e.workspace_id = ANY (ARRAY[{0}])", workspace_id),
                ("e.actor = {0}", only.actor),
                ("e.credential = {0}", only.credential),
                (_BELOW, only.resource),
                ("e.action = ANY ({0})", list(only.actions)),
                ("e.outcome = ANY ({0})", list(only.outcomes)),
                ("e.create_time >= {0}", only.start_time),
                ("e.create_time < {0}", only.end_time),
                ("e.client_address = {0}", only.client_address),
                ("(e.request_id = {0} OR e.call_id = {0})", only.request_id),
                ("e.seal = {0}", only.seal),
                (_ABOUT_KEYS_OF, only.about_keys_of),
            ]
        )
        if after is not None:
            where.require("(e.create_time, e.id) < ({0}, {1})", *_position(after))
        rows = await self._connection.fetch(
            f"""
            SELECT {_COLUMNS}, {RECORD if records else "''"} AS record
            FROM keywright.audit_event e WHERE {where.sql}
            ORDER BY e.workspace_id DESC, e.create_time DESC, e.id DESC
            LIMIT {where.placeholder(limit)}
            """,
            *where.values,
        )
        return [Listed(_event(row), _cursor(row)) for row in rows]


def _cursor(row: asyncpg.Record) -> str:
    return f"{(row['create_time'] - _EPOCH) // timedelta(microseconds=1)} {row['id']}"


def _position(cursor: str) -> tuple[datetime, int]:
    microseconds, _, event_id = cursor.partition(" ")
    return _EPOCH + timedelta(microseconds=int(microseconds)), int(event_id)


def _event(row: asyncpg.Record) -> Event:
    return Event(event_id=row["id"], **{name: value for name, value in row.items() if name != "id"})

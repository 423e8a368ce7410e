"""The months of the audit trail: made ahead, and dropped when all of one is too old."""

import re
from datetime import date

from keywright.domain.audit import REMOVE_AUDIT_EVENTS
from keywright.storage.connection import Connection

_ADVISORY_LOCK = 0x6B777061  # "kwpa": one process at a time makes and drops
_NAME = re.compile(r"audit_event_(\d{4})_(\d{2})")
# What is too old: in its time zone, as all of the service, the database counts in UTC.
_OLD = "create_time < $1::date::timestamp AT TIME ZONE 'UTC'"
# Who removes is no user; the event is what a verification goes by.
_RECORD = f"""
    INSERT INTO keywright.audit_event (workspace_id, action, resource, actor, credential, change)
    SELECT workspace_id, '{REMOVE_AUDIT_EVENTS}', 'workspaces/' || workspace_id, 'retention', '',
           jsonb_build_object('after', jsonb_build_object('removed_before', $1::date))
    FROM (SELECT DISTINCT workspace_id FROM keywright.audit_event WHERE {_OLD}) AS old
"""


class PartitionWriter:
    """Makes and drops partitions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def try_lock(self) -> bool:
        """Become the one to do this until the end of the transaction, unless another is.

        And wait for others' locks no longer than a second: everybody else waits behind.
        """
        await self._connection.execute(
            "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '10min'"
        )
        locked: bool = await self._connection.fetchval(
            "SELECT pg_try_advisory_xact_lock($1)", _ADVISORY_LOCK
        )
        return locked

    async def add(self, months_ahead: int) -> None:
        """Make the partitions of this month and of those ahead, where they are missing."""
        await self._connection.execute(
            """
            SELECT keywright.add_audit_partition((
                date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)
            )::date) FROM generate_series(0, $1) AS ahead
            """,
            months_ahead,
        )

    async def months_before(self, month: date) -> list[date]:
        """The months before one that have a partition."""
        names = await self._connection.fetch(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'keywright.audit_event'::regclass ORDER BY relname"
        )
        found = (_NAME.fullmatch(row["relname"]) for row in names)
        months = [date(int(each[1]), int(each[2]), 1) for each in found if each]
        return [each for each in months if each < month]

    async def unsealed_before(self, month: date) -> list[str]:
        """Workspaces with an event of an earlier month that is not sealed; at most ten."""
        rows = await self._connection.fetch(
            "SELECT DISTINCT workspace_id FROM keywright.audit_event "
            f"WHERE seal IS NULL AND {_OLD} ORDER BY workspace_id LIMIT 10",
            month,
        )
        return [row["workspace_id"] for row in rows]

    async def remove_before(self, month: date) -> None:
        """Remove all events of earlier months, and say so in the trail of each of them."""
        await self._connection.execute(_RECORD, month)
        for each in await self.months_before(month):
            await self._connection.execute(f"DROP TABLE keywright.audit_event_{each:%Y_%m}")
        await self._connection.execute(
            f"DELETE FROM keywright.audit_event_default WHERE {_OLD}", month
        )

    async def any_before(self, month: date) -> bool:
        """Whether there is an event of an earlier month, or a partition for some."""
        if await self.months_before(month):
            return True
        found: bool = await self._connection.fetchval(
            f"SELECT EXISTS (SELECT FROM keywright.audit_event_default WHERE {_OLD})", month
        )
        return found

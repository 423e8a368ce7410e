"""Which processes have acknowledged a position: what a narrowing waits for (DESIGN section 5)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from keywright.domain.position import Position
from keywright.storage.connection import Connection, close_at_once
from keywright.storage.failures import DRIVER_ERRORS, database_unavailable

CHANNEL = "keywright_authority"
"""On which processes are notified of a position that some have not applied; it says the revision.
"""

# Past it in this database's own history: after a failover a row may be at a higher number of one
# that was lost, and would count for revisions that were given again since (tests/model). A position
# that is forgotten was applied long ago, and does not count either.
_BEHIND = """
    SELECT EXISTS (
        SELECT FROM keywright.replica r
        WHERE r.applied < $1::bigint
           OR NOT EXISTS (
               SELECT FROM keywright.authority_revision h
               WHERE (h.revision, h.tag) = (r.applied, r.applied_tag)
               UNION ALL
               SELECT FROM keywright.authority_change c
               WHERE (c.revision, c.tag) = (r.applied, r.applied_tag)
           )
    ) AS behind
"""
# A notification is a transaction that is written, and would be waited for until disk and standby
# have it. Nobody needs it after a crash. (The result of `pg_notify` is void, which no CASE can
# have.)
_FIRST_LOOK = f"""
    SELECT behind,
           substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline,
           pg_postmaster_start_time() AS started,
           CASE WHEN behind THEN
               set_config('synchronous_commit', 'off', true)
               || pg_notify('{CHANNEL}', $1::text)::text
           END
    FROM ({_BEHIND}) AS found
"""
# The number of a history of the log that no promotion of a standby has begun.
_FIRST_TIMELINE = "00000001"
# YugabyteDB and CockroachDB know no notifications; everything works without them.
_CANNOT_NOTIFY = (asyncpg.UndefinedFunctionError, asyncpg.FeatureNotSupportedError)


@dataclass(frozen=True, slots=True)
class Primary:
    """Which server was asked: its rows are whole if it never was a standby that was promoted."""

    timeline: str
    started: datetime | None

    @property
    def was_promoted(self) -> bool:
        """Whether it, or the one before it, may have lost what another had committed."""
        return self.timeline != _FIRST_TIMELINE


# Their replicas agree on what is committed: there is no promotion that loses anything.
_SOME_PRIMARY = Primary(_FIRST_TIMELINE, None)


class AcknowledgementReader:
    """Reads how far the processes are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def first_look(self, position: Position, *, within: timedelta) -> tuple[bool, Primary]:
        """`behind`, and who says so; whoever is behind is notified.

        Raises: as `behind`.
        """
        with self._asking():
            try:
                row = await self._connection.fetchrow(
                    _FIRST_LOOK, position.revision, timeout=within.total_seconds()
                )
            except _CANNOT_NOTIFY:
                row = None
        if row is None:
            return await self.behind(position, within=within), _SOME_PRIMARY
        return row["behind"], Primary(row["timeline"], row["started"])

    async def behind(self, position: Position, *, within: timedelta) -> bool:
        """Whether some process has yet to acknowledge `position`.

        Raises:
            Unavailable: that cannot be read, or not `within` this time. The connection is closed
                then: to give one back that hangs takes longer than who waits has.
        """
        with self._asking():
            behind: bool = await self._connection.fetchval(
                _BEHIND, position.revision, timeout=within.total_seconds()
            )
            return behind

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except DRIVER_ERRORS as error:
            close_at_once(self._connection)
            raise database_unavailable() from error

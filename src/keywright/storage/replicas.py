"""The rows of the processes that decide from memory, over a connection that does nothing else.

Every statement here is a transaction of its own. None is ever cancelled: PostgreSQL would stop
waiting for its standby, and report success. One that comes with a WARNING, or whose answer is lost,
may have done anything; then the connection is closed and nothing is concluded from it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg

from keywright.domain.dependency import ChangeKind, dependency
from keywright.domain.position import Position, Revision
from keywright.storage.acknowledgements import CHANNEL
from keywright.storage.authority import position_of
from keywright.storage.failures import database_unavailable, translated

# Who lacks more begins anew: reading them all would take longer than reading keys again, and than
# the patience for an answer, so that whoever tried would never be done.
_REVISIONS_MAX_COUNT = 10_000
CHANGES_MAX_COUNT = 131_072
# Whoever changes the length of leases waits for this, and finds the row, or is waited for.
_REGISTER = """
    INSERT INTO keywright.replica (id, applied, applied_tag)
    SELECT $1, r.revision, r.tag
    FROM keywright.authority_revision r, keywright.installation i
    WHERE i.lease_length = $2
    FOR SHARE OF i
    RETURNING applied AS revision, applied_tag AS tag
"""
_RENEW = """
    UPDATE keywright.replica SET applied = $2, applied_tag = $3, counter = counter + 1
    FROM keywright.authority_revision r
    WHERE id = $1
    RETURNING r.revision, r.tag, clock_timestamp() AS now
"""
# Of the own position one row is enough: it shows the tag, and the changes that led there are known.
_CHANGES = f"""
    WITH here AS (
        SELECT revision, tag, kind, changed FROM keywright.authority_change
        WHERE revision = $1 LIMIT 1
    ), later AS (
        SELECT revision, tag, kind, changed FROM keywright.authority_change
        WHERE revision > $1 ORDER BY revision LIMIT {CHANGES_MAX_COUNT + 1}
    )
    SELECT revision, tag, kind, array_agg(changed) AS changed
    FROM (SELECT * FROM here UNION ALL SELECT * FROM later) AS found
    GROUP BY revision, tag, kind ORDER BY revision
"""


@dataclass(frozen=True, slots=True)
class Renewed:
    """Where the history stood, and the database's clock, when a row was renewed."""

    position: Position
    now: datetime


class WrongLeaseLengthError(Exception):
    """The length of leases is another by now than this process was started with."""

    def __init__(self) -> None:
        super().__init__("lease_length was changed while this process was away: start it anew")


@dataclass(slots=True)
class ReplicaRows:
    """What a process says of itself and reads of the history, over one direct connection."""

    _connection: "asyncpg.Connection[asyncpg.Record]"
    _patience: timedelta
    _warnings: list[str] = field(default_factory=list)

    async def register(self, replica: UUID, lease_length: timedelta) -> Position:
        """Add a row, at the position where the history stands.

        Raises:
            WrongLeaseLengthError: others count by another length.
            Unavailable: nobody knows whether the row is there.
        """
        row = await self._certain(_REGISTER, replica, lease_length)
        if row is None:
            raise WrongLeaseLengthError
        return position_of(row)

    async def renew(self, replica: UUID, acknowledged: Position) -> Renewed | None:
        """Say that everything up to `acknowledged` is applied; None if the row is gone.

        Raises:
            Unavailable: nobody knows whether it was said.
        """
        row = await self._certain(_RENEW, replica, acknowledged.revision, acknowledged.tag)
        return None if row is None else Renewed(position_of(row), row["now"])

    async def since(self, applied: Position, until: Position) -> Sequence[Revision] | None:
        """The revisions after `applied`, to `until` or beyond; None if there is a gap, or too much.

        Raises:
            Unavailable: the database cannot be reached.
        """
        if until.revision - applied.revision > _REVISIONS_MAX_COUNT:
            return None
        rows = await self._asked(_CHANGES, applied.revision)
        found: list[Revision] = []
        for row in rows:
            kind = ChangeKind(row["kind"])
            changed = [dependency(kind, each) for each in row["changed"]]
            position = position_of(row)
            if found and found[-1].position == position:
                changed += found.pop().changed
            found.append(Revision(position, changed))
        if sum(len(each.changed) for each in found[1:]) > CHANGES_MAX_COUNT:
            return None
        positions = [each.position for each in found]
        if applied not in positions[:1] or until not in positions:
            return None
        if any(b.revision != a.revision + 1 for a, b in pairwise(positions)):
            return None
        return found[1:]

    async def counters(self) -> dict[UUID, int]:
        """How often each process has renewed its row.

        Raises:
            Unavailable: the database cannot be reached.
        """
        rows = await self._asked("SELECT id, counter FROM keywright.replica")
        return {row["id"]: row["counter"] for row in rows}

    async def remove(self, replica: UUID, counter: int | None = None) -> bool:
        """Remove a row: the caller's own, or one that still has this `counter`; whether it was.

        Raises:
            Unavailable: nobody knows whether it is gone.
        """
        removed = await self._certain(
            "DELETE FROM keywright.replica WHERE id = $1 AND ($2::bigint IS NULL OR counter = $2) "
            "RETURNING id",
            replica,
            counter,
        )
        return removed is not None

    async def _certain(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """The row that a statement returns which was committed without a doubt."""
        self._warnings.clear()
        rows = await self._asked(statement, *arguments)
        if self._warnings:
            self._connection.terminate()
            raise database_unavailable()
        return rows[0] if rows else None

    async def _asked(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        asking = asyncio.create_task(self._connection.fetch(statement, *arguments))
        try:
            with translated():
                async with asyncio.timeout(self._patience.total_seconds()):
                    return await asyncio.shield(asking)
        except BaseException:
            # A task that is cancelled would have the statement cancelled; a connection that is
            # closed does not disturb it.
            self._connection.terminate()
            asking.add_done_callback(_ignore)
            raise

    def warned(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        """Note a WARNING that came with a statement."""
        if message.severity_en == "WARNING":
            self._warnings.append(message.message or "")


@asynccontextmanager
async def replica_rows(
    dsn: str, *, patience: timedelta, on_change: Callable[[], None]
) -> AsyncIterator[ReplicaRows]:
    """A direct connection for the rows of replicas; `on_change`: others tell of changes.

    `patience` is how long it, and each answer, may take.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with translated():
        connection = await asyncpg.connect(
            dsn,
            timeout=patience.total_seconds(),
            statement_cache_size=16,
            server_settings={
                "application_name": "keywright lease",
                "client_min_messages": "warning",
                "statement_timeout": "0",
                "timezone": "UTC",
                "search_path": "pg_catalog",
            },
        )
    try:
        rows = ReplicaRows(connection, patience)
        connection.add_log_listener(rows.warned)
        # Where there are no notifications (YugabyteDB, CockroachDB) changes are found by asking.
        with translated(), suppress(asyncpg.FeatureNotSupportedError, asyncpg.PostgresSyntaxError):
            async with asyncio.timeout(patience.total_seconds()):
                await connection.add_listener(CHANNEL, lambda *_: on_change())
        yield rows
    finally:
        # Not closed politely: what is under way must not be cancelled, nor waited for.
        connection.terminate()


def _ignore(task: "asyncio.Task[list[asyncpg.Record]]") -> None:
    """Take the result that nobody waits for any more."""
    if not task.cancelled():
        task.exception()

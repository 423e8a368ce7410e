"""What a test waits for that nobody announces to it: a line about one call, a lock that is waited
for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.support.service import Caller, Process, Service

_LOOK_AGAIN_SECONDS = 0.02


async def call_logged(process: Process, request_id: str) -> dict[str, Any]:
    """The line of the access log about the call with `request_id`, as soon as it is there."""
    seen = 0
    while True:
        line = await process.logged("call", after=seen)
        if line["request_id"] == request_id:
            return line
        seen = process.log.index(line) + 1


async def sealed(caller: Caller, workspace: str) -> None:
    """Wait until there is a seal in a workspace: its server makes one within a second."""
    async with asyncio.timeout(20):
        while not (await caller.do("ListAuditSeals", parent=workspace)).audit_seals:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def all_sealed(service: Service) -> None:
    """Wait until no audit event waits for its seal: then no sealer writes, either."""
    unsealed = "SELECT count(*) FROM keywright.audit_event WHERE seal IS NULL"
    async with asyncio.timeout(20):
        while (await service.sql(unsealed))[0][0]:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def lock_waited_for(connection: "asyncpg.Connection[asyncpg.Record]", count: int = 1) -> None:
    """Wait until `count` statements of others wait for a lock in this database."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with asyncio.timeout(20):
        while await connection.fetchval(waiting) < count:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            # Else connections that were opened since are not seen in this transaction.
            await connection.execute("SELECT pg_stat_clear_snapshot()")


class Held:
    """A row that is locked by the test, so that a call which needs it stays in flight."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def waited_for(self, count: int = 1) -> None:
        """Wait until `count` statements of the server wait for a lock in this database."""
        await lock_waited_for(self._connection, count)

    async def let_go(self) -> None:
        """Unlock."""
        await self._connection.execute("ROLLBACK")


@asynccontextmanager
async def _holding(dsn: str, lock: str, *values: object) -> AsyncIterator[Held]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN")
        await connection.execute(lock, *values)
        yield Held(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def held_row(dsn: str, row: str, *values: object) -> AsyncIterator[Held]:
    """Hold a row, `keywright.key WHERE key_id = $1`, until `let_go` or the end of the block."""
    async with _holding(dsn, f"SELECT FROM {row} FOR UPDATE", *values) as held:
        yield held


@asynccontextmanager
async def locked_table(dsn: str, table: str) -> AsyncIterator[Held]:
    """Keep everybody from reading a table, until `let_go` or the end of the block."""
    async with _holding(dsn, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE") as held:
        yield held


@asynccontextmanager
async def held_key(dsn: str, name: str) -> AsyncIterator[Held]:
    """Hold the row of a key (`workspaces/w/keys/k`), until `let_go` or the end of the block."""
    async with held_row(dsn, "keywright.key WHERE key_id = $1", name.rpartition("/")[2]) as held:
        yield held

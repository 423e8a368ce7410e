"""The audit trail: how fast events are sealed and verified, beside inserting and fetching them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

import asyncpg

from bench import server
from bench.effort import Effort
from bench.keys import PARENT, bearer
from bench.server import WORKSPACE, Postgres, Server
from bench.table import show
from keywright.security.audit_signing import TrustedKeys
from keywright.service.audit_keys import AuditKeys
from keywright.service.sealing import Sealer
from keywright.storage.audit_events import RECORD
from keywright.storage.database import Database
from keywright.v1 import audit_service_pb2 as pb

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

VERIFY = "/keywright.v1.AuditService/VerifyAuditTrail"
_PATIENCE = timedelta(minutes=2)
_SLICE = 2_000
_CONNECTIONS = 32
_NOTE = (
    "{count:,} events of a change of a key. *Inserts, one a transaction*: durable, on "
    f"{_CONNECTIONS} connections, no sealer: what the trail can take. *Inserts while they are "
    "sealed*: the same with a sealer at work, which shares the processors with PostgreSQL and the "
    "load; *left at the end* are those that it still has to seal then. *Sealing*: a sealer alone, "
    "that finds all of them unsealed. *Fetch*: the records of the events by seal, on one "
    "connection, without hashing. *VerifyAuditTrail*: through gRPC, call after call to the end."
)
_INSERT = """
    INSERT INTO keywright.audit_event
        (workspace_id, action, resource, actor, credential, actor_email, client_address, call_id,
         change)
    SELECT $1, 'UpdateKey', 'workspaces/' || $1 || '/keys/loaded-' || i,
           'workspaces/' || $1 || '/users/admin', 'workspaces/' || $1 || '/keys/k3z9q2w8x7c6v5b4',
           'admin@localhost', '192.0.2.' || i % 250, md5(i::text),
           '{"before": {"scopes": []}, "after": {"scopes": ["datasets.read", "labels.*"]}}'
    FROM generate_series(1, $2::int) AS i
"""


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("audit_trail")
    count = effort.many // 5
    async with _connected(dsn) as connection, _sealer(dsn) as sealer:
        await connection.execute("DELETE FROM keywright.audit_event")
        single = min(count, 20_000)
        inserts = await _inserts(dsn, single)
        while_sealed, left = await _inserts_while_sealed(dsn, single, sealer)
        await connection.execute(_INSERT, WORKSPACE, count - 2 * single)
        await connection.execute("VACUUM ANALYZE keywright.audit_event")
        sealing = await _sealing(sealer)
        await connection.execute("VACUUM ANALYZE keywright.audit_event")
        fetching = await _fetching(connection)
    async with server.keywright(dsn) as at:
        verifying = await _verifying(at, admin_token, count)
    show(
        "The audit trail: sealing and verifying",
        _NOTE.format(count=count),
        ("", "events/s", "/ baseline", "left at the end"),
        [
            ("inserts, one a transaction", f"{inserts:,.0f}", "", ""),
            (
                "inserts while they are sealed",
                f"{while_sealed:,.0f}",
                f"{while_sealed / inserts:.2f}",
                f"{left:,}",
            ),
            ("sealing", f"{sealing:,.0f}", f"{sealing / inserts:.2f}", ""),
            ("fetch", f"{fetching:,.0f}", "", ""),
            ("VerifyAuditTrail", f"{verifying:,.0f}", f"{verifying / fetching:.2f}", ""),
        ],
    )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _sealer(dsn: str) -> AsyncIterator[Sealer]:
    database = await Database.open(
        dsn, size=2, connect_timeout=_PATIENCE, statement_timeout=_PATIENCE
    )
    try:
        keys = AuditKeys(database, None, TrustedKeys())
        yield Sealer(database, keys, lambda _seal: None, lambda _workspace: None)
    finally:
        await database.close()


async def _inserts(dsn: str, count: int) -> float:
    pool = await asyncpg.create_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    async with pool:

        async def some() -> None:
            async with pool.acquire() as connection:
                for _ in range(count // _CONNECTIONS):
                    await connection.execute(_INSERT, WORKSPACE, 1)

        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(_CONNECTIONS)))
        return count / (time.perf_counter() - began)


async def _inserts_while_sealed(dsn: str, count: int, sealer: Sealer) -> tuple[float, int]:
    """The rate of inserts, and how many events were not sealed at their end."""
    await sealer.run()
    before = sealer.event_count

    async def seal() -> None:
        while True:
            await sealer.run()
            await asyncio.sleep(0.5)

    sealing = asyncio.create_task(seal())
    rate = await _inserts(dsn, count)
    left = count - (sealer.event_count - before)
    sealing.cancel()
    await asyncio.wait([sealing])
    return rate, left


async def _sealing(sealer: Sealer) -> float:
    before, began = sealer.event_count, time.perf_counter()
    await sealer.run()
    return (sealer.event_count - before) / (time.perf_counter() - began)


async def _fetching(connection: Connection) -> float:
    """In slices of as many events as a verification takes at one go."""
    last = await connection.fetchval("SELECT max(number) FROM keywright.audit_seal")
    count, step, began = 0, _SLICE // 1000, time.perf_counter()
    for first in range(1, last + 1, step):
        rows = await connection.fetch(
            f"SELECT e.seal, e.id, {RECORD} FROM keywright.audit_event e WHERE e.workspace_id = $1 "
            "AND e.seal BETWEEN $2 AND $3 ORDER BY e.seal, e.id",
            WORKSPACE,
            first,
            first + step - 1,
        )
        count += len(rows)
    return count / (time.perf_counter() - began)


async def _verifying(at: Server, token: str, count: int) -> float:
    call = at.channel.unary_unary(
        VERIFY,
        request_serializer=pb.VerifyAuditTrailRequest.SerializeToString,
        response_deserializer=pb.VerifyAuditTrailResponse.FromString,
    )
    request, seen, began = pb.VerifyAuditTrailRequest(parent=PARENT), 0, time.perf_counter()
    while True:
        reply = await call(request, metadata=bearer(token))
        assert reply.intact, reply.first_break
        seen += reply.event_count
        if reply.complete:
            break
        request.from_seal.CopyFrom(reply.last_seal)
    assert seen >= count * 0.99
    return seen / (time.perf_counter() - began)

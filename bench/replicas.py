"""By the number of servers on one database: how long a revocation takes, and what they write.

Measured with each number of servers, beside a database that no server uses:

- `RevokeKey` that waits for all of them, of keys that all of them remember, one after the other;
- transactions and write-ahead log of the whole PostgreSQL (pg_stat_database, pg_stat_wal), while
  nobody calls, and while each server answers `Authenticate` at a steady pace;

and, with one server, how many revocations a second it comes to with more and more in flight, as
every one is a revision and revisions are given out one after the other. What is refused, and how,
is counted.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

import asyncpg
import grpc

from bench import server
from bench.effort import Effort
from bench.keys import PARENT, Admin
from bench.load import quantile
from bench.loader import load_tokens
from bench.revocation import Fleet, spread
from bench.server import Postgres
from bench.table import show
from keywright.domain.token import TokenFormat

_CALLS_PER_SECOND = 250  # on each server, in `Fleet.loaded`
_IN_FLIGHT = (1, 8, 64)
_TOO_MANY = 20  # times `Effort.revoked` in flight: more than are done within a deadline
_SETTLING_SECONDS = 2.5  # until what was done before is written, and counted
_NAMES = """
SELECT k.key_id FROM keywright.key k JOIN keywright.key_secret s ON s.key = k.id
WHERE s.prefix = ANY($1::text[])
"""
_WRITTEN = """
SELECT (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database)::bigint AS transactions,
       (SELECT wal_records FROM pg_stat_wal)::bigint AS records,
       (SELECT wal_bytes FROM pg_stat_wal)::bigint AS bytes
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What PostgreSQL did in a second."""

    transactions: float
    records: float
    bytes: float


@dataclass(slots=True)
class Ceiling:
    """Revocations with so many in flight: seconds that each took, and what was refused."""

    in_flight: int
    seconds: float = 0
    latencies: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print both tables."""
    dsn, admin_token = await postgres.database("replicas")
    ceilings = [Ceiling(in_flight) for in_flight in (*_IN_FLIGHT, _TOO_MANY * effort.revoked)]
    shares = [max(2 * effort.revoked, each.in_flight) for each in ceilings]
    count = effort.revoked * len(effort.replicas) + 1 + sum(shares)
    tokens = iter(await load_tokens(dsn, -(-count // 10) * 10))
    rows = [("no server", "-", "-", "-", *_told(await _written(dsn, effort)), "-", "-", "-")]
    base = None
    for replicas in effort.replicas:
        async with Fleet.serving(dsn, admin_token, replicas) as fleet:
            other = next(tokens)
            some = list(islice(tokens, effort.revoked))
            idle = await _written(dsn, effort)
            async with fleet.loaded(other):
                busy = await _written(dsn, effort)
            seen = await fleet.revoke(some, wait=True, asking=False)
            base = base or quantile(seen.latencies, 0.5)
            p50, p99, _ = spread(seen.latencies)
            ratio = f"{quantile(seen.latencies, 0.5) / base:.2f}"
            name = f"{replicas} servers" if replicas > 1 else "1 server"
            rows.append((name, p50, p99, ratio, *_told(idle), *_told(busy)))
    show(
        "Servers on one database",
        f"RevokeKey: {effort.revoked} keys each, which every server remembers, waiting for all. "
        "*Idle*: nobody calls. *Busy*: each server answers up to "
        f"{_CALLS_PER_SECOND} calls a second, of one key. In {effort.replica_seconds:g} s each; "
        "PostgreSQL's own doings, and those of the benchmark that asks it, are in the first row. "
        "All servers, PostgreSQL and the load share the cores.",
        (
            *("", "RevokeKey p50 ms", "p99 ms", "p50 / 1 server"),
            *("idle transactions/s", "WAL records/s", "WAL KiB/s"),
            *("busy transactions/s", "WAL records/s", "WAL KiB/s"),
        ),
        rows,
    )
    async with server.keywright(dsn) as at, _connected(dsn) as connection:
        admin = Admin(at.channel, admin_token)
        for each, share in zip(ceilings, shares, strict=True):
            prefixes = [TokenFormat().parse(token).prefix for token in islice(tokens, share)]
            named = await connection.fetch(_NAMES, prefixes)
            await _revoke(admin, [f"{PARENT}/keys/{row['key_id']}" for row in named], each)
    _ceiling_table(ceilings)


def _ceiling_table(ceilings: Sequence[Ceiling]) -> None:
    first = len(ceilings[0].latencies) / ceilings[0].seconds
    show(
        "Revocations at the same time, one server",
        "RevokeKey of different keys, waiting; each is a revision of the history, and has the "
        "server's default deadline (10 s). p50 and p99 are of those that were done. Server, "
        "PostgreSQL and the generator, which is written in Python, share the cores.",
        ("in flight", "done", "done/s", "of the first", "p50 ms", "p99 ms", "most ms", "refused"),
        [
            (
                str(each.in_flight),
                str(len(each.latencies)),
                f"{(rate := len(each.latencies) / each.seconds):,.0f}",
                f"{rate / first:.2f}",
                *spread(each.latencies or [0]),
                ", ".join(f"{count} {why}" for why, count in each.refused.items()) or "none",
            )
            for each in ceilings
        ],
    )


async def _revoke(admin: Admin, keys: Sequence[str], into: Ceiling) -> None:
    left: Iterator[str] = iter(keys)

    async def one_after_another() -> None:
        for key in left:
            began = time.perf_counter()
            try:
                await admin.revoke(key)
            except grpc.aio.AioRpcError as error:
                into.refused[f"{error.code().name}: {error.details()}"] += 1
            else:
                into.latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(into.in_flight):
            tasks.create_task(one_after_another())
    into.seconds = time.perf_counter() - began


async def _written(dsn: str, effort: Effort) -> Written:
    """What PostgreSQL does in a second, over a while."""
    await asyncio.sleep(min(_SETTLING_SECONDS, effort.replica_seconds))
    async with _connected(dsn) as connection:
        before = await _counters(connection)
        began = time.perf_counter()
        await asyncio.sleep(effort.replica_seconds)
        after, seconds = await _counters(connection), time.perf_counter() - began
    return Written(*((now - then) / seconds for now, then in zip(after, before, strict=True)))


async def _counters(connection: "asyncpg.Connection[asyncpg.Record]") -> Sequence[int]:
    row = await connection.fetchrow(_WRITTEN)
    assert row is not None
    return tuple(row)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def _told(written: Written) -> tuple[str, str, str]:
    return (
        f"{written.transactions:,.1f}",
        f"{written.records:,.1f}",
        f"{written.bytes / 1024:,.1f}",
    )

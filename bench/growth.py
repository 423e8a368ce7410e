"""What depends on how many keys there are: look-ups, sizes, lists, large changes, the start.

Measured with few keys in the database, and with many (`--keys`), in turn:

- the look-up by prefix, which a cold `Authenticate` waits for: one query, and the credential made
  of its row, on one connection in the benchmark's process;
- the sizes of the tables and their indexes, as PostgreSQL tells them;
- the first page of `ListKeys`, one call at a time;
- `UpdateRole` that takes a permission from a role, until it returns, that is until no server acts
  on the old state, beside the same of a role that nobody has: of what changes, the cost should be
  one row, however many keys rest on it;
- the start of a server, from its process to the health service's SERVING.
"""

import asyncio
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
from google.protobuf.field_mask_pb2 import FieldMask

from bench import plot, server
from bench.effort import Effort
from bench.keys import PARENT, bearer
from bench.list_keys import LIST_KEYS
from bench.load import Call, closed_loop, in_turn, quantile, time_in_turn
from bench.loader import KEYS_PER_USER, Loaded, loaded_prefix
from bench.server import Postgres, Server
from bench.table import microseconds, milliseconds, show
from keywright.storage.database import Database
from keywright.v1 import key_service_pb2, role_pb2, role_service_pb2, role_service_pb2_grpc

_TIMEOUT = timedelta(seconds=20)
_PAGE_SIZE = 50
_STARTS = 3
_CHANGES = 10
_PERMISSIONS = ("projects.read", "datasets.read")
_TABLES = ("key", "key_secret")
_SIZES = """
SELECT pg_table_size($1::regclass) AS rows, pg_indexes_size($1::regclass) AS indexes
"""
_GIVE_ROLE = """
UPDATE keywright.user AS u SET role = r.id, role_scope = r.scope
FROM keywright.role r
WHERE r.role_id = $1 AND u.id IN (
    SELECT id FROM keywright.user WHERE user_id LIKE 'loaded-%' ORDER BY id LIMIT $2
)
"""


@dataclass(slots=True)
class Grown:
    """A database with so many keys, and what was seen of it; times in seconds, sizes in bytes.

    Attributes:
        narrowed: the keys of those who have the role from which something was taken.
        changes: how long that took, by whether somebody has the role.
        sizes: rows and indexes by table.
    """

    loaded: Loaded
    narrowed: int
    look_ups: Sequence[float] = ()
    starts: list[float] = field(default_factory=list)
    pages: Sequence[float] = ()
    changes: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def bytes_per_key(self) -> float:
        """Of both tables, with their indexes."""
        return sum(map(sum, self.sizes.values())) / self.loaded.keys


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the tables."""
    grown = [
        Grown(loaded, min(effort.narrowed, loaded.keys))
        for keys in (effort.few, effort.many)
        for loaded in [await Loaded.shared(postgres, keys)]
    ]
    # Writing the load to the disk should not go on while one of the two is measured.
    await asyncio.to_thread(os.sync)
    for each in grown:
        await _measure_sizes(each)
    await _look_up(grown, effort)
    for _ in range(min(_STARTS, effort.rounds)):
        for each in grown:
            began = time.perf_counter()
            async with server.keywright(each.loaded.dsn):
                each.starts.append(time.perf_counter() - began)
    async with AsyncExitStack() as running:
        servers = [
            await running.enter_async_context(server.keywright(each.loaded.dsn)) for each in grown
        ]
        pages = [_page(at, each.loaded) for at, each in zip(servers, grown, strict=True)]
        timings = await time_in_turn(pages, samples=effort.samples // 10)
        for each, seen in zip(grown, timings, strict=True):
            each.pages = seen
        changes = [
            (each, await _changes(at, each)) for at, each in zip(servers, grown, strict=True)
        ]
        for turn in range(1 + min(_CHANGES, effort.rounds * 2)):  # the first one prepares
            for each, narrow in changes:
                for is_held in (True, False):
                    taken = await narrow[is_held]()
                    if turn:
                        each.changes[is_held].append(taken)
    _tables(grown)


def _tables(grown: Sequence[Grown]) -> None:
    base = statistics.median(grown[0].look_ups)
    show(
        "Look-up by prefix, by the number of keys",
        "`storage.credentials` on one connection: one query, and the credential made of its row. "
        "Prefixes are drawn at random from all; both databases are warm, and take turns.",
        ("", "p50 us", "p99 us", "p50 / baseline", "loaded in s"),
        [
            (
                each.loaded.name,
                microseconds(statistics.median(each.look_ups)),
                microseconds(quantile(each.look_ups, 0.99)),
                f"{statistics.median(each.look_ups) / base:.2f}",
                f"{each.loaded.load_seconds:.1f}",
            )
            for each in grown
        ],
    )
    plot.bars(
        "look-up",
        "Look-up by prefix, by the number of keys",
        "us",
        {
            name: {each.loaded.name: quantile(each.look_ups, share) * 1e6 for each in grown}
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
    )
    show(
        "The rest, by the number of keys",
        f"Medians. The first page has {_PAGE_SIZE} keys. *Narrowing*: `UpdateRole` takes a "
        "permission from a role, until it returns; so many keys are of its holders, or none. "
        "*Start*: from the process to SERVING. Both databases take turns.",
        (
            *("", "ListKeys ms", "/ few", "keys narrowed", "narrowing ms", "most ms"),
            *("/ of no keys", "start s", "/ few"),
        ),
        [_cells(each, grown[0]) for each in grown],
    )
    show(
        "Sizes, by the number of keys",
        "In MiB: pg_table_size and pg_indexes_size of the two tables of keys. The indexes were "
        "built at once: those over random values are up to half as large again where keys come one "
        "by one.",
        (
            "",
            *(f"{table} {what}" for table in _TABLES for what in ("rows", "indexes")),
            *("bytes/key", "/ few"),
        ),
        [
            (
                each.loaded.name,
                *(f"{size / 2**20:,.1f}" for table in _TABLES for size in each.sizes[table]),
                f"{each.bytes_per_key:,.0f}",
                f"{each.bytes_per_key / grown[0].bytes_per_key:.2f}",
            )
            for each in grown
        ],
    )


def _cells(grown: Grown, few: Grown) -> Sequence[str]:
    page, narrowing, start = (
        statistics.median(each) for each in (grown.pages, grown.changes[True], grown.starts)
    )
    return (
        grown.loaded.name,
        milliseconds(page),
        f"{page / statistics.median(few.pages):.2f}",
        f"{grown.narrowed:,}",
        milliseconds(narrowing),
        milliseconds(max(grown.changes[True])),
        f"{narrowing / statistics.median(grown.changes[False]):.2f}",
        f"{start:.2f}",
        f"{start / statistics.median(few.starts):.2f}",
    )


async def _look_up(grown: Sequence[Grown], effort: Effort) -> None:
    async with AsyncExitStack() as open_:
        calls = [await _look_up_call(open_, each.loaded) for each in grown]
        for call in calls:  # a database that has just been loaded has little of it in memory
            await closed_loop(call, in_flight=1, seconds=2 * effort.slice_seconds)
        timings = await time_in_turn(calls, samples=effort.samples)
    for each, seen in zip(grown, timings, strict=True):
        each.look_ups = seen


async def _look_up_call(open_: AsyncExitStack, loaded: Loaded) -> Call:
    database = await Database.open(
        loaded.dsn, size=1, connect_timeout=_TIMEOUT, statement_timeout=_TIMEOUT
    )
    open_.push_async_callback(database.close)
    reads = await open_.enter_async_context(database.reading())
    draw = random.Random(loaded.keys)  # the same prefixes in every run

    async def look_up() -> None:
        prefix = loaded_prefix(draw.randrange(loaded.keys))
        seen = await reads.credentials.look_up([prefix])
        assert prefix in seen.found, "the loader made it"

    return look_up


async def _measure_sizes(grown: Grown) -> None:
    connection = await asyncpg.connect(grown.loaded.dsn)
    try:
        for table in _TABLES:
            row = await connection.fetchrow(_SIZES, f"keywright.{table}")
            assert row is not None
            grown.sizes[table] = (row["rows"], row["indexes"])
    finally:
        await connection.close()


def _page(at: Server, loaded: Loaded) -> Call:
    request = key_service_pb2.ListKeysRequest(parent=PARENT, page_size=_PAGE_SIZE)
    body = request.SerializeToString()
    return in_turn(at.channel, LIST_KEYS, [body], bearer(loaded.admin_token))


async def _changes(at: Server, grown: Grown) -> dict[bool, Callable[[], Awaitable[float]]]:
    """Make a role that is held and one that is not; what takes something from either.

    Each tells how long it took, in seconds, and gives it back.
    """
    stub: Any = role_service_pb2_grpc.RoleServiceStub(at.channel)
    caller = bearer(grown.loaded.admin_token)
    names = {}
    for is_held, role_id in ((True, "held"), (False, "held-by-nobody")):
        role = role_pb2.Role(permissions=_PERMISSIONS, may_hold_keys=True)
        request = role_service_pb2.CreateRoleRequest(parent=PARENT, role_id=role_id, role=role)
        names[is_held] = (await stub.CreateRole(request, metadata=caller)).role.name
    connection = await asyncpg.connect(grown.loaded.dsn)
    try:
        await connection.execute(_GIVE_ROLE, "held", grown.narrowed // KEYS_PER_USER)
    finally:
        await connection.close()

    async def set_permissions(name: str, permissions: Sequence[str]) -> None:
        role = role_pb2.Role(name=name, permissions=permissions)
        mask = FieldMask(paths=["permissions"])
        request = role_service_pb2.UpdateRoleRequest(role=role, update_mask=mask)
        await stub.UpdateRole(request, metadata=caller)

    async def narrow(name: str) -> float:
        began = time.perf_counter()
        await set_permissions(name, _PERMISSIONS[:1])
        taken = time.perf_counter() - began
        await set_permissions(name, _PERMISSIONS)
        return taken

    return {is_held: partial(narrow, name) for is_held, name in names.items()}

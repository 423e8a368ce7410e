"""The look-up by prefix with few keys in the database, and with many."""

import asyncio
import os
import random
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

from bench import server
from bench.authenticate import authenticate_call
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import closed_loop, quantile, time_in_turn
from bench.loader import Loaded, loaded_prefix
from bench.server import Postgres
from bench.table import microseconds, show
from bench.target import IN_FLIGHT, Target, show_targets, take_turns
from keywright.storage.database import Database

_TOKENS = 64
_TIMEOUT = timedelta(seconds=20)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print both tables: the look-up alone, and `Authenticate` on top of it."""
    few = await Loaded.new(postgres, "look_up_few", effort.few)
    many = await Loaded.new(postgres, "look_up_many", effort.many)
    # Writing the load to the disk should not go on while one of the two is measured.
    await asyncio.to_thread(os.sync)
    await _look_ups(few, many, effort)
    await _through_grpc(few, many, effort)


async def _look_ups(few: Loaded, many: Loaded, effort: Effort) -> None:
    async with AsyncExitStack() as open_:
        calls = [await _look_up(open_, each) for each in (few, many)]
        for call in calls:  # a database that has just been loaded has little of it in memory
            await closed_loop(call, in_flight=1, seconds=2 * effort.slice_seconds)
        timings = await time_in_turn(calls, samples=effort.samples)
    baseline = statistics.median(timings[0])
    show(
        "Look-up by prefix, by the number of keys",
        "`storage.credentials` on one connection: one query, and the credential made of its row. "
        "Prefixes are drawn at random from all; both databases are warm, and take turns.",
        ("", "p50 us", "p99 us", "p50 / baseline", "loaded in s"),
        [
            (
                each.name,
                microseconds(statistics.median(times)),
                microseconds(quantile(times, 0.99)),
                f"{statistics.median(times) / baseline:.2f}",
                f"{each.load_seconds:.1f}",
            )
            for each, times in zip((few, many), timings, strict=True)
        ],
    )


async def _look_up(open_: AsyncExitStack, loaded: Loaded) -> Callable[[], Awaitable[object]]:
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


async def _through_grpc(few: Loaded, many: Loaded, effort: Effort) -> None:
    targets: list[Target] = []
    async with AsyncExitStack() as running:
        for in_flight in IN_FLIGHT:
            for loaded in (few, many):
                at = await running.enter_async_context(server.keywright(loaded.dsn))
                admin = Admin(at.channel, loaded.admin_token)
                caller = await admin.service_user(f"sidecar-{in_flight}", "authenticator")
                member = await admin.service_user(f"member-{in_flight}", "member")
                tokens = [await admin.key(member) for _ in range(_TOKENS)]
                call = authenticate_call(at, tokens, bearer(await admin.key(caller)))
                targets.append(Target(loaded.name, at, call, in_flight))
        await take_turns(targets, effort)
    show_targets(
        "Authenticate, from the database, by the number of keys",
        "Another's token, created through `CreateKey` after the others were loaded.",
        few.name,
        targets,
    )

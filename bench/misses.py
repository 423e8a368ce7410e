"""`Authenticate` of what the server does not remember yet, and look-ups together and alone."""

import importlib
import random
from collections.abc import Sequence
from typing import Any

from bench import server
from bench.authenticate import authenticate_call
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import Slice, Summary, closed_loop, so_many
from bench.loader import load_tokens, loaded_prefix
from bench.server import Postgres
from bench.table import microseconds, milliseconds, show
from keywright.app.config import Config
from keywright.storage.database import Database

_IN_FLIGHT = (1, 32)
_LOOK_UPS_IN_FLIGHT = 64
_LOOK_UP = "keywright.service.look_ups"


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print both tables."""
    dsn, admin_token = await postgres.database("misses")
    count = -(-effort.missed * len(_IN_FLIGHT) // 10) * 10
    tokens = await load_tokens(dsn, count)
    await _cold(dsn, admin_token, tokens)
    await _look_ups(dsn, count, effort)


async def _cold(dsn: str, admin_token: str, tokens: Sequence[str]) -> None:
    rows = []
    share = len(tokens) // len(_IN_FLIGHT)
    async with server.keywright(dsn) as at:
        admin = Admin(at.channel, admin_token)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        member = await admin.service_user("member", "member")
        await authenticate_call(at, [await admin.key(member)], sidecar)()
        for turn, in_flight in enumerate(_IN_FLIGHT):
            mine = tokens[turn * share : (turn + 1) * share]
            for name in ("cold", "the same, warm"):
                call = authenticate_call(at, mine, sidecar)
                seen = await so_many(call, count=share, in_flight=in_flight)
                rows.append((name, in_flight, Summary.of([seen])))
    bases = {in_flight: seen for name, in_flight, seen in rows if name != "cold"}
    show(
        "Misses: the first call with a token",
        f"{share:,} keys of their own for each number of calls in flight, each used once by a "
        "server that has just been started; its caller is known. Server, PostgreSQL and the "
        "generator, which is written in Python, share the cores.",
        ("", "in flight", "calls/s", "p50 ms", "p99 ms", "p50 / warm"),
        [
            (
                name,
                str(in_flight),
                f"{seen.rate:,.0f}",
                milliseconds(seen.p50),
                milliseconds(seen.p99),
                f"{seen.p50 / bases[in_flight].p50:.2f}",
            )
            for name, in_flight, seen in rows
        ],
    )


async def _look_ups(dsn: str, count: int, effort: Effort) -> None:
    try:
        look_ups: Any = importlib.import_module(_LOOK_UP)
    except ModuleNotFoundError:
        print(f"\nThere is no {_LOOK_UP}.")
        return
    config, draw = Config(), random.Random(count)
    database = await Database.open(
        dsn,
        size=config.database_pool_size,
        connect_timeout=config.database_connect_timeout,
        statement_timeout=config.database_statement_timeout,
    )
    together = look_ups.LookUps(database)

    async def alone() -> None:
        async with database.reading() as reads:
            await reads.credentials.look_up([loaded_prefix(draw.randrange(count))])

    async def with_others() -> None:
        prefix = loaded_prefix(draw.randrange(count))
        await together.look_up(prefix, in_vain=lambda: None)

    calls = {"a query each": alone, "together": with_others}
    slices: dict[str, list[Slice]] = {name: [] for name in calls}
    try:
        for turn in range(effort.rounds + 1):  # the first one prepares
            for name, call in calls.items():
                seen = await closed_loop(
                    call, in_flight=_LOOK_UPS_IN_FLIGHT, seconds=effort.slice_seconds
                )
                if turn:
                    slices[name].append(seen)
    finally:
        await database.close()
    summaries = {name: Summary.of(each) for name, each in slices.items()}
    base = summaries["a query each"].rate
    show(
        "Look-ups by prefix, alone and together",
        f"{_LOOK_UPS_IN_FLIGHT} at a time, in the benchmark's process, on a pool of "
        f"{config.database_pool_size} connections.",
        ("", "look-ups/s", "of the first", "p50 us"),
        [
            (name, f"{seen.rate:,.0f}", f"{seen.rate / base:.2f}", microseconds(seen.p50))
            for name, seen in summaries.items()
        ],
    )

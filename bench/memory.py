"""What a key takes in the memory of a server that remembers it."""

import asyncio
from collections.abc import Sequence

from bench import plot, server
from bench.authenticate import authenticate_call
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import so_many
from bench.loader import load_tokens
from bench.server import Postgres, Server
from bench.table import show

_IN_FLIGHT = 32
_QUARTERS = 4
_WRITING_SECONDS = 1.5  # until what was counted is written


async def run(postgres: Postgres, effort: Effort) -> None:
    """Show both tables."""
    dsn, admin_token = await postgres.database("memory")
    tokens = await load_tokens(dsn, effort.cached)
    # What was counted is written at once, so that little of it waits in memory.
    async with server.keywright(dsn, usage_interval="1s") as at:
        admin = Admin(at.channel, admin_token)
        sidecar = await admin.key(await admin.service_user("sidecar", "authenticator"))
        started = at.resident_bytes()
        one = tokens[:1] * len(tokens)
        await _grown(at, one[: len(one) // 4], sidecar)  # what a server takes once it is in use
        rows = {"one key again and again": await _grown(at, one, sidecar)}
        in_use = at.resident_bytes()
        remembered = {0: in_use}
        for quarter in range(_QUARTERS):
            share = slice(*(len(tokens) * each // _QUARTERS for each in (quarter, quarter + 1)))
            await _grown(at, tokens[share], sidecar)
            remembered[share.stop] = at.resident_bytes()
        rows["each of the keys once"] = remembered[len(tokens)] - in_use
    base = rows["one key again and again"]
    show(
        "What a remembered key takes",
        f"Growth of the server's resident memory by {len(tokens):,} calls of `Authenticate`.",
        ("", "grown by KiB", "bytes/call", "more than the first"),
        [
            (
                name,
                f"{grown / 1024:,.0f}",
                f"{grown / len(tokens):,.0f}",
                f"{(grown - base) / len(tokens):,.0f}",
            )
            for name, grown in rows.items()
        ],
    )
    show(
        "What a process takes",
        "Resident memory of the same server, shared libraries included.",
        ("", "MiB", "/ just started"),
        [
            (name, f"{taken / 2**20:,.0f}", f"{taken / started:.2f}")
            for name, taken in (
                ("just started", started),
                ("in use, one key remembered", in_use),
                (f"{len(tokens):,} keys remembered", remembered[len(tokens)]),
            )
        ],
    )
    plot.lines(
        "memory",
        "Resident memory of one process, by the keys that it remembers",
        "keys",
        "MiB",
        {"resident": {keys: taken / 2**20 for keys, taken in remembered.items()}},
    )


async def _grown(at: Server, tokens: Sequence[str], caller: str) -> int:
    before = at.resident_bytes()
    call = authenticate_call(at, tokens, bearer(caller))
    await so_many(call, count=len(tokens), in_flight=_IN_FLIGHT)
    await asyncio.sleep(_WRITING_SECONDS)
    return at.resident_bytes() - before

"""`Authenticate` of what the server remembers, beside a method that does nothing."""

import math
from contextlib import AsyncExitStack

from bench import cores, plot, server
from bench.authenticate import AUTHENTICATE, request
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.hot_call import HotCall, Row, by_in_flight, compare
from bench.keys import Admin, bearer
from bench.server import Postgres
from bench.table import microseconds, show
from keywright.app.config import Config

_PEAKS = (1_000, 3_000, 10_000, 30_000, 100_000)
_PLANNED_SHARE = 0.5
_FEWEST = 2  # one can be replaced while the other serves
_CONNECTIONS_BESIDE_THE_POOL = 2  # docs/guides/configuration.md, Workers


async def run(postgres: Postgres, effort: Effort) -> None:
    """Show the tables."""
    dsn, admin_token = await postgres.database("warm")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        (own,) = await admin.tokens(1)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        body = request(own)
        warm = HotCall("Authenticate, another's token", at, AUTHENTICATE, [body], sidecar)
        (reply,) = (await warm.answer()).replies
        no_op = await running.enter_async_context(server.echo(len(reply), core=cores.SERVER))
        echo = HotCall("no-op", no_op, ECHO, [body], sidecar)
        with_own = HotCall("Authenticate, own token", at, AUTHENTICATE, [body], bearer(own))
        rows = await compare(
            "Authenticate, warm, beside a no-op",
            f"As shipped. Requests of {len(body)} bytes, replies of {len(reply)}; the caller has a "
            "credential of its own. 64 in flight are two connections of 32.",
            [(echo, [warm, with_own])],
            effort,
        )
        _size(next(each for each in reversed(rows) if each.call is warm))
        plot.bars(
            "warm-rate",
            "Authenticate, warm, beside a no-op: calls/s of one process",
            "calls/s",
            by_in_flight(rows, lambda row: row.rate),
        )
        plot.bars(
            "warm-cpu",
            "Authenticate, warm, beside a no-op: what a call costs the server",
            "processor time, us/call",
            by_in_flight(rows, lambda row: row.cpu_each * 1e6),
        )


def _size(row: Row) -> None:
    """Show how many processes it takes, going by the processor time of a call.

    Not by the rate: that is lower while others use the machine, and the time hardly is.
    """
    rate = 1 / row.cpu_each
    connections = Config().database_pool_size + _CONNECTIONS_BESIDE_THE_POOL
    rows = []
    for peak in _PEAKS:
        processes = max(_FEWEST, math.ceil(peak / (_PLANNED_SHARE * rate)))
        rows.append((f"{peak:,}", f"{processes:,}", f"{processes * connections:,}"))
    show(
        "How many processes for how many calls",
        f"With {row.in_flight} in flight a warm call took {microseconds(row.cpu_each)} us of "
        f"processor time, so a process on a core of its own answers {rate:,.0f} calls/s. "
        f"{_PLANNED_SHARE:.0%} of that are planned for: half of the processes can be gone, or "
        f"calls come twice as fast for a while. {_FEWEST} at least. Each has up to {connections} "
        "connections to the database.",
        ("calls/s at the peak", "processes, a core each", "connections to the database"),
        rows,
    )

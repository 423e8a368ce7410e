"""What it costs to watch a server: metrics that are scraped, and a log line for each call.

Measured is `Authenticate` of what the server remembers, on three servers that take turns: one that
nobody watches, one whose metrics are scraped each second, one whose access log has every call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall, Row, show_beside_first
from bench.keys import Admin, bearer
from bench.server import Postgres, Server
from bench.table import milliseconds

_IN_FLIGHT = 64
_EVERY_SECONDS = 1
_SLICES = 2  # so long is one: several scrapes
_AIM = 0.95
_SCRAPES = 100


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("observing")
    kinds: dict[str, dict[str, Any]] = {
        "neither": {"metrics_listen": ""},
        "metrics scraped": {},
        "access_log=all": {"metrics_listen": "", "access_log": "all"},
    }
    async with AsyncExitStack() as running:
        servers = {
            name: await running.enter_async_context(
                server.keywright(dsn, core=cores.SERVER, **settings)
            )
            for name, settings in kinds.items()
        }
        admin = Admin(next(iter(servers.values())).channel, admin_token)
        (token,) = await admin.tokens(1)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        rows = [
            Row(HotCall(name, at, AUTHENTICATE, [request(token)], sidecar), _IN_FLIGHT)
            for name, at in servers.items()
        ]
        for turn in range(effort.rounds + 1):  # the first one warms up
            for row, at in zip(rows, servers.values(), strict=True):
                async with _scraped(at):
                    if turn:
                        await row.measure(_SLICES * effort.slice_seconds)
                    else:
                        await row.call.load(_IN_FLIGHT, effort.slice_seconds)
        scrape_seconds = await _of_a_scrape(servers["metrics scraped"])
    show_beside_first(
        "Authenticate, warm, watched",
        f"{_IN_FLIGHT} in flight. Scraped: every {_EVERY_SECONDS} s, each of which takes "
        f"{milliseconds(scrape_seconds)} ms of the server's CPU. The log goes to a file; "
        "by default it has no verdicts (`access_log=management`), which is the case in the other "
        f"rows. The aim is {_AIM} of the first row's calls/s.",
        rows,
    )


@asynccontextmanager
async def _scraped(at: Server) -> AsyncIterator[None]:
    """Scrape a server that has metrics, from now on."""
    scraping = asyncio.create_task(_scrape(at)) if at.metrics_address else None
    try:
        yield
    finally:
        if scraping is not None:
            scraping.cancel()
            (outcome,) = await asyncio.gather(scraping, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError), outcome


async def _of_a_scrape(at: Server) -> float:
    """Seconds of processor time that one takes, while nobody calls."""
    before = at.cpu_seconds()
    for _ in range(_SCRAPES):
        await at.metrics()
    return (at.cpu_seconds() - before) / _SCRAPES


async def _scrape(at: Server) -> None:
    while True:
        assert "keywright_calls_total" in await at.metrics(), "these are its metrics"
        await asyncio.sleep(_EVERY_SECONDS)

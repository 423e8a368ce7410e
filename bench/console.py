"""The console's list of keys, with many in the workspace: what it takes there, and in a browser."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from statistics import median

import httpx2
from playwright.async_api import Browser, async_playwright

from bench import server
from bench.effort import Effort
from bench.load import time_in_turn
from bench.loader import Loaded
from bench.server import Postgres
from bench.table import milliseconds, remark, show
from keywright.sdk import Client

_KEYS = 100_000
_COOKIE = "keywright"
_LISTS = {
    "newest first": "/keys?owner=all",
    "by name": "/keys?owner=all&sort=name",
    "search for an address": "/keys?owner=all&search=77%40loaded.example",
}
_NOTE = (
    "The admin looks at everybody's keys, 50 a page. *Console*: from sending the request to the "
    "last byte of the page, one at a time, over a connection that is there; the baseline is "
    "`/healthz`, which the console answers without the server. *First visit*: Chromium, headless, "
    "on the same two cores, with nothing in its cache: all bytes that come over the network, "
    "headers included, and the first contentful paint, both as Chromium's performance API tells "
    "them; medians. *Next visit*: what has a hash in its name is in the cache."
)
_TRANSFERRED = """() => [...performance.getEntriesByType('navigation'),
  ...performance.getEntriesByType('resource')].reduce((sum, each) => sum + each.transferSize, 0)"""
_PAINT = """() => new Promise(found => new PerformanceObserver(list => {
  const [paint] = list.getEntriesByName('first-contentful-paint');
  if (paint) found(paint.startTime);
}).observe({type: 'paint', buffered: true}))"""
Visit = tuple[float, float]
"""Bytes that came over the network, and milliseconds to the first contentful paint."""


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    executable = shutil.which("chromium")
    if executable is None:
        remark("Not measured: there is no Chromium; `make system-deps` installs it.")
        return
    loaded = await Loaded.new(postgres, "loaded_for_console", min(_KEYS, effort.many))
    await asyncio.to_thread(os.sync)
    async with (
        server.keywright(loaded.dsn) as running,
        server.console(running.address) as pages,
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=executable) as browser,
    ):
        url = f"http://{pages.address}"
        with Client(running.address, anonymous=True) as nobody:
            session = nobody.sessions.sign_in_by_key(loaded.admin_token).token.reveal()
        paths = ["/healthz", *_LISTS.values()]
        async with httpx2.AsyncClient(base_url=url, cookies={_COOKIE: session}) as client:
            calls = [_getting(client, path) for path in paths]
            base, *seconds = await time_in_turn(calls, samples=max(effort.samples // 15, 20))
        visits = [
            await _visits(browser, url, session, path, max(effort.samples // 150, 3))
            for path in _LISTS.values()
        ]
    show(
        f"The console's list of keys, {loaded.keys:,} keys in the workspace",
        _NOTE,
        (
            *("", "console p50 ms", "p50 / baseline"),
            *("first visit KiB", "first paint ms", "next visit KiB", "first paint ms"),
        ),
        [
            (
                name,
                milliseconds(median(taken)),
                f"{median(taken) / median(base):.1f}",
                *(_told(first)),
                *(_told(again)),
            )
            for name, taken, (first, again) in zip(_LISTS, seconds, visits, strict=True)
        ],
    )


def _told(visits: list[Visit]) -> tuple[str, str]:
    sizes, paints = zip(*visits, strict=True)
    return f"{median(sizes) / 1024:.1f}", f"{median(paints):.0f}"


def _getting(client: httpx2.AsyncClient, path: str) -> Callable[[], Awaitable[object]]:
    async def get() -> None:
        answer = await client.get(path)
        assert answer.status_code == httpx2.codes.OK, f"{path}: {answer.status_code}"

    return get


async def _visits(
    browser: Browser, url: str, session: str, path: str, count: int
) -> tuple[list[Visit], list[Visit]]:
    """First visits, each of a browser that knows nothing, and the one after each."""
    first: list[Visit] = []
    again: list[Visit] = []
    for _ in range(count):
        async with await browser.new_context(base_url=url) as context:
            await context.add_cookies([{"name": _COOKIE, "value": session, "url": url}])
            page = await context.new_page()
            for seen in (first, again):
                await page.goto(path)
                seen.append((await page.evaluate(_TRANSFERRED), await page.evaluate(_PAINT)))
    return first, again

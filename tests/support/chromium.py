"""Debian's Chromium, driven by Playwright, and people who look at pages with it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    async_playwright,
    expect,
)

WIDE, NARROW = 1280, 390
Scheme = Literal["light", "dark"]
# Nothing but this machine is there, whatever a page names; and text looks the same everywhere.
_ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--disable-partial-raster",  # edges would depend on what was there before
]
# Of what a page shows, as of what is done to it: a busy machine takes seconds for either.
_PATIENCE_MILLISECONDS = 30_000
expect.set_options(timeout=_PATIENCE_MILLISECONDS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    executable = shutil.which("chromium")
    assert executable, "chromium is not installed: make system-deps"
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS) as browser,
    ):
        yield browser


@asynccontextmanager
async def person(
    browser: Browser,
    url: str,
    *,
    javascript: bool = True,
    width: int = WIDE,
    scheme: Scheme = "light",
) -> AsyncIterator[BrowserContext]:
    """Somebody with cookies of their own; relative addresses are of the site at `url`.

    At the end nothing may have been wrong in any page of that site: no script failed, and nothing
    was refused for the content security policy. Chromium tells both on the console.
    """
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        is_ours = message.page is not None and message.page.url.startswith(url)
        # A page that says 404 or 400 says it on purpose.
        of_status = message.text.startswith("Failed to load resource: the server responded")
        if is_ours and message.type in {"error", "warning"} and not of_status:
            complaints.append(f"{message.text} ({message.location.get('url')})")

    async with await browser.new_context(
        base_url=url,
        java_script_enabled=javascript,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Vienna",
    ) as context:
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        context.on("console", heard)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield context
    assert not complaints, "\n".join(complaints)

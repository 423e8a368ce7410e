"""`make screenshots`: pictures of the console's pages, for docs/guides/console.md and for our eyes.

The same pages make the same pictures, bit by bit: what is shown is made up (`exhibits.py`), moments
are moved so that today is always the same day, and what is random is written over.
"""

import asyncio
import io
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from tests.browser import exhibits
from tests.browser.generating import shown_token
from tests.browser.stage import Stage, account, stage
from tests.support.chromium import NARROW, WIDE, Scheme, chromium
from tests.support.database import cluster
from tests.support.unprivileged import directory_others_may_enter

_ROOT = Path(__file__).resolve().parents[2]
GUIDE, OTHERS = _ROOT / "docs" / "guides" / "console", _ROOT / ".data" / "screenshots"
"""Where pictures go that the guide shows, or may, and those that are for our eyes only."""
_FOR_EYES = {"sign-in-link", "menu", "mistake", "rotate", "nothing-here", "no-match"}
_FOR_EYES |= {"new-user", "revoke-keys", "new-role", "new-grant", "role", "service-users"}
_FOR_EYES |= {"overview", "revoke-many", "audit", "audit-trail"}

_COLORS = 64
_TOKEN = "kw_live_3fK9aZ01bQxYp8VdN2sLr7TqXw4mGzHcJ6uE0yKoBi5vRaDfSnPtWlZk1CjQ"

# `by` are the milliseconds from the real now to the day of the pictures. What has come about while
# they were taken has happened two minutes ago, and what will come is told to the hour.
_STILL = """([by, today, random]) => {
  const minute = 60_000, hour = 60 * minute;
  const brief = new Intl.DateTimeFormat('en-GB', {dateStyle: 'medium', timeStyle: 'short'});
  const day = new Intl.DateTimeFormat('en-GB', {dateStyle: 'medium'});
  for (const time of document.querySelectorAll('time[datetime]')) {
    const moment = new Date(time.dateTime).getTime() + by;
    const still =
      moment < today - 2.5 * minute ? moment
      : moment < today + hour / 2 ? today - 2 * minute
      : moment - moment % hour;
    time.textContent = (time.dataset.brief ? day : brief).format(new Date(still));
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [pattern, instead] of random) {
      const text = texts.currentNode.data.replace(new RegExp(pattern, 'g'), instead);
      if (text !== texts.currentNode.data) texts.currentNode.data = text;
    }
  }
  document.activeElement?.blur();
}"""
_RANDOM = [
    (r"kw_live_[0-9A-Za-z]{60,}", _TOKEN),
    (r"\b(?=[a-z]*[0-9])[a-z0-9]{16}\b", "5k2hq8w4m9x3c7vd"),  # ids that the server gives
    (r'prefix: "[0-9A-Za-z]{12}"', 'prefix: "Zb4nC1yXo9Ti"'),
    (r"127\.0\.0\.1", "203.0.113.24"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)", "2026-06-15T08:22:00Z"),
]
Steps = Callable[[Page], Awaitable[object]]


def _at(address: str) -> Steps:
    return lambda page: page.goto(address)


async def _new_token(page: Page) -> None:
    await page.goto("/new-key")
    await page.get_by_label("Name").fill("Deploy from the office")
    await page.get_by_role("button", name="Generate key").click()
    await shown_token(page)


async def _filled_in(page: Page) -> None:
    await page.goto("/new-key")
    await page.get_by_label("Name").fill("Deploy from the office")
    await page.get_by_text("Limit what it may do").click()
    await page.get_by_label("Scopes").fill("datasets.read\nprojects.*")


async def _mistaken(page: Page) -> None:
    await page.goto("/new-key")
    await page.get_by_label("Custom", exact=True).check()
    await page.get_by_label("Custom length").fill("many")
    await page.get_by_role("button", name="Generate key").click()
    await page.get_by_role("alert").wait_for()


async def _menu(page: Page) -> None:
    await page.goto("/keys")
    await account(page).click()


STRANGERS: dict[str, Steps] = {"sign-in": _at("/sign-in"), "sign-in-link": _at("/sign-in/link")}
MEMBERS: dict[str, Steps] = {
    "keys": _at("/keys"),
    "menu": _menu,
    "new-key": _filled_in,
    "mistake": _mistaken,
    "rotate": _at("/keys/nightly-export/rotate"),
    "revoke": _at("/keys/website-ci/revoke"),
    "sessions": _at("/sessions"),
    "nothing-here": _at("/keys/nothing"),
    "no-match": _at("/keys?search=nothing"),
}
ADMINS: dict[str, Steps] = {
    "users": _at("/users"),
    "user": _at("/users/ann"),
    "new-user": _at("/new-user"),
    "revoke-keys": _at("/users/ann/revoke-keys"),
    "service-users": _at("/service-users"),
    "roles": _at("/roles"),
    "role": _at("/roles/reviewer"),
    "new-role": _at("/new-role"),
    "grants": _at("/grants"),
    "new-grant": _at("/new-grant"),
    "everybodys-keys": _at("/keys?owner=all&search=example.com"),
    "overview": _at("/overview"),
    "revoke-many": _at("/revoke-keys"),
    "policy": _at("/policy"),
    "audit": _at("/audit?action=CreateKey"),
    "audit-trail": _at("/audit-trail"),
    "key": _at("/keys/notebook?permission=datasets.write&resource=projects%2Fstreet-signs"),
}
AT_LAST: dict[str, Steps] = {"token": _new_token}  # it leaves a key behind


async def _take(page: Page, name: str, steps: Steps, scheme: Scheme, by: timedelta) -> None:
    today = exhibits.TODAY.timestamp() * 1000
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": 800 if width == WIDE else 844})
        await steps(page)
        await page.evaluate(_STILL, [by / timedelta(milliseconds=1), today, _RANDOM])
        picture = await page.screenshot(full_page=True, caret="initial")
        directory = OTHERS if name in _FOR_EYES else GUIDE
        _write(directory / f"{name}-{width}-{scheme}.png", picture)


def _write(file: Path, picture: bytes) -> None:
    """As small as it is without looking worse: these are flat colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(_COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        file, optimize=True
    )


@asynccontextmanager
async def _running() -> AsyncIterator[Stage]:
    with directory_others_may_enter() as directory, tempfile.TemporaryDirectory() as other:
        async with (
            cluster(directory / "postgres") as database,
            chromium() as browser,
            stage(browser, database, Path(other)) as running,
        ):
            yield running


async def main(wanted: str) -> None:
    """Take all pictures whose name matches."""
    for directory in (GUIDE, OTHERS):
        directory.mkdir(parents=True, exist_ok=True)
    schemes: tuple[Scheme, ...] = ("light", "dark")

    async with _running() as on:
        now = await exhibits.hang(on.service)

        async def take(page: Page, pictures: dict[str, Steps], scheme: Scheme) -> None:
            for name, steps in pictures.items():
                if re.search(wanted, name):
                    await _take(page, name, steps, scheme, exhibits.TODAY - now)

        for scheme in schemes:
            async with on.stranger(scheme=scheme) as page:
                await take(page, STRANGERS, scheme)
        for user_id, pictures in ((exhibits.GRACE, ADMINS), (exhibits.ANN, MEMBERS)):
            async with (
                on.person(user_id=user_id, scheme="light") as light,
                on.person(user_id=user_id, scheme="dark") as dark,
            ):
                await exhibits.dress_sessions(on.service, now)
                await take(light, pictures, "light")
                await take(dark, pictures, "dark")
        for scheme in schemes:
            async with on.person(user_id=exhibits.ANN, scheme=scheme) as page:
                await take(page, AT_LAST, scheme)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))

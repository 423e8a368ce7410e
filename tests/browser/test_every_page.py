"""Each page that the router has, for all eyes and hands: in light and dark, wide and narrow.

That nothing complains on the browser's console, of a script or of the content security policy, is
seen to by `tests.support.chromium.person`.
"""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from tests.browser.accessibility import findings
from tests.browser.generating import generate
from tests.browser.layout import is_within_its_width
from tests.browser.stage import Stage, account
from tests.browser.visited import Examples, examples, paths
from tests.support.chromium import NARROW, WIDE

pytestmark = pytest.mark.slow  # a browser


@pytest.fixture(scope="module", name="seen")
async def _seen(stage: Stage) -> Examples:
    return await examples(stage.service)


@pytest.fixture(scope="module", name="admins_page")
async def _admins_page(stage: Stage) -> AsyncIterator[Page]:
    async with stage.person("admin", user_id="admin") as page:
        yield page


async def _is_well(page: Page) -> None:
    found: list[str] = []
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": 900})
        await is_within_its_width(page)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            found += [f"{width} {scheme}: {each}" for each in await findings(page)]
    assert not found, "\n".join([page.url, *found])


@pytest.mark.parametrize("path", paths())
async def test_a_page_has_no_serious_finding_and_fits(
    path: str, seen: Examples, admins_page: Page
) -> None:
    address = seen.address(path)
    answer = await admins_page.goto(address)
    assert answer is not None
    assert (answer.status, answer.url.partition("?")[0][-len(address) :]) == (200, address)
    await _is_well(admins_page)


async def test_the_pages_with_a_token_have_no_serious_finding_and_fit(stage: Stage) -> None:
    async with stage.person() as page:
        await generate(page, "Shown")
        await _is_well(page)
        await page.reload()  # it was shown already
        await _is_well(page)


async def test_pages_with_little_to_show_or_with_mistakes_have_no_serious_finding_and_fit(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        for address in ("/keys", "/keys?search=nothing", "/keys/missing", "/keys?page=wrong"):
            await page.goto(address)
            await _is_well(page)
        await page.goto("/new-key")
        await page.get_by_label("Custom", exact=True).check()
        await page.get_by_label("Custom length").fill("many")
        await page.get_by_role("button", name="Generate key").click()
        await _is_well(page)
        await account(page).click()
        await _is_well(page)


async def test_what_strangers_and_guests_see_has_no_serious_finding_and_fits(
    stage: Stage,
) -> None:
    async with stage.stranger() as page:
        for address in ("/sign-in", "/sign-in?signed_out=1", "/sign-in/link?token=some", "/keys"):
            await page.goto(address)
            await _is_well(page)
    async with stage.person("guest") as page:
        await _is_well(page)

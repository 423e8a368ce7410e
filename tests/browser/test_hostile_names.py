"""Names that somebody chose to do harm are text, and leave the page as it is."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.generating import generate
from tests.browser.layout import is_within_its_width
from tests.browser.stage import Stage
from tests.support.chromium import NARROW, WIDE

pytestmark = pytest.mark.slow  # a browser

NAMES = {
    "script": "<script>window.hurt = 1</script>",
    "attribute": "\"'><img src=x onerror=window.hurt=1>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "right to left": "invoice \u202efdp.exe",
    "one long word": "W" * 200,
    "many words": "long " * 39 + "end",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 8 + "deploy",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
async def test_a_hostile_name_is_text_on_every_page_of_its_key(stage: Stage, name: str) -> None:
    async with stage.person() as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill(name)
        await page.get_by_role("button", name="Generate key").click()
        if await page.get_by_role("alert").count():  # the server takes no control characters
            assert name == NAMES["right to left"]
            await expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
            await _is_harmless(page)
            return
        await expect(page.get_by_role("link", name="Done")).to_be_visible()
        await _shows(page, name)
        await page.goto("/keys")
        await _shows(page, name)
        await page.locator("tbody .main-link").click()
        await _shows(page, name)
        details = page.url
        for change in ("rotate", "disable", "revoke"):
            await page.goto(f"{details}/{change}")
            await _shows(page, name)


async def test_the_state_of_a_key_is_not_moved_by_a_name_that_turns_the_text(stage: Stage) -> None:
    async with stage.person() as page:
        await generate(page, "مفتاح abc")
        await page.goto("/keys")
        row = page.locator("tbody tr").first
        name = await row.locator("bdi.name").bounding_box()
        state = await row.locator(".badge").bounding_box()
        assert name is not None
        assert state is not None
        assert name["x"] + name["width"] < state["x"]


async def _shows(page: Page, name: str) -> None:
    await expect(page.locator("bdi.name").first).to_have_text(name)
    await _is_harmless(page)


async def _is_harmless(page: Page) -> None:
    assert await page.evaluate("window.hurt") is None
    for width in (NARROW, WIDE):
        await page.set_viewport_size({"width": width, "height": 900})
        await is_within_its_width(page)

"""The list of keys follows what is typed, without another page."""

import pytest
from playwright.async_api import expect

from tests.browser.generating import generate
from tests.browser.stage import Stage

pytestmark = pytest.mark.slow  # a browser


async def test_the_list_follows_the_search_and_back_leads_to_what_it_was(stage: Stage) -> None:
    async with stage.person() as page:
        for name in ("Berlin", "Amsterdam"):
            await generate(page, name)
        await page.goto("/keys")
        names = page.locator("tbody .main-link")
        await page.evaluate("window.mark = 1")
        await page.get_by_label("Search").press_sequentially("berl")
        await expect(names).to_have_text(["Berlin"])
        assert await page.evaluate("window.mark") == 1, "it is the same page"
        assert page.url.endswith("search=berl&state=&environment=")
        told = page.locator("tbody time").first
        await expect(told).not_to_contain_text("UTC")  # in the viewer's zone, here too

        await page.go_back()
        await expect(names).to_have_text(["Amsterdam", "Berlin"])
        await page.go_forward()
        await expect(names).to_have_text(["Berlin"])
        await page.get_by_role("link", name="Clear").click()
        await expect(names).to_have_text(["Amsterdam", "Berlin"])


async def test_back_twice_after_clear_leads_to_the_list_before_the_search(stage: Stage) -> None:
    """A field that is left asks for nothing new, so that Back does not lead to the same place."""
    async with stage.person() as page:
        for name in ("Berlin", "Amsterdam"):
            await generate(page, name)
        await page.goto("/keys")
        names, search = page.locator("tbody .main-link"), page.get_by_label("Search")
        await search.press_sequentially("berl")
        await expect(names).to_have_text(["Berlin"])
        async with page.expect_response("**/keys?search=berl**"):
            await search.blur()
        await page.get_by_role("link", name="Clear").click()
        await expect(names).to_have_text(["Amsterdam", "Berlin"])

        await page.go_back()
        await expect(names).to_have_text(["Berlin"])
        await page.go_back()
        await expect(search).to_have_value("")
        await expect(names).to_have_text(["Amsterdam", "Berlin"])


async def test_what_is_revoked_from_a_list_is_what_the_list_has_come_to_show(stage: Stage) -> None:
    async with stage.person("admin") as page:
        await generate(page, "Leaked in May")
        await page.goto("/keys?owner=all")
        await page.get_by_label("Search").press_sequentially("leaked")
        await expect(page.locator("tbody .main-link")).to_have_text(["Leaked in May"])
        await page.get_by_role("link", name="Revoke many").click()
        await expect(page.get_by_label("Search")).to_have_value("leaked")


async def test_who_is_signed_out_meanwhile_is_led_to_sign_in_and_not_into_the_list(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        await generate(page, "Berlin")
        await page.goto("/keys")
        await page.context.clear_cookies()
        await page.get_by_label("State").select_option("Disabled")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(page.get_by_role("heading", name="API keys")).to_have_count(0)

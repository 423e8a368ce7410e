"""Everything but copying is there for who has switched JavaScript off."""

import pytest
from playwright.async_api import expect

from tests.browser.generating import generate, open_key, shown_token
from tests.browser.stage import Stage, account
from tests.support.identity import sign_in_there

pytestmark = pytest.mark.slow  # a browser


async def test_a_key_lives_and_dies_without_javascript(stage: Stage) -> None:
    async with stage.person(javascript=False) as page:
        token = await generate(page, "Plain")
        await expect(page.get_by_role("button", name="Copy")).to_be_hidden()
        await stage.service.admin.authenticate(token)
        await page.get_by_role("link", name="Done").click()

        await page.get_by_label("Search").fill("plai")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="Plain").click()
        await page.get_by_role("link", name="Rotate").click()
        await page.get_by_role("button", name="Rotate").click()
        assert await shown_token(page) != token
        for change in ("Disable", "Enable", "Revoke"):
            await page.goto("/keys")
            await page.get_by_role("link", name="Plain").click()
            await page.get_by_role("link", name=change).click()
            await page.get_by_role("button", name=f"{change} key").click()
            await expect(page.get_by_role("status")).to_be_visible()
        await page.get_by_role("link", name="Delete").click()
        await page.get_by_role("button", name="Delete key").click()
        await expect(page.get_by_role("status")).to_contain_text("deleted")


async def test_a_length_of_ones_own_can_be_chosen_without_javascript(stage: Stage) -> None:
    async with stage.person(javascript=False) as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("For 36 hours")
        await page.get_by_label("Custom", exact=True).check()
        await page.get_by_label("Custom length").fill("36")
        await page.get_by_label("Unit").select_option("Hours")
        await page.get_by_role("button", name="Generate key").click()
        await shown_token(page)
        await open_key(page, "For 36 hours")
        await page.get_by_label("Permission").fill("datasets.read")
        await page.get_by_role("button", name="Explain").click()
        await expect(page.locator(".verdict strong")).to_have_text("Yes")
        await expect(page.get_by_text("It expires in 1 day")).to_be_visible()


async def test_the_provider_signs_in_without_javascript_and_signing_out_works(
    stage: Stage,
) -> None:
    user = await stage.user()
    async with stage.stranger(javascript=False) as page:
        await page.goto("/sign-in")
        await page.get_by_role("link", name="Sign in with single sign-on").click()
        await sign_in_there(page, f"{user}@example.com")
        await page.wait_for_url("**/keys")
        await account(page).click()
        await page.get_by_role("link", name="Your sessions").click()
        await page.get_by_role("link", name="Sign out everywhere").click()
        await page.get_by_role("button", name="Sign out everywhere").click()
        await expect(page.get_by_role("status")).to_contain_text("Signed out everywhere else")
        await account(page).click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("status")).to_contain_text("signed out")

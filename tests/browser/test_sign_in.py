"""Who may come in, and how: by a link, a key, or a certified OpenID Connect provider."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.stage import Stage, account
from tests.support.identity import sign_in_there
from tests.support.service import PARENT

pytestmark = pytest.mark.slow  # a browser


async def _is_signed_in(page: Page, who: str) -> None:
    await page.wait_for_url("**/keys")
    await expect(account(page)).to_contain_text(who)


async def test_a_link_that_a_program_has_fetched_before_signs_in_all_the_same_but_only_once(
    stage: Stage,
) -> None:
    user = await stage.user()
    link = f"/sign-in/link?token={await stage.console.link(user)}"
    async with stage.stranger() as page, stage.stranger() as another:
        for _ in range(2):
            await another.request.get(link)
        await another.request.head(link)
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await _is_signed_in(page, f"{user}@example.com")
        await another.goto(link)
        await another.get_by_role("button", name="Sign in").click()
        await expect(another.get_by_role("alert")).to_contain_text("used already")


async def test_a_key_signs_its_user_in_and_a_wrong_one_nobody(stage: Stage) -> None:
    user = await stage.user()
    made = await stage.service.admin.create_key(user=f"{PARENT}/users/{user}")
    async with stage.stranger() as page:
        await page.goto("/keys")
        await page.get_by_label("API key").fill(made.token[:-1] + "_")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.get_by_label("API key").fill(made.token)
        await page.get_by_role("button", name="Sign in").click()
        await _is_signed_in(page, f"{user}@example.com")


async def test_the_provider_signs_in_who_has_the_email_address_that_it_has_verified(
    stage: Stage,
) -> None:
    user = await stage.user()
    async with stage.stranger() as page:
        await _by_the_provider(page, f"{user}@example.com")
        await _is_signed_in(page, f"{user}@example.com")
        await page.goto("/sessions")
        await expect(page.locator("tbody")).to_contain_text("single sign-on")


async def test_the_provider_signs_in_whose_external_id_is_its_subject(stage: Stage) -> None:
    await stage.service.admin.create_user("gus", external_id="employee-17")
    async with stage.stranger() as page:
        await _by_the_provider(page, "employee-17")
        await _is_signed_in(page, "gus@example.com")


@pytest.mark.parametrize("who", ["unverified:{user}@example.com", "stranger@example.com"])
async def test_the_provider_signs_in_nobody_by_an_address_unverified_or_unknown(
    stage: Stage, who: str
) -> None:
    async with stage.stranger() as page:
        await _by_the_provider(page, who.format(user=await stage.user()))
        await expect(page.get_by_role("alert")).to_contain_text("Nobody here has this identity")
        await page.goto("/keys")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_who_signs_in_comes_to_the_page_that_was_asked_for(stage: Stage) -> None:
    user = await stage.user()
    async with stage.stranger() as page:
        await page.goto("/sessions")
        await _at_the_provider(page, f"{user}@example.com")
        await page.wait_for_url("**/sessions")
        await expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()


async def test_who_cancels_at_the_provider_can_choose_another_way(stage: Stage) -> None:
    async with stage.stranger() as page:
        await page.goto("/sign-in")
        await page.get_by_role("link", name="Sign in with single sign-on").click()
        await page.get_by_role("link", name="Cancel").click()
        await expect(page.get_by_role("alert")).to_contain_text("did not sign you in")
        await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_guest_signs_in_and_can_hold_no_key(stage: Stage) -> None:
    async with stage.person("guest") as page:
        await expect(page.get_by_text("may hold no keys")).to_be_visible()
        await expect(page.get_by_role("link", name="Generate API key")).to_have_count(0)
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Not for guests")
        await page.get_by_role("button", name="Generate key").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_label("Token", exact=True)).to_have_count(0)
    listed = await stage.service.admin.list_keys()
    assert "Not for guests" not in {each.display_name for each in listed.keys}


async def test_signing_out_ends_the_session(stage: Stage) -> None:
    async with stage.person() as page:
        (cookie,) = await page.context.cookies()
        await account(page).click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("status")).to_contain_text("signed out")
        # Who has copied it has nothing.
        await page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "url": stage.console.url}]
        )
        await page.goto("/keys")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def _by_the_provider(page: Page, subject: str) -> None:
    await page.goto("/sign-in")
    await _at_the_provider(page, subject)


async def _at_the_provider(page: Page, subject: str) -> None:
    await page.get_by_role("link", name="Sign in with single sign-on").click()
    await sign_in_there(page, subject)

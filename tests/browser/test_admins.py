"""What an admin does for others, in the browser."""

import pytest
from playwright.async_api import expect

from tests.browser.generating import generate, shown_token
from tests.browser.stage import Stage, account
from tests.support.service import refusal

pytestmark = pytest.mark.slow  # a browser


async def test_an_admin_generates_a_key_for_another_user_who_finds_it_and_whose_it_is(
    stage: Stage,
) -> None:
    user = await stage.user()
    async with stage.person("admin") as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("From your admin")
        await page.get_by_text("Limit what it may do").click()
        await page.get_by_label("Owner").fill(f"{user}@example.com")
        await page.get_by_role("button", name="Generate key").click()
        token = await shown_token(page)
    assert (await stage.service.admin.authenticate(token)).user.email == f"{user}@example.com"
    async with stage.person(user_id=user) as page:
        await expect(page.get_by_role("link", name="From your admin")).to_be_visible()


async def test_an_admin_finds_and_revokes_somebody_elses_key(stage: Stage) -> None:
    user = await stage.user()
    async with stage.person(user_id=user) as page:
        token = await generate(page, "Lost on a train")
    async with stage.person("admin") as page:
        await page.get_by_role("link", name="Everybody").click()
        await page.get_by_label("Search").fill("Lost on")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("tbody")).to_contain_text(f"{user}@example.com")
        await page.get_by_role("link", name="Lost on a train").click()
        await page.get_by_role("link", name="Revoke").click()
        await page.get_by_role("button", name="Revoke key").click()
        await expect(page.get_by_role("status")).to_contain_text("revoked")
    assert (await refusal(stage.service.admin.authenticate(token))).reason == "KEY_REVOKED"


async def test_an_admin_adds_a_person_whom_the_link_signs_in_once(stage: Stage) -> None:
    async with stage.person("admin") as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto("/users")
        await page.get_by_role("link", name="Add a user").click()
        await page.get_by_label("E-mail address").fill("new@example.com")
        await page.locator("[name=display_name]").fill("Nadia New")
        await page.get_by_role("button", name="Add user").click()
        await expect(page.get_by_role("status")).to_contain_text("can sign in now")
        await page.get_by_role("link", name="Sign-in link").click()
        await page.get_by_role("button", name="Make link").click()
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        link = await page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(stage.console.url)
    async with stage.stranger() as page, stage.stranger() as another:
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await expect(account(page)).to_contain_text("Nadia New")
        await expect(page.get_by_text("No keys yet")).to_be_visible()
        await another.goto(link)
        await another.get_by_role("button", name="Sign in").click()
        await expect(another.get_by_role("alert")).to_contain_text("used already")


async def test_a_role_that_is_given_on_a_resource_and_taken_away_shows_at_the_user(
    stage: Stage,
) -> None:
    user = await stage.user()
    async with stage.person("admin") as page:
        await page.goto(f"/users/{user}")
        await page.get_by_role("link", name="Give a role").click()
        await page.get_by_label("Resource").fill("projects/street-signs")
        await page.get_by_label("Role", exact=True).select_option("editor")
        await page.get_by_role("button", name="Give role").click()
        await page.goto(f"/users/{user}")
        given = page.get_by_role("row").filter(has_text="projects/street-signs")
        await expect(given).to_contain_text("ditor")
        await given.get_by_role("link", name="Take away").click()
        await page.get_by_role("main").get_by_role("button").last.click()
        await page.goto(f"/users/{user}")
        await expect(given).to_have_count(0)


async def test_an_owner_that_there_is_not_is_told_next_to_the_field(stage: Stage) -> None:
    async with stage.person("admin") as page:
        await page.goto("/new-key")
        await page.get_by_text("Limit what it may do").click()
        await page.get_by_label("Owner").fill("nobody@example.com")
        await page.get_by_role("button", name="Generate key").click()
        await expect(page.get_by_label("Owner")).to_have_attribute("aria-invalid", "true")


async def test_a_member_sees_neither_the_keys_nor_a_way_to_the_keys_of_others(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        await generate(page, "Only mine")
    async with stage.person() as page:
        await page.goto("/keys?owner=all&state=all")
        await expect(page.get_by_role("link", name="Only mine")).to_have_count(0)
        await page.goto("/new-key")
        await page.get_by_text("Limit what it may do").click()
        await expect(page.get_by_label("Owner")).to_have_count(0)

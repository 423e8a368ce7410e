"""A person and their keys, from the first one to its end."""

import pytest
from playwright.async_api import Error, Page, expect

from tests.browser.generating import generate, open_key, shown_token
from tests.browser.stage import Stage
from tests.support.service import RefusedError, refusal

pytestmark = pytest.mark.slow  # a browser


async def test_the_clipboard_holds_the_token_of_a_new_key_and_it_authenticates(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        token = await generate(page, "CI of the website")
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == token
        principal = await stage.service.admin.authenticate(token)
        assert principal.credential.display_name == "CI of the website"

        await page.get_by_role("link", name="Done").click()
        await expect(page.get_by_role("link", name="CI of the website")).to_be_visible()
        assert token not in await page.content()


async def test_a_token_is_not_shown_again_by_a_reload(stage: Stage) -> None:
    async with stage.person() as page:
        token = await generate(page, "Shown once")
        await page.reload()
        await expect(page.get_by_text("was shown already")).to_be_visible()
        assert token not in await page.content()
        await page.goto("/keys")
        await expect(page.get_by_role("link", name="Shown once")).to_have_count(1)


async def test_a_token_is_not_shown_again_by_back_after_done(stage: Stage) -> None:
    async with stage.person() as page:
        token = await generate(page, "Not by Back")
        await page.get_by_role("link", name="Done").click()
        await page.wait_for_url("**/keys")
        await _back(page)
        assert token not in await page.content()
        await page.go_forward()
        assert token not in await page.content()


async def test_a_page_that_the_browser_keeps_in_its_memory_has_no_token_in_it(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        token = await generate(page, "Not from memory")
        # What the browser says as it puts the page away; over plain HTTP it never does.
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
        assert token not in await page.content()


async def _back(page: Page) -> None:
    try:
        await page.go_back()
    except Error as error:
        # Chromium asks whether to send the form again, in a page of its own.
        if "ERR_CACHE_MISS" not in error.message:
            raise
        await page.wait_for_url(lambda url: url.startswith("chrome-error:"), wait_until="commit")


async def test_a_rotated_key_stays_and_the_old_token_stands_until_the_grace_is_over(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        old = await generate(page, "Nightly backup")
        await open_key(page, "Nightly backup")
        await page.get_by_role("link", name="Rotate").click()
        await page.get_by_label("After 1 hour").check()
        await page.get_by_role("button", name="Rotate").click()
        new = await shown_token(page)
        assert new != old
        for token in (old, new):
            assert (await stage.service.admin.authenticate(token)).credential.display_name
        await open_key(page, "Nightly backup")
        await page.get_by_role("link", name="Rotate").click()
        await page.get_by_label("At once").check()
        await page.get_by_role("button", name="Rotate").click()
        newest = await shown_token(page)
        for token in (old, new):
            assert (await _refused(stage, token)).reason == "TOKEN_RETIRED"
        await stage.service.admin.authenticate(newest)


async def test_a_disabled_key_is_refused_until_it_is_enabled(stage: Stage) -> None:
    async with stage.person() as page:
        token = await generate(page, "On and off")
        await open_key(page, "On and off")
        await page.get_by_role("link", name="Disable").click()
        await page.get_by_role("button", name="Disable key").click()
        await expect(page.get_by_role("status")).to_contain_text("disabled")
        assert (await _refused(stage, token)).reason == "KEY_DISABLED"
        await page.get_by_role("link", name="Enable").click()
        await page.get_by_role("button", name="Enable key").click()
        await expect(page.get_by_role("status")).to_contain_text("stands again")
        await stage.service.admin.authenticate(token)


async def test_a_key_is_revoked_after_a_question_that_names_it_and_then_deleted(
    stage: Stage,
) -> None:
    async with stage.person() as page:
        token = await generate(page, "Old laptop")
        await open_key(page, "Old laptop")
        await page.get_by_role("link", name="Revoke").click()
        question = page.get_by_role("main")
        await expect(question).to_contain_text("Old laptop")
        await expect(question).to_contain_text("Last used")
        await page.get_by_role("link", name="Cancel").click()
        await stage.service.admin.authenticate(token)

        await page.get_by_role("link", name="Revoke").click()
        await page.get_by_role("button", name="Revoke key").click()
        await expect(page.get_by_role("status")).to_contain_text("revoked")
        assert (await _refused(stage, token)).reason == "KEY_REVOKED"

        await page.goto("/keys?state=revoked")
        await page.get_by_role("link", name="Old laptop").click()
        await page.get_by_role("link", name="Delete").click()
        await page.get_by_role("button", name="Delete key").click()
        await expect(page.get_by_role("status")).to_contain_text("deleted")
        await page.goto("/keys?state=all")
        await expect(page.get_by_role("link", name="Old laptop")).to_have_count(0)


async def _refused(stage: Stage, token: str) -> RefusedError:
    return await refusal(stage.service.admin.authenticate(token))


async def test_keys_are_found_by_name_sorted_and_told_apart_by_state(stage: Stage) -> None:
    async with stage.person() as page:
        for name in ("Berlin", "Amsterdam", "Chicago"):
            await generate(page, name)
        await page.goto("/keys")
        names = page.locator("tbody .main-link")
        await expect(names).to_have_text(["Chicago", "Amsterdam", "Berlin"])
        await page.get_by_role("link", name="Name", exact=True).click()
        await expect(names).to_have_text(["Amsterdam", "Berlin", "Chicago"])
        await page.get_by_label("Search").fill("amster")
        await page.get_by_role("button", name="Filter").click()
        await expect(names).to_have_text(["Amsterdam"])
        await page.get_by_role("link", name="Clear").click()
        await page.get_by_label("State").select_option("Disabled")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_text("No key matches")).to_be_visible()


async def test_what_a_narrowed_key_may_do_is_told_step_by_step(stage: Stage) -> None:
    async with stage.person() as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Reads only")
        await page.get_by_text("Limit what it may do").click()
        await page.get_by_label("Scopes").fill("datasets.read")
        await page.get_by_role("button", name="Generate key").click()
        await shown_token(page)
        await open_key(page, "Reads only")
        for permission, answer in (("datasets.read", "Yes"), ("datasets.write", "No")):
            await page.get_by_label("Permission").fill(permission)
            await page.get_by_role("button", name="Explain").click()
            await expect(page.locator(".verdict strong")).to_have_text(answer)


async def test_a_lifetime_that_is_none_is_told_next_to_its_field(stage: Stage) -> None:
    async with stage.person() as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Too long")
        await page.get_by_label("Custom", exact=True).check()
        await page.get_by_label("Custom length").fill("many")
        await page.get_by_role("button", name="Generate key").click()
        await expect(page.get_by_label("Custom length")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Custom length")).to_have_accessible_description(
            "Enter a whole number, 12 for example."
        )
        await expect(page.get_by_label("Name")).to_have_value("Too long")
        await page.get_by_label("Custom length").fill("3")
        await page.get_by_role("button", name="Generate key").click()
        await shown_token(page)

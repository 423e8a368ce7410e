"""Forms that are sent twice, or too late."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.generating import shown_token
from tests.browser.stage import Stage
from tests.support.service import PARENT

pytestmark = pytest.mark.slow  # a browser


async def _is_there_once(page: Page, name: str) -> None:
    await page.goto("/keys")
    await expect(page.get_by_role("link", name=name)).to_have_count(1)


async def test_a_double_click_generates_one_key_and_shows_its_token(stage: Stage) -> None:
    async with stage.person() as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Clicked twice")
        await page.get_by_role("button", name="Generate key").dblclick()
        await shown_token(page)
        await _is_there_once(page, "Clicked twice")


async def test_a_form_that_is_sent_twice_at_once_generates_one_key(stage: Stage) -> None:
    async with stage.person() as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Sent twice at once")
        form = await page.locator("main form").evaluate(
            "form => Object.fromEntries(new FormData(form))"
        )
        sent = [
            page.request.post(
                "/new-key",
                form=form,
                headers={"Origin": stage.console.url, "Sec-Fetch-Site": "same-origin"},
            )
            for _ in range(2)
        ]
        answers = [await answer.text() for answer in await asyncio.gather(*sent)]
        assert sum("kw_live_" in answer for answer in answers) == 1
        await _is_there_once(page, "Sent twice at once")


async def test_what_was_entered_is_still_there_after_the_session_ended_in_the_middle(
    stage: Stage,
) -> None:
    user = await stage.user()
    name = f"{PARENT}/users/{user}"
    key = await stage.service.admin.create_key(user=name, display_name="To sign in with")
    async with stage.person(user_id=user) as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Ümlaut & <b>")
        await page.get_by_label("1 week", exact=True).check()
        await page.get_by_text("Limit what it may do").click()
        await page.get_by_label("Scopes").fill("datasets.read\nprojects.*")
        await stage.service.admin.do("RevokeSessions", parent=PARENT, user=name)
        await page.get_by_role("button", name="Generate key").click()

        await expect(page.get_by_text("what you entered is kept")).to_be_visible()
        await page.get_by_label("API key").fill(key.token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_label("Name")).to_have_value("Ümlaut & <b>")
        await expect(page.get_by_label("1 week", exact=True)).to_be_checked()
        await expect(page.get_by_label("Scopes")).to_have_value("datasets.read\nprojects.*")
        await page.get_by_role("button", name="Generate key").click()
        await shown_token(page)
        await _is_there_once(page, "Ümlaut & <b>")


async def test_what_was_entered_is_still_there_after_signing_in_anew_in_another_tab(
    stage: Stage,
) -> None:
    user = await stage.user()
    async with stage.person(user_id=user) as page:
        await page.goto("/new-key")
        await page.get_by_label("Name").fill("Of the old session")
        await stage.sign_in(await page.context.new_page(), user)
        await page.get_by_role("button", name="Generate key").click()
        await page.get_by_role("link", name="Back to the form").click()
        await expect(page.get_by_label("Name")).to_have_value("Of the old session")
        await page.get_by_role("button", name="Generate key").click()
        await shown_token(page)
        await _is_there_once(page, "Of the old session")

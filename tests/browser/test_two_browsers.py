"""One person in two browsers: what is ended in one is ended in the other."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.stage import Stage
from tests.support.service import PARENT

pytestmark = pytest.mark.slow  # a browser


async def _is_signed_out(page: Page) -> None:
    """At the next page that is asked for: a narrowing call returns when it holds everywhere."""
    await page.goto("/sessions")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def _is_signed_in(page: Page) -> None:
    await page.goto("/sessions")
    await expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()


async def test_a_session_that_is_ended_in_one_browser_is_over_in_the_other(stage: Stage) -> None:
    user = await stage.user()
    async with stage.person(user_id=user) as lost, stage.person(user_id=user) as here:
        await _is_signed_in(lost)
        await here.goto("/sessions")
        await expect(here.locator("tbody tr")).to_have_count(2)
        other = here.locator("tbody tr").filter(has_not_text="This one")
        await other.get_by_role("link", name="Sign out").click()
        await here.get_by_role("button", name="Sign out").last.click()
        await expect(here.get_by_role("status")).to_contain_text("Signed out there")
        await _is_signed_out(lost)
        await _is_signed_in(here)


@pytest.mark.parametrize("stays", [True, False])
async def test_who_signs_out_everywhere_is_out_everywhere_and_here_if_so_wished(
    stage: Stage, *, stays: bool
) -> None:
    user = await stage.user()
    async with stage.person(user_id=user) as there, stage.person(user_id=user) as here:
        await here.goto("/sessions")
        await here.get_by_role("link", name="Sign out everywhere").click()
        await here.get_by_label("Stay signed in here").set_checked(stays)
        await here.get_by_role("button", name="Sign out everywhere").click()
        await expect(here.get_by_role("status")).to_be_visible()
        await _is_signed_out(there)
        await (_is_signed_in if stays else _is_signed_out)(here)


async def test_a_disabled_user_is_out_at_the_next_page(stage: Stage) -> None:
    user = await stage.user()
    async with stage.person(user_id=user) as page:
        await stage.service.admin.disable_user(f"{PARENT}/users/{user}")
        await _is_signed_out(page)


async def test_a_key_that_is_revoked_in_one_browser_is_revoked_in_the_other(stage: Stage) -> None:
    user = await stage.user()
    made = await stage.service.admin.create_key(
        user=f"{PARENT}/users/{user}", display_name="In two places"
    )
    address = f"/keys/{made.key.name.rpartition('/')[2]}"
    async with stage.person(user_id=user) as one, stage.person(user_id=user) as other:
        await other.goto(f"{address}/revoke")
        await one.goto(f"{address}/revoke")
        await one.get_by_role("button", name="Revoke key").click()
        await expect(one.get_by_role("status")).to_be_visible()
        await other.get_by_role("button", name="Revoke key").click()  # again: nothing breaks
        await expect(other.get_by_text("Revoked", exact=True).first).to_be_visible()

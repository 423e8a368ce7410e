"""What watches over each page goes red when a page is not well."""

import pytest
from playwright.async_api import Page, Route

from tests.browser.accessibility import findings
from tests.browser.layout import is_within_its_width
from tests.browser.stage import Stage

pytestmark = pytest.mark.slow  # a browser


async def _plant(page: Page, html: str) -> None:
    """Have the page for signing in come with more in it, and look at it."""

    async def with_more(route: Route) -> None:
        answer = await route.fetch()
        text = (await answer.text()).replace("</main>", f"{html}</main>")
        await route.fulfill(response=answer, body=text)

    await page.route("**/sign-in", with_more)
    await page.goto("/sign-in")


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("<script>window.hurt = 1</script>", "Content Security Policy"),
        ("<img src=x onerror=window.hurt=1>", "Content Security Policy"),
        ("<style>main { color: red }</style>", "Content Security Policy"),
        ("<img src='http://127.0.0.1:1/tracker.png' alt=''>", "Content Security Policy"),
    ],
    ids=["script", "handler", "style", "image from elsewhere"],
)
async def test_planted_what_the_policy_refuses_is_noticed(
    stage: Stage, planted: str, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        async with stage.stranger() as page:
            await _plant(page, planted)


async def test_planted_a_script_that_fails_is_noticed(stage: Stage) -> None:
    async def look() -> None:
        async with stage.stranger() as page:
            await page.goto("/sign-in")
            async with page.expect_event("pageerror"):
                await page.evaluate("setTimeout(() => { throw new Error('it broke') })")

    with pytest.raises(AssertionError, match="it broke"):
        await look()


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("<input name=unnamed>", "label"),
        ("<p><font color='#c4c4c4'>too pale</font></p>", "color-contrast"),
        ("<button></button>", "button-name"),
    ],
)
async def test_planted_what_cannot_be_read_or_heard_is_found(
    stage: Stage, planted: str, rule: str
) -> None:
    async with stage.stranger() as page:
        await _plant(page, planted)
        assert any(each.startswith(rule) for each in await findings(page))


async def test_planted_a_page_that_is_too_wide_is_found(stage: Stage) -> None:
    async with stage.stranger() as page:
        await _plant(page, "<img width=2000 height=10 alt=''>")
        with pytest.raises(AssertionError, match="wider than the window"):
            await is_within_its_width(page)

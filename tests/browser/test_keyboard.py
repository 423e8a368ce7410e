"""A key is made and copied by somebody who has no mouse, and sees at each step where they are."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.stage import Stage

pytestmark = pytest.mark.slow  # a browser

_STOPS_MAX = 40
# A ring that stands out from what is around it; a field may show it as its border.
_FOCUS = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  return {
    name: at.ariaLabel || at.labels?.[0]?.innerText || at.innerText || at.tagName,
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    inside: at.getBoundingClientRect().top >= 0,
  };
}"""


async def _tab_to(page: Page, name: str) -> list[str]:
    """Press Tab until something of that name has the focus; returns all stops on the way."""
    stops: list[str] = []
    while not stops or not stops[-1].startswith(name):
        assert len(stops) < _STOPS_MAX, f"{name!r} is not reached: {stops}"
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS)
        assert focus["seen"], f"nobody sees that {focus['name']!r} has the focus"
        assert focus["inside"], f"{focus['name']!r} has the focus and is out of sight"
        stops.append(focus["name"].strip())
    return stops


async def test_a_key_is_generated_and_copied_without_a_mouse(stage: Stage) -> None:
    async with stage.person() as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        stops = await _tab_to(page, "Generate API key")
        assert stops[0] == "Skip to the content"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/new-key")

        stops = await _tab_to(page, "Name")
        await page.keyboard.type("Without a mouse")
        await _tab_to(page, "90 days")
        await page.keyboard.press("ArrowLeft")
        await expect(page.get_by_label("30 days")).to_be_checked()
        await _tab_to(page, "Limit what it may do")
        await page.keyboard.press("Enter")
        stops = await _tab_to(page, "Generate key")
        assert [each.split()[0] for each in stops[-4:]] == [
            "Scopes",
            "Resource",
            "Networks",
            "Generate",
        ]
        await page.keyboard.press("Enter")

        await expect(page.get_by_label("Token", exact=True)).to_be_visible()
        token = await page.get_by_label("Token", exact=True).inner_text()
        await _tab_to(page, "Copy")
        await page.keyboard.press("Enter")
        await expect(page.locator("#copied")).to_contain_text("in the clipboard")
        assert await page.evaluate("navigator.clipboard.readText()") == token
        await _tab_to(page, "Done")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="Without a mouse")).to_be_visible()


async def test_the_skip_link_leads_past_the_bar_and_escape_closes_the_menu(stage: Stage) -> None:
    async with stage.person() as page:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert (await page.evaluate(_FOCUS))["name"].startswith("Generate API key")

        await page.goto("/keys")
        await _tab_to(page, "Account")
        await page.keyboard.press("Enter")
        await _tab_to(page, "Sign out")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
        assert (await page.evaluate(_FOCUS))["name"].startswith("Account")

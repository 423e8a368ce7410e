"""What people do to get a key, in a page that is in front of them."""

from playwright.async_api import Page, expect


async def generate(page: Page, name: str) -> str:
    """Generate a key of that name from the list of keys; returns the token that is shown."""
    await page.goto("/keys")
    await page.get_by_role("link", name="Generate API key").first.click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Generate key").click()
    return await shown_token(page)


async def shown_token(page: Page) -> str:
    """The token in front."""
    await expect(page.get_by_role("link", name="Done")).to_be_visible()
    return await page.get_by_label("Token", exact=True).inner_text()


async def open_key(page: Page, name: str) -> None:
    """Look at the details of a key that is in the list."""
    await page.goto("/keys")
    await page.get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()

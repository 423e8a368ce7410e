"""How a page is laid out."""

from playwright.async_api import Page

# What reaches beyond the right edge, and is not cut or scrolled by something around it.
_BEYOND = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const beyond = [...document.body.querySelectorAll('*')].filter(
    (each) => each.getBoundingClientRect().right > width + 1);
  return ['the page', ...beyond.map((each) => each.outerHTML.slice(0, 120))];
}"""


async def is_within_its_width(page: Page) -> None:
    """Check that nobody has to scroll sideways; names what would have to be scrolled to."""
    beyond = await page.evaluate(_BEYOND)
    assert beyond == [], f"{page.url} is wider than the window"

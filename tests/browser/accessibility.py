"""axe-core, run in the page that is in front."""

from typing import Any

from playwright.async_api import Page

from tests.support.node_packages import axe_core

_GRAVE = {"serious", "critical"}
_OPTIONS = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    "resultTypes": ["violations"],
    "preload": False,  # it would fetch the style sheets once more
}


async def findings(page: Page) -> list[str]:
    """What is serious or critical: the rule, and where; nothing if the page is well."""
    await page.evaluate(axe_core())
    found: dict[str, Any] = await page.evaluate("options => axe.run(document, options)", _OPTIONS)
    return [
        f"{each['id']}: {each['help']}: {node['html'][:160]} ({node['failureSummary']})"
        for each in found["violations"]
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]

"""The console without a browser: keys from the form to the token, and on to their end."""

from collections.abc import AsyncIterator

import pytest

from tests.support.console import Console, console
from tests.support.service import Service


@pytest.fixture(scope="module", name="pages")
async def _pages(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    async with console(service, tmp_path_factory.mktemp("console")) as running:
        yield running


async def test_a_person_generates_a_key_that_authenticates_and_finds_it_in_the_list(
    pages: Console,
) -> None:
    async with pages.browser(await pages.person("ann")) as browser:
        shown = await browser.send(await browser.get("/new-key"), display_name="CI of the website")
        assert shown.status == 200, shown.text
        (token,) = (word for word in shown.text.split() if word.startswith("kw_live_"))
        assert (await pages.service.admin.authenticate(token)).user.email == "ann@example.com"

        listed = await browser.get("/keys")
        assert "CI of the website" in listed.text
        for link in [each for each in listed.links if each.startswith("/keys/")]:
            assert (await browser.get(link)).status == 200
            assert token not in (await browser.get(link)).response.text

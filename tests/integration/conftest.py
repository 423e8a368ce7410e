"""A console for each module of tests that asks for one, and its admin's browser."""

from collections.abc import AsyncIterator

import pytest

from tests.support.console import MANY_SIGN_INS, Browser, Console, console
from tests.support.service import Service


@pytest.fixture(scope="module", name="pages")
async def _pages(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    """A console beside the module's server."""
    async with console(service, tmp_path_factory.mktemp("console"), MANY_SIGN_INS) as running:
        yield running


@pytest.fixture(name="admin")
async def _admin(pages: Console) -> AsyncIterator[Browser]:
    """A browser that the admin has signed in with."""
    async with pages.browser(pages.service.admin_token) as browser:
        yield browser

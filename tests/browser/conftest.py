"""One Chromium, server, console and provider for a test process: they take long to start.

Tests do not meet in them: each has users of its own.
"""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browser.stage import Stage, stage
from tests.support.chromium import chromium
from tests.support.database import Cluster


@pytest.fixture(scope="session", name="chromium")
async def _chromium() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="session", name="stage")
async def _stage(
    chromium: Browser, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with stage(chromium, cluster, tmp_path_factory.mktemp("console")) as running:
        yield running

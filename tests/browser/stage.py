"""A server, a console and an identity provider, and people who use them with Chromium."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from playwright.async_api import Browser, Locator, Page

from tests.support.chromium import WIDE, Scheme, person
from tests.support.console import Console, console
from tests.support.database import Cluster
from tests.support.identity import Identity, identity
from tests.support.service import Service, service

_numbers = count(1)


@dataclass(frozen=True)
class Stage:
    """What is running."""

    chromium: Browser
    console: Console
    identity: Identity

    @property
    def service(self) -> Service:
        """The server."""
        return self.console.service

    async def user(self, role: str = "member") -> str:
        """A new user; returns the id, of which the e-mail address is made, too."""
        user_id = f"{role}-{next(_numbers)}"
        await self.service.admin.create_user(user_id, role)
        return user_id

    @asynccontextmanager
    async def stranger(
        self, *, javascript: bool = True, width: int = WIDE, scheme: Scheme = "light"
    ) -> AsyncIterator[Page]:
        """A page of somebody who has not signed in."""
        async with person(
            self.chromium, self.console.url, javascript=javascript, width=width, scheme=scheme
        ) as context:
            yield await context.new_page()

    @asynccontextmanager
    async def person(
        self,
        role: str = "member",
        *,
        user_id: str = "",
        javascript: bool = True,
        width: int = WIDE,
        scheme: Scheme = "light",
    ) -> AsyncIterator[Page]:
        """A page of a user who has signed in by a link; of a new one unless told who."""
        user_id = user_id or await self.user(role)
        async with self.stranger(javascript=javascript, width=width, scheme=scheme) as page:
            await self.sign_in(page, user_id)
            yield page

    async def sign_in(self, page: Page, user_id: str) -> None:
        """Sign in by a link, and go to one's keys: who may see the overview lands there."""
        await page.goto(f"/sign-in/link?token={await self.console.link(user_id)}")
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile(r"/(keys|overview)$"))
        await page.goto("/keys")


def account(page: Page) -> Locator:
    """What opens the account's menu."""
    return page.locator("summary").filter(has_text="Account")


@asynccontextmanager
async def stage(chromium: Browser, cluster: Cluster, directory: Path) -> AsyncIterator[Stage]:
    """All of it, on a database of its own."""
    async with (
        identity() as provider,
        service(await cluster.migrated(), **provider.server_settings) as server,
    ):
        settings = provider.console_settings(directory) + "[limits]\nsign_ins_per_minute = 100000\n"
        async with console(server, directory, settings) as pages:
            yield Stage(chromium, pages, provider)

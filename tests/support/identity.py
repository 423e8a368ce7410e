"""A real OpenID Connect provider, the npm package `oidc-provider`, and people who sign in there."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Page

from tests.support.node_packages import installed
from tests.support.service import WORKSPACE, running

CLIENT, SECRET = "keywright-console", "secret of the console"
_CALLBACK = "/sign-in/openid-connect/callback"


@dataclass(frozen=True)
class Identity:
    """A provider that listens."""

    issuer: str

    @property
    def server_settings(self) -> dict[str, str]:
        """The settings of a server that trusts it."""
        jwks_url = f"{self.issuer}/jwks"
        return {"oidc_issuer": self.issuer, "oidc_client_id": CLIENT, "oidc_jwks_url": jwks_url}

    def console_settings(self, directory: Path) -> str:
        """The lines in the file of a console that people reach it from; `directory` is the file's.

        A secret is written there.
        """
        (directory / "client_secret").write_text(SECRET)
        return (
            f'[openid_connect]\nissuer = "{self.issuer}"\nclient_id = "{CLIENT}"\n'
            f'workspace = "{WORKSPACE}"\nclient_secret_file = "client_secret"\n'
        )


@asynccontextmanager
async def identity() -> AsyncIterator[Identity]:
    """A provider for as long as the block."""
    directory = await asyncio.to_thread(installed)
    argv = ["node", str(directory / "provider.js"), CLIENT, SECRET, _CALLBACK]
    async with running(argv, os.environ) as process:
        yield Identity(await process.printed_line("http://"))


async def sign_in_there(page: Page, subject: str) -> None:
    """Fill in the provider's page, which is in front, and consent to what the console asks for."""
    await page.locator("[name=login]").fill(subject)
    await page.locator("[name=password]").fill("any")
    await page.get_by_role("button", name="Sign-in").click()
    await page.get_by_role("button", name="Continue").click()

"""A real OpenID Connect provider: the npm package `oidc-provider`, which is certified.

It is installed below `.data` by the first test that needs it; Node.js has to be there.
"""

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2

from tests.support.console import Page
from tests.support.service import running

_SOURCE = Path(__file__).with_name("oidc_provider")
_INSTALLED = Path(__file__).resolve().parents[2] / ".data" / "oidc-provider"
CLIENT_ID, CLIENT_SECRET = "keywright-console", "a-secret-of-the-client"


def free_port() -> int:
    """A port that nobody listens on; for addresses that two programs have to know beforehand."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True)
class Certified:
    """The provider, for one client whose people come back to `redirect_uri`."""

    issuer: str

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that trusts it."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_jwks_url": f"{self.issuer}/jwks",
        }


@asynccontextmanager
async def certified_provider(redirect_uri: str) -> AsyncIterator[Certified]:
    """The provider for as long as the block."""
    _install()
    port = free_port()
    environ = {
        **os.environ,
        "PORT": str(port),
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": redirect_uri,
    }
    node = shutil.which("node")
    assert node, "Node.js is not installed"
    async with running([node, str(_INSTALLED / "server.mjs")], environ) as process:
        await process.logged("listening")
        yield Certified(f"http://127.0.0.1:{port}")


async def sign_in_there(client: httpx2.AsyncClient, page: Page, login: str) -> Page:
    """Fill in the provider's forms, as a person of this name, until it leads back."""
    while "/interaction/" in str(page.response.url):
        form = next(each for each in page.forms if "post" in each.method)
        fields = {
            **form.fields,
            **({"login": login, "password": "x"} if "login" in form.fields else {}),
        }
        page = Page(await client.post(urljoin(str(page.response.url), form.action), data=fields))
    return page


def _install() -> None:
    _INSTALLED.mkdir(parents=True, exist_ok=True)
    # Whoever else runs tests at the same time waits until it is there, whole.
    with _INSTALLED.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = _INSTALLED / "package-lock.json"
        wanted = _SOURCE / "package-lock.json"
        if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
            npm = shutil.which("npm")
            assert npm, "npm is not installed"
            shutil.copy(_SOURCE / "package.json", _INSTALLED)
            (_INSTALLED / "npm-shrinkwrap.json").unlink(missing_ok=True)
            shutil.copy(wanted, _INSTALLED / "npm-shrinkwrap.json")
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=_INSTALLED, check=True, capture_output=True)
            (_INSTALLED / "npm-shrinkwrap.json").rename(installed)
        shutil.copy(_SOURCE / "server.mjs", _INSTALLED)

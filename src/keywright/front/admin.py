"""How the application speaks to the Envoy around it: over a UNIX socket that is theirs alone."""

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from keywright.front.envoy import ACTIVE_CALLS, WORKERS_STARTED

# Envoy tells nobody when something has changed.
_POLL = timedelta(milliseconds=10)
_PATIENCE = timedelta(seconds=5)


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=_PATIENCE.total_seconds())
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class Admin:
    """Envoy's administration (envoyproxy.io, "Administration interface"), at a socket."""

    path: Path

    async def is_live(self) -> None:
        """Wait until Envoy answers calls; it says that it is ready before it listens."""
        while True:
            with suppress(OSError, HTTPException):
                if await self._count(WORKERS_STARTED):
                    return
            await asyncio.sleep(_POLL.total_seconds())

    async def port(self) -> int:
        """The port that Envoy has taken, where it was told to take any."""
        _, text = await self._ask("GET", "/listeners?format=json")
        (listener,) = json.loads(text)["listener_statuses"]
        return int(listener["local_address"]["socket_address"]["port_value"])

    async def drain(self, within: timedelta) -> None:
        """Take no more connections, send away who has one, and wait for the calls in flight."""
        with suppress(TimeoutError, OSError, HTTPException):
            async with asyncio.timeout(within.total_seconds()):
                # With the first, every reply says that the connection is about to end.
                await self._ask("POST", "/healthcheck/fail")
                await self._ask("POST", "/drain_listeners")
                while await self._count(ACTIVE_CALLS):  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(_POLL.total_seconds())

    async def has_certificate(self) -> bool:
        """Whether Envoy has taken a certificate to serve."""
        _, text = await self._ask("GET", "/certs")
        return any(each.get("cert_chain") for each in json.loads(text)["certificates"])

    async def quit(self) -> None:
        """Have Envoy end, and with it this process.

        Raises:
            OSError, HTTPException: it is not to be spoken to.
        """
        await self._ask("POST", "/quitquitquit")

    async def _count(self, name: str) -> int:
        _, text = await self._ask("GET", f"/stats?filter={name}")
        return int(text.rpartition(":")[2] or 0)  # it is not there from the beginning

    async def _ask(self, method: str, target: str) -> tuple[int, str]:
        return await asyncio.to_thread(self._asked, method, target)

    def _asked(self, method: str, target: str) -> tuple[int, str]:
        connection = _Connection(self.path)
        try:
            connection.request(method, target, headers={"connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

"""An HTTP server for the application: uvicorn's, with a bound on headers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keywright.sidecar.config import Limits

_KEEP_ALIVE_SECONDS = 75  # longer than proxies keep an idle connection: they close it, not we


class HeadersTooLarge(Exception):
    """Answered with 400 and the end of the connection, as every request that cannot be parsed."""


class HttpServer(uvicorn.Server):
    """Uvicorn without its signal handlers: the sidecar has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def create_server(application: Any, limits: Limits) -> HttpServer:
    """A server for an ASGI application; `serve(sockets=...)` runs it until `should_exit`."""
    return HttpServer(
        uvicorn.Config(
            application,
            http=_bounded(limits.header_bytes),
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,  # who the peer is decides about trust
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=limits.connections + 1,  # uvicorn refuses the one that reaches it
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=limits.stop_seconds,
        )
    )


def _bounded(header_bytes: int) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol, which itself takes headers of any size."""

    class Bounded(HttpToolsProtocol):
        """Counts what arrives while headers are incomplete, and what they are in the end."""

        _in_head = True
        _arrived = 0

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                self._arrived += len(data)
                if self._arrived > header_bytes + len(data):
                    self.send_400_response("The headers are too large.")
                    return
            super().data_received(data)

        def on_message_begin(self) -> None:
            self._in_head, self._arrived = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > header_bytes:
                raise HeadersTooLarge
            super().on_headers_complete()

    return Bounded

"""An HTTP server for an application: uvicorn's, with a bound on headers, and a short way."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# Longer than proxies keep an idle connection: they close it, not we. So long may headers take, too.
_KEEP_ALIVE_SECONDS = 75
_TRANSFER_ENCODING = b"transfer-encoding"


RawAnswer = tuple[int, bytes]
"""A status; and what is sent after it: further headers, an empty line, and a body."""
AtOnce = Callable[[bytes, tuple[str, int] | None, list[tuple[bytes, bytes]]], RawAnswer | None]
"""The answer to a GET of this target, from this client, with these headers; None: ask for it."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What is taken at most."""

    header_bytes: int = 65_536
    """All headers of a request, and its target."""
    connections: int = 1_000
    """Over HTTP."""
    stop_seconds: int = 20
    """How long requests may take that are under way when the program is to stop."""


class HeadersTooLarge(Exception):
    """Answered with 400 and the end of the connection, as every request that cannot be parsed."""


class HttpServer(uvicorn.Server):
    """Uvicorn without its signal handlers: the program has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def create_server(
    application: Any, limits: HttpLimits, at_once: AtOnce | None = None
) -> HttpServer:
    """A server for an ASGI application; `serve(sockets=...)` runs it until `should_exit`.

    What `at_once` answers the application is not asked.
    """
    protocol: Any = partial(LimitedProtocol, header_bytes=limits.header_bytes, at_once=at_once)
    return HttpServer(
        uvicorn.Config(
            application,
            http=protocol,
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


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which itself takes headers of any size, and has a task for each request.

    This one counts what arrives while headers are incomplete, and what they are in the end. What
    follows the last chunk of a body is held to the same bound, and is no header. Headers that take
    longer than an idle connection may end it: there are only so many connections. And a request is
    answered without a task if `at_once` does it, and if nothing is special about it: no earlier
    request of the connection waits, and the connection goes on after it.

    Args:
        header_bytes: all headers of a request, and its target, at most.
        at_once: see `create_server`.
        given: by uvicorn.
    """

    def __init__(self, *, header_bytes: int, at_once: AtOnce | None, **given: Any) -> None:
        super().__init__(**given)
        self._header_bytes = header_bytes
        self._at_once = at_once
        self._in_head = True
        self._is_answered = False
        self._chunk = 0  # how much came last
        self._first = 0  # of the chunk that the request began in
        self._arrived = 0  # after that chunk, of the headers
        self._too_late: asyncio.TimerHandle | None = None  # while headers are awaited

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await a request."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Await nothing any more."""
        self._have_headers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it, if it is not too much."""
        self._chunk = len(data)
        if self._in_head:
            self._arrived += len(data)
            if self._arrived > self._header_bytes + len(data):
                self.send_400_response("The headers are too large.")
                return
        super().data_received(data)
        if self._in_head and self._too_late is None:
            self._await_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._is_answered = True, False
        self._first, self._arrived = self._chunk, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Answer the request, or have it answered.

        Raises:
            HeadersTooLarge: they are.
        """
        self._have_headers()
        # Counted only where more came than is taken: seldom.
        if self._first + self._arrived > self._header_bytes and self._size() > self._header_bytes:
            raise HeadersTooLarge
        self._is_answered = self._is_plain() and self._answer()
        if not self._is_answered:
            super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk of the body comes, or after the last one fields, which uvicorn adds to headers.

        Who sends them has not sent them as headers (RFC 9110 section 6.5.1): they go nowhere.
        """
        self.headers = []
        self._in_head, self._arrived = True, 0

    def on_body(self, body: bytes) -> None:
        """It is of no interest where there is an answer already."""
        self._have_headers()
        if not self._is_answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request ends."""
        self._have_headers()
        if not self._is_answered:
            super().on_message_complete()

    def _await_headers(self) -> None:
        self._too_late = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _have_headers(self) -> None:
        self._in_head = False
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _is_plain(self) -> bool:
        """Whether nothing but an answer is to be sent, and that now."""
        parser, limit = self.parser, self.limit_concurrency
        return (
            self._is_idle()
            and parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and (limit is None or len(self.connections) < limit)
            # Of a body in chunks it may turn out later that it is none, and no request.
            and _TRANSFER_ENCODING not in dict(self.headers)
        )

    def _is_idle(self) -> bool:
        before: Any = self.cycle  # None at first
        return before is None or before.response_complete

    def _answer(self) -> bool:
        answer = self._at_once and self._at_once(self.url, self.client, self.headers)
        if not answer:
            return False
        status, rest = answer
        added = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[status], *added, rest)))
        self.on_response_complete()
        return True

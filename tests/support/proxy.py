"""A door between a server and its database, which a test opens, shuts, slams and holds."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

_SOCKET = ".s.PGSQL.5432"


@dataclass(eq=False)
class _Link:
    """One connection: the client's end and the database's."""

    client: asyncio.StreamWriter
    database: asyncio.StreamWriter
    asked: bool = False
    is_meant: bool = False
    greeting: bytes = b""
    late: float = 0.0
    released: bool = False
    passing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.passing.set()

    def cut(self) -> None:
        self.client.transport.abort()
        self.database.transport.abort()


@dataclass
class Proxy:
    """Forwards to a PostgreSQL's UNIX socket from a UNIX socket of its own.

    `dsn` is what the server under test is given, `direct` goes round the proxy.
    """

    dsn: str
    direct: str
    _listen: Path
    _forward: Path
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    _links: set[_Link] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    being_late: asyncio.Event = field(default_factory=asyncio.Event)
    _deaf: bool = False
    _wanted: bytes | None = None
    _server: asyncio.Server | None = None
    _statement: bytes | None = None
    _after: bytes = b""
    _then: Callable[[], None] | None = None

    async def accept(self) -> None:
        """Let connections through (again)."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._connected, self._listen)

    def leads_to(self, directory: Path) -> None:
        """Have new connections go to the PostgreSQL whose socket is there."""
        self._forward = directory / _SOCKET

    def refuse(self) -> None:
        """Cut all connections and refuse new ones, as a database that is down does."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._listen.unlink(missing_ok=True)
        self.cut()

    def cut(self) -> None:
        """Cut all connections; new ones are let through."""
        for link in self._links:
            link.cut()

    def freeze(self) -> None:
        """Take everything and answer nothing, as a network that drops packets does."""
        self._flowing.clear()

    def answer_late(self, seconds: float, only: bytes = b"") -> None:
        """Pass answers on after so long, on the connections that there are.

        `only` on those whose first message has these bytes, such as an application's name.
        `being_late` is set once there is such an answer.
        """
        self.being_late.clear()
        for link in self._links:
            if only in link.greeting:
                link.late = seconds

    def drop_notifications(self) -> None:
        """Pass on no NOTIFY to who listens."""
        self._deaf = True

    def hold_answer(self, having: bytes) -> None:
        """Keep the first answer with these bytes, and all that follow on its connection.

        `held` is set once it is there; `release` passes it on.
        """
        self.held.clear()
        self._wanted = having

    def release(self) -> None:
        """Pass on what was held, on its connection even while all others are frozen."""
        for link in self._links:
            if not link.passing.is_set():
                link.released = True
                link.passing.set()

    def when_answered(self, statement: str, then: Callable[[], None], *, after: str = "") -> None:
        """Once the database has answered `statement`, and before the answer is passed on: `then`.

        The first statement that has these words, and only that; `answered` is set at the same time.
        `after`: only on a connection on which these words were said since.
        """
        self.answered.clear()
        for link in self._links:
            link.is_meant = False
        self._statement, self._after, self._then = statement.encode(), after.encode(), then

    async def _connected(
        self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        try:
            reader, database = await asyncio.open_unix_connection(self._forward)
        except OSError:  # the database itself is down
            client.transport.abort()
            return
        link = _Link(client, database)
        self._links.add(link)
        try:
            await asyncio.gather(self._ask(link, client_reader), self._answer(link, reader))
        finally:
            link.cut()
            self._links.discard(link)

    async def _ask(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                link.greeting = link.greeting or data
                await self._may_flow(link)
                link.is_meant = link.is_meant or self._after in data
                if self._statement is not None and self._statement in data and link.is_meant:
                    self._statement, link.asked = None, True
                link.database.write(data)
                await link.database.drain()
        link.cut()

    async def _answer(self, link: _Link, reader: asyncio.StreamReader) -> None:
        messages = b""
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if link.asked and self._then is not None:
                    link.asked = False
                    self._then()
                    self.answered.set()
                if self._wanted is not None and self._wanted in data:
                    self._wanted = None
                    link.passing.clear()
                    self.held.set()
                if link.late:
                    self.being_late.set()
                    await asyncio.sleep(link.late)
                await link.passing.wait()
                await self._may_flow(link)
                if self._deaf:
                    messages += data
                    data, messages = _without_notifications(messages)
                link.client.write(data)
                await link.client.drain()
        link.cut()

    async def _may_flow(self, link: _Link) -> None:
        if not link.released:
            await self._flowing.wait()


def _without_notifications(messages: bytes) -> tuple[bytes, bytes]:
    """The whole messages that are no NotificationResponse, and the beginning of one more.

    Messages from a server have a byte that says what they are, and four of their length, itself
    included (PostgreSQL's documentation, "Message Formats").
    """
    kept, begin = [], 0
    while len(messages) >= begin + 5:
        end = begin + 1 + int.from_bytes(messages[begin + 1 : begin + 5], "big")
        if len(messages) < end:
            break
        if messages[begin : begin + 1] != b"A":
            kept.append(messages[begin:end])
        begin = end
    return b"".join(kept), messages[begin:]


@asynccontextmanager
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    """A proxy before the database of `dsn`, which names a UNIX socket's directory; it refuses."""
    parts = urlsplit(dsn)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    with tempfile.TemporaryDirectory(prefix="keywright-proxy-") as directory:
        own = urlunsplit(parts._replace(query=urlencode({**query, "host": directory})))
        running = Proxy(own, dsn, Path(directory, _SOCKET), Path(query["host"], _SOCKET))
        try:
            yield running
        finally:
            await running.accept()
            running.refuse()

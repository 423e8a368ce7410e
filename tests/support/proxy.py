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
    _server: asyncio.Server | None = None
    _statement: bytes | None = None
    _then: Callable[[], None] | None = None

    async def accept(self) -> None:
        """Let connections through (again)."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._connected, self._listen)

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

    def when_answered(self, statement: str, then: Callable[[], None]) -> None:
        """Once the database has answered `statement`, and before the answer is passed on: `then`.

        The first statement that has these words, and only that; `answered` is set at the same time.
        """
        self.answered.clear()
        self._statement, self._then = statement.encode(), then

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
                await self._flowing.wait()
                if self._statement is not None and self._statement in data:
                    self._statement, link.asked = None, True
                link.database.write(data)
                await link.database.drain()
        link.cut()

    async def _answer(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if link.asked and self._then is not None:
                    link.asked = False
                    self._then()
                    self.answered.set()
                await self._flowing.wait()
                link.client.write(data)
                await link.client.drain()
        link.cut()


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

"""A TCP connection between a client and a server, which a test cuts and mends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Cable:
    """Forwards from `address` to `target`, both `host:port`.

    The target may be changed, to that of a server that has come in the place of another. What
    comes while it is cut is let in and put out again: so nobody else takes the port meanwhile.
    """

    target: str
    address: str = ""
    _is_cut: bool = False
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Cut all connections, and let no new ones through."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    async def connected(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        ends = [client]
        self._ends.add(client)
        try:
            host, _, port = self.target.rpartition(":")
            answers, server = await asyncio.open_connection(host, int(port))
            ends.append(server)
            self._ends.add(server)
            if not self._is_cut:
                await asyncio.gather(_pass_on(reader, server), _pass_on(answers, client))
        except OSError:  # there is no server
            pass
        finally:
            self._ends.difference_update(ends)
            for end in ends:
                end.transport.abort()


async def _pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
    to.close()  # and so the other way ends as well


@asynccontextmanager
async def cable(target: str) -> AsyncIterator[Cable]:
    """A cable to a server, for as long as the block."""
    laid = Cable(target)
    server = await asyncio.start_server(laid.connected, "127.0.0.1", 0)
    laid.address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    try:
        yield laid
    finally:
        server.close()
        laid.cut()

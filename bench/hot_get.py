"""A request over HTTP/1.1 that is always the same, loaded from another core."""

import asyncio
from dataclasses import dataclass, field

from bench import h2load
from bench.load import Metadata, Slice, closed_loop
from bench.server import Process

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class HotGet:
    """A GET that has to be answered with 200, but where it is asked for its status.

    Attributes:
        server: where it goes, and whose processor time counts.
    """

    name: str
    server: Process
    target: str
    headers: Metadata
    _idle: list[_Connection] = field(default_factory=list)

    async def answer(self) -> tuple[int, list[tuple[str, str]]]:
        """Ask once, over a connection that is kept: the status, and the headers in lower case."""
        host, _, port = self.server.address.rpartition(":")
        reader, writer = (
            self._idle.pop() if self._idle else await asyncio.open_connection(host, int(port))
        )
        lines = [f"GET {self.target} HTTP/1.1", f"host: {self.server.address}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, *told = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in told if line)
        ]
        await reader.readexactly(int(dict(headers).get("content-length", 0)))
        self._idle.append((reader, writer))
        return int(status.split()[1]), headers

    async def status(self) -> int:
        """Ask once."""
        return (await self.answer())[0]

    async def check(self) -> None:
        """Ask once.

        Raises:
            RuntimeError: it was not answered with 200.
        """
        status = await self.status()
        if status != 200:
            raise RuntimeError(f"{self.name}: {status}")

    async def load(self, in_flight: int, seconds: float) -> Slice:
        """Keep so many under way."""
        await self.check()
        if not h2load.is_installed():
            return await closed_loop(self.check, in_flight=in_flight, seconds=seconds)
        return await h2load.get(
            self.server.address, self.target, self.headers, in_flight=in_flight, seconds=seconds
        )

    def close(self) -> None:
        """Close its connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

"""A real proxy as it is shipped: in front of a small application, beside a sidecar."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.proxies import (
    APPLICATION,
    DEPLOY,
    ENVOY,
    HTTP,
    WEB,
    command,
    configure,
    free_port,
)
from tests.support.service import Process, Service, running
from tests.support.sidecar import Answer, Sidecar, answer_to, sidecar


@dataclass
class Application:
    """An application that answers with the request it has received, and remembers each."""

    received: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as many requests as the proxy likes."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = _fields(lines[1:])
                self.received.append((method, target, headers))
                told = {name.lower(): value for name, value in headers}
                if "chunked" in told.get("transfer-encoding", ""):
                    headers += await _trailers(reader)
                await reader.readexactly(int(told.get("content-length", "0")))
                body = json.dumps({"target": target, "headers": headers}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _fields(lines: Sequence[str]) -> list[tuple[str, str]]:
    parts = (line.partition(":") for line in lines if line)
    return [(name, value.strip()) for name, _, value in parts]


async def _trailers(reader: asyncio.StreamReader) -> list[tuple[str, str]]:
    """The fields after a body in chunks, which some applications take for headers."""
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    lines = []
    while line := (await reader.readline()).decode("latin-1").rstrip("\r\n"):
        lines.append(line)
    return _fields(lines)


@dataclass
class Front:
    """A proxy that listens on `web`; what it is made of is in the test's hand."""

    name: str
    web: str
    application: Application
    sidecar: Sidecar
    service: Service
    process: Process

    async def ask(
        self,
        target: str = "/projects/abc",
        *headers: tuple[str, str],
        token: str = "",
        method: str = "GET",
        host: str = "app.example",
    ) -> Answer:
        """What a client is answered, whose request is sent byte by byte as it is given."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        lines += [f"{name}: {value}" for name, value in headers]
        if not any(name.lower() == "connection" for name, _ in headers):
            lines.append("Connection: close")
        return await answer_to(self.web, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


@asynccontextmanager
async def front(
    name: str,
    service: Service,
    token: str,
    directory: Path,
    *edits: tuple[str, str],
    answered_by: str = "grpc",
) -> AsyncIterator[Front]:
    """A proxy in front of an application, with a sidecar whose key is `token`.

    `edits` are made in the proxy's configuration: patterns, and what to put instead; `answered_by`
    is the sidecar's own front.
    """
    application = Application()
    upstream = await asyncio.start_server(application.serve, "127.0.0.1", 0, limit=2**20)
    file = directory / "sidecar.toml"
    shipped = (DEPLOY / name / "sidecar.toml").read_text()
    file.write_text(f'{shipped}\n[listen]\nhttp = "127.0.0.1:0"\nenvoy = "127.0.0.1:0"\n')
    async with upstream, sidecar(file, service.uri, token, front=answered_by) as beside:
        ports = {
            WEB: free_port(),
            APPLICATION: str(upstream.sockets[0].getsockname()[1]),
            HTTP: beside.http.rpartition(":")[2],
            ENVOY: beside.envoy.rpartition(":")[2],
        }
        configure(name, directory, ports, *edits)
        async with running(command(name), os.environ, directory) as process:
            started = Front(name, f"127.0.0.1:{ports[WEB]}", application, beside, service, process)
            await _listens(started)
            yield started


async def _listens(started: Front) -> None:
    """Wait until requests go through the proxy."""
    async with asyncio.timeout(60):
        while True:
            try:
                if (await started.ask("/public/x")).status == 200:
                    return
            except (OSError, asyncio.IncompleteReadError):
                pass
            assert started.process.process.returncode is None, started.process.raw[-20:]
            await asyncio.sleep(0.05)

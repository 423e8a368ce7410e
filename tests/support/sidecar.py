"""A real `keywright sidecar` process, and proxies' requests to it byte by byte."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from tests.support.service import Process, running

CHECK = "/envoy.service.auth.v3.Authorization/Check"
Headers = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """An answer over HTTP; names of headers in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """A header that is there once."""
        (value,) = (value for each, value in self.headers if each == name)
        return value

    @property
    def error(self) -> dict[str, Any]:
        """What the JSON body says."""
        return json.loads(self.body)["error"]


@dataclass
class Sidecar:
    """A sidecar that listens; an address is empty where it does not."""

    process: Process
    http: str
    envoy: str

    async def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        """GET something of it over HTTP, with these headers and no others but Host."""
        return await exchange(self.http, target, headers)

    async def authorize(
        self, token: str, target: str = "/projects/abc", *more: tuple[str, str], method: str = "GET"
    ) -> Answer:
        """What nginx would be answered; an empty token: none."""
        presented = [("Authorization", f"Bearer {token}")] if token else []
        original = [("X-Original-Method", method), ("X-Original-URI", target)]
        return await self.get("/authorize", *original, *presented, *more)

    async def ready(self) -> None:
        """Wait until it is ready."""
        await self.becomes(200)

    async def becomes(self, status: int) -> None:
        """Wait until `/readyz` answers this."""
        async with asyncio.timeout(30):
            while (await self.get("/readyz")).status != status:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.02)

    async def check(self, request: CheckRequest | bytes) -> CheckResponse:
        """What Envoy would be answered."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        async with grpc.aio.insecure_channel(self.envoy) as channel:
            call: Any = channel.unary_unary(CHECK, response_deserializer=CheckResponse.FromString)
            return await call(data, timeout=20)


def check_of(
    token: str, path: str = "/projects/abc", *, method: str = "GET", **extensions: str
) -> CheckRequest:
    """A check as Envoy sends it."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = method, path, "app.example"
    http.headers.update({":path": path, ":method": method, "user-agent": "x"})
    if token:
        http.headers["authorization"] = f"Bearer {token}"
    request.attributes.source.address.socket_address.address = "192.0.2.7"
    request.attributes.context_extensions.update(extensions)
    return request


async def exchange(address: str, target: str, headers: Headers, method: str = "GET") -> Answer:
    """One request over HTTP/1.1, its head byte by byte as given, and the answer to it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: app.example", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return await answer_to(address, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


async def answer_to(address: str, request: bytes) -> Answer:
    """The answer to any bytes."""
    async with kept(address) as ask:
        return await ask(request)


@asynccontextmanager
async def kept(address: str) -> AsyncIterator[Callable[[bytes], Coroutine[Any, Any, Answer]]]:
    """A connection: sends any bytes, and gives the next answer."""
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))

    async def ask(request: bytes) -> Answer:
        async with asyncio.timeout(30):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = [
                (name.lower(), value.strip())
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            ]
            length = dict(headers).get("content-length")
            if request.startswith(b"HEAD "):
                length = "0"
            body = await (reader.read() if length is None else reader.readexactly(int(length)))
            return Answer(int(head[0].split()[1]), headers, body)

    try:
        yield ask
    finally:
        writer.close()


def environment(uri: str, token: str) -> Mapping[str, str]:
    """The environment of a sidecar."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")}
    return {**own, "KEYWRIGHT_URI": uri, "KEYWRIGHT_API_KEY": token}


def argv(config: Path, *options: str, front: str | None = None) -> list[str]:
    """The command line of a sidecar; `front`: None leaves it to the configuration."""
    chosen = [] if front is None else ["--front", front]
    return [
        *(sys.executable, "-m", "keywright", *options),
        *("sidecar", *chosen, "--config", str(config)),
    ]


@asynccontextmanager
async def sidecar(
    config: Path,
    uri: str,
    token: str,
    *options: str,
    until_ready: bool = True,
    front: str | None = None,
) -> AsyncIterator[Sidecar]:
    """A sidecar for a server, with a key for it."""
    async with running(argv(config, *options, front=front), environment(uri, token)) as process:
        line = await process.logged("listening")
        started = Sidecar(process, line["http"], line["envoy"])
        if until_ready:
            await started.ready()
        yield started

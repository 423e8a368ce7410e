"""Many different calls, at little cost to whoever makes them: HTTP/2 as far as a unary call needs.

`h2load` sends the same body over and over, and a client of gRPC takes longer for a call than the
server does. Here the frames of a call are put together from bytes, and of a reply nothing is read
but when it ended and with which status. As h2load does, and gRPC's own clients, headers that repeat
are sent once on a connection and named by number from then on (RFC 7541).
"""

import asyncio
import math
import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote_to_bytes

import grpc
from hpack import Decoder

from bench.load import Metadata, Slice

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEADER_BYTES = 9
_WINDOW_BYTES = 65_535  # of a new connection, whoever sends (RFC 9113, 6.9.2)
_NO_TABLE, _NO_PUSH, _WIDE = (1, 0), (2, 0), (4, 2**24)
_FIRST_DYNAMIC = 62
_STATUS, _MESSAGE = b"\x0bgrpc-status", b"\x0cgrpc-message"
_UNKNOWN = 2
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_TICK_SECONDS = 0.002
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: how long each call took, and how many had which gRPC status.

    Attributes:
        said: the text of the first answer of each status but OK.
    """

    slice: Slice
    codes: Counter[int]
    said: Mapping[int, str]


def refusals(codes: Counter[int], said: Mapping[int, str], *usual: int) -> str:
    """How many were answered otherwise than OK and as `usual`, and what the first were told."""
    others = {code: count for code, count in codes.items() if code not in {0, *usual}}
    told = (f"{count:,} {_NAMES[code]} ({said[code]})" for code, count in others.items())
    return "; ".join(told) or "none"


async def calls(
    address: str,
    path: str,
    messages: Iterable[bytes],
    metadata: Metadata,
    *,
    in_flight: int,
    connections: int = 1,
    per_second: float = math.inf,
) -> Answers:
    """Call `path` with each of `messages`, so many at a time in all, each connection as many.

    `per_second` are begun at most, over all connections. What fails is counted, not raised.

    Raises:
        ConnectionError: the server closed a connection that had calls.
        TimeoutError: nothing was answered for a minute.
    """
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    left = iter(messages)
    began = time.perf_counter()
    made: list[_Connection] = []
    try:
        for _ in range(connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(
                    _fields(address, path, metadata),
                    left,
                    in_flight // connections,
                    per_second / connections,
                ),
                host,
                int(port),
            )
            made.append(connection)
        await asyncio.gather(*(each.finished() for each in made))
    finally:
        for each in made:
            each.close()
    codes: Counter[int] = Counter()
    said: dict[int, str] = {}
    for each in made:
        codes.update(each.codes)
        said = each.said | said
    latencies = [latency for each in made for latency in each.latencies]
    return Answers(Slice(latencies, time.perf_counter() - began), codes, said)


class _Connection(asyncio.Protocol):
    """One connection, which takes the next message whenever it may begin another call."""

    def __init__(
        self,
        fields: list[tuple[bytes, bytes]],
        messages: Iterator[bytes],
        in_flight: int,
        per_second: float,
    ) -> None:
        self.latencies: list[float] = []
        self.codes: Counter[int] = Counter()
        self.said: dict[int, str] = {}
        self._headers = b"".join(b"\x40" + _text(name) + _text(value) for name, value in fields)
        last = _FIRST_DYNAMIC + len(fields) - 1
        self._repeated = bytes(0x80 | last - number for number in range(len(fields)))
        self._messages, self._in_flight, self._per_second = messages, in_flight, per_second
        self._began: dict[int, float] = {}
        self._stream = 1
        self._window = _WINDOW_BYTES
        self._exhausted = False
        self._received = b""
        self._start = time.perf_counter()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def finished(self) -> None:
        """Wait until there are no messages any more, and every call has ended."""
        seen = -1
        while not self._done.done():
            if seen == (seen := len(self.latencies)):
                raise TimeoutError(f"nothing was answered for {_PATIENCE_SECONDS} s")
            await asyncio.wait([self._done], timeout=_PATIENCE_SECONDS)
        await self._done

    def close(self) -> None:
        """Give up whatever is under way."""
        if not self._done.done():
            self._done.cancel()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport = self._transport
        settings = b"".join(struct.pack(">HI", *each) for each in (_NO_TABLE, _NO_PUSH, _WIDE))
        wide = struct.pack(">I", 2**31 - 1 - _WINDOW_BYTES)
        transport.write(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, wide)
        )
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed a connection"))

    def data_received(self, data: bytes) -> None:
        received, at = self._received + data, 0
        while len(received) - at >= _FRAME_HEADER_BYTES:
            high, low, kind, flags, stream = struct.unpack_from(">BHBBI", received, at)
            end = at + _FRAME_HEADER_BYTES + (high << 16 | low)
            if len(received) < end:
                break
            self._obey(kind, flags, stream, received[at + _FRAME_HEADER_BYTES : end])
            at = end
        self._received = received[at:]
        self._send()

    def _obey(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        match kind:
            case 1 if flags & _END_STREAM:
                self._end(stream, payload)
            case 3:
                self._end(stream, b"")
            case 4 | 6 if not flags & _ACK:
                self._transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            case 7:  # what was begun is answered
                self._exhausted = True
            case 8 if stream == 0:
                self._window += struct.unpack(">I", payload)[0]

    def _end(self, stream: int, trailers: bytes) -> None:
        began = self._began.pop(stream, None)
        if began is not None:
            self.latencies.append(time.perf_counter() - began)
            code, message = _ending(trailers)
            self.codes[code] += 1
            if code and code not in self.said:
                self.said[code] = unquote_to_bytes(message).decode()

    def _send(self) -> None:
        """Begin as many calls as may be."""
        frames, now = [], time.perf_counter()
        due = (now - self._start) * self._per_second
        while not self._exhausted and len(self._began) < self._in_flight and self._window > 2**14:
            if self._stream // 2 > due:
                break
            message = next(self._messages, None)
            if message is None:
                self._exhausted = True
                break
            body = struct.pack(">?I", False, len(message)) + message
            headers = self._headers if self._stream == 1 else self._repeated
            frames += [
                _frame(_HEADERS, _END_HEADERS, self._stream, headers),
                _frame(_DATA, _END_STREAM, self._stream, body),
            ]
            self._began[self._stream] = now
            self._stream += 2
            self._window -= len(body)
        if frames:
            self._transport.write(b"".join(frames))
        if self._exhausted and not self._began and not self._done.done():
            self._done.set_result(None)
        elif not self._exhausted and self._per_second < math.inf and not self._done.done():
            self._wake()

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._transport.is_closing():
            self._send()


def _fields(address: str, path: str, metadata: Metadata) -> list[tuple[bytes, bytes]]:
    given = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", address),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "30S"),
        *metadata,
    )
    return [(name.encode(), value.encode()) for name, value in given]


def _text(text: bytes) -> bytes:
    """As RFC 7541 writes a string, 5.2; not compressed."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, [127]
    while rest >= 128:
        length.append(rest % 128 | 128)
        rest //= 128
    return bytes([*length, rest]) + text


def _ending(trailers: bytes) -> tuple[int, bytes]:
    """The status and its message."""
    if _STATUS in trailers:  # gRPC compresses nothing that uses no table; Envoy does
        return int(_value(trailers, _STATUS)), _value(trailers, _MESSAGE)
    told = dict(Decoder().decode(trailers, raw=True)) if trailers else {}
    return int(told.get(_STATUS[1:], _UNKNOWN)), told.get(_MESSAGE[1:], b"")


def _value(trailers: bytes, name: bytes) -> bytes:
    """The value of a field in a block that uses no table; empty if there is none."""
    _, _, rest = trailers.partition(name)
    if not rest:
        return b""
    length, at = rest[0], 1
    if length == 127:
        while True:
            length += (rest[at] & 127) << 7 * (at - 1)
            at += 1
            if rest[at - 1] < 128:
                break
    return rest[at : at + length]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload

"""A client that frames its calls as it likes, on HTTP/2 that is otherwise in order (hyper-h2).

What a server says is held to RFC 9113 by h2, which takes nothing else.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import StreamClosedError

Fields = Sequence[tuple[str, str]]
_CODES = {str(code.value[0]): code.name for code in grpc.StatusCode}
_AT_ONCE = 2**16
_PATIENCE = 20


@dataclass
class Answer:
    """What a server has said on a stream."""

    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        """`OK` or another code of gRPC, `HTTP 415`, `reset`, or that the connection was closed.

        A reset after a status is how a server says that it wants no more of a request; `refused`,
        that it has not begun with it (RFC 9113 section 8.7), because too many are open.
        """
        if "grpc-status" in self.fields:
            return _CODES[self.fields["grpc-status"]]
        if self.fields.get(":status", "200") != "200":
            return f"HTTP {self.fields[':status']}"
        if self.error == ErrorCodes.REFUSED_STREAM:
            return "refused"
        return "closed" if self.error is None else "reset"


class RawConnection:
    """One connection; `closed` is set once the server has closed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.closed = asyncio.Event()
        self._heard = asyncio.Event()
        self._reader, self._writer = reader, writer
        self._answers: defaultdict[int, Answer] = defaultdict(Answer)
        self._h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.initiate_connection()

    def begin(self, fields: Fields, *, ends: bool, most: int | None = None) -> int:
        """The HEADERS of a request, in frames of `most` bytes; returns the number of its stream."""
        stream = self._h2.get_next_available_stream_id()
        usual = self._h2.max_outbound_frame_size
        self._h2.max_outbound_frame_size = most or usual
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        self._h2.send_headers(stream, encoded, end_stream=ends)
        self._h2.max_outbound_frame_size = usual
        return stream

    def data(self, stream: int, content: bytes, *, ends: bool) -> None:
        """A frame of DATA."""
        with suppress(StreamClosedError):  # the server has had enough of it
            self._h2.send_data(stream, content, end_stream=ends)

    def trailers(self, stream: int, fields: Fields) -> None:
        """HEADERS after the body, and the end."""
        with suppress(StreamClosedError):
            self._h2.send_headers(stream, list(fields), end_stream=True)

    def reset(self, stream: int) -> None:
        """RST_STREAM with CANCEL."""
        with suppress(StreamClosedError):
            self._h2.reset_stream(stream, error_code=ErrorCodes.CANCEL)

    async def flush(self) -> None:
        """Send it."""
        with suppress(ConnectionError):
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()

    async def answer(self, stream: int) -> Answer:
        """What the server has said on a stream, once it has ended it."""
        answer = self._answers[stream]
        if self.closed.is_set():
            return answer
        try:
            async with asyncio.timeout(_PATIENCE):
                await answer.over.wait()
        except TimeoutError:
            raise AssertionError("a call was neither answered nor ended") from None
        return answer

    async def heard(self) -> None:
        """Wait until the server has read all that was sent, or has closed the connection."""
        self._heard.clear()
        self._h2.ping(b"the last")
        await self.flush()
        async with asyncio.timeout(_PATIENCE):
            await self._heard.wait()

    async def read(self) -> None:
        """Note what the server says, until it closes the connection."""
        try:
            with suppress(ConnectionError):
                while content := await self._reader.read(_AT_ONCE):
                    for event in self._h2.receive_data(content):
                        self._note(event)
                    await self.flush()
        finally:
            self.closed.set()
            self._heard.set()
            for answer in self._answers.values():
                answer.over.set()

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                told = ((str(name), str(value)) for name, value in event.headers)
                self._answers[event.stream_id].fields.update(told)
            case DataReceived():
                self._answers[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamReset():
                self._answers[event.stream_id].error = event.error_code
                self._answers[event.stream_id].over.set()
            case PingAckReceived():
                self._heard.set()
            case StreamEnded():
                self._answers[event.stream_id].over.set()


@asynccontextmanager
async def raw_connection(target: str) -> AsyncIterator[RawConnection]:
    """A connection to `host:port`, for as long as the block."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connected = RawConnection(reader, writer)
    await connected.flush()
    reading = asyncio.create_task(connected.read())
    try:
        yield connected
    finally:
        writer.transport.abort()
        await reading

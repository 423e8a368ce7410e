"""The second transport, asked as an ASGI server asks it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2

from keywright.domain.errors import Reason, ServiceError
from keywright.front import framing
from keywright.wire import asgi, unary
from keywright.wire.errors import failure
from keywright.wire.rpc import Backend, Reply, Rpc, Settings

PATH = "/keywright.v1.AuthService/BatchAuthenticate"
HEADERS = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
MAX_BYTES = 1000
Proceed = Callable[[Rpc], Awaitable[Reply]]


@dataclass
class Call:
    """One call, as its server sees it: what is to be received, and what was sent."""

    parts: Sequence[bytes] = (framing.framed(b"asked"),)
    headers: Sequence[tuple[bytes, bytes]] = HEADERS
    path: str = PATH
    method: str = "POST"
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = list(self.parts)

    async def receive(self) -> Any:
        """The next part of the body; at its end, whether the client has gone."""
        if self._left:
            part = self._left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._left)}
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Any) -> None:
        """Keep what is sent."""
        self.sent.append(event)

    async def answered(self, proceed: Proceed | None = None) -> "Call":
        """Have it answered, by the chain or by `proceed` in its place."""
        with pytest.MonkeyPatch.context() as patch:
            if proceed is not None:
                patch.setattr(unary, "chain", lambda _method: proceed)
            application = asgi.Application(Backend(Settings(max_request_bytes=MAX_BYTES)))
        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "headers": list(self.headers),
            "client": ("192.0.2.1", 1234),
            "extensions": {"http.response.trailers": {}},
        }
        await application(scope, self.receive, self.send)
        return self

    @property
    def trailers(self) -> dict[str, bytes]:
        """What says how it ended, wherever that stands."""
        last = self.sent[-1] if len(self.sent) == 3 else self.sent[0]
        return {key.decode(): value for key, value in last["headers"]}

    @property
    def code(self) -> int:
        """The code."""
        return int(self.trailers["grpc-status"])

    @property
    def reason(self) -> str:
        """The reason that an error gives."""
        [(_, details)] = framing.metadata(
            [(b"details-bin", self.trailers["grpc-status-details-bin"])]
        )
        assert isinstance(details, bytes)
        info = error_details_pb2.ErrorInfo()
        assert status_pb2.Status.FromString(details).details[0].Unpack(info)
        return info.reason


async def echo(rpc: Rpc) -> bytes:
    """Answer with what was asked."""
    rpc.reply_metadata.append(("x-request-id", "an-id"))
    return rpc.body


async def test_a_reply_is_a_message_between_headers_and_trailers() -> None:
    call = await Call().answered(echo)
    beginning, body, end = call.sent
    assert beginning["status"] == 200
    assert beginning["trailers"] is True
    assert beginning["headers"] == [(b"content-type", b"application/grpc")]
    assert body["body"] == framing.framed(b"asked")
    assert dict(end["headers"]) == {b"grpc-status": b"0", b"x-request-id": b"an-id"}


@pytest.mark.parametrize("kind", [b"application/grpc+proto", b"application/grpc;charset=utf-8"])
async def test_the_format_of_messages_may_be_named(kind: bytes) -> None:
    call = await Call(headers=((b"te", b"trailers"), (b"content-type", kind))).answered(echo)
    assert call.code == 0


async def test_a_request_may_come_in_parts_and_compressed() -> None:
    import gzip

    packed = gzip.compress(b"asked")
    body = b"\1" + len(packed).to_bytes(4) + packed
    parts = [body[index : index + 3] for index in range(0, len(body), 3)]
    call = await Call(parts, (*HEADERS, (b"grpc-encoding", b"gzip"))).answered(echo)
    assert call.sent[1]["body"] == framing.framed(b"asked")


async def test_an_error_is_in_the_headers_alone() -> None:
    async def fail(rpc: Rpc) -> bytes:
        error = ServiceError(Reason.OVERLOADED, "50% of déjà vu")
        raise failure(error, rpc.call_id)

    call = await Call().answered(fail)
    start, body = call.sent
    assert start["status"] == 200
    assert not start.get("trailers")
    assert not body.get("body")
    assert call.trailers["grpc-message"] == b"50%25 of d%C3%A9j%C3%A0 vu"
    assert call.reason == Reason.OVERLOADED


async def test_the_call_is_what_its_headers_say() -> None:
    seen: list[Rpc] = []

    async def note(rpc: Rpc) -> bytes:
        seen.append(rpc)
        return b""

    more = ((b"grpc-timeout", b"10S"), (b"x-bin", b"AA"), (b"x-keywright-peer", b"203.0.113.9"))
    await Call(headers=(*HEADERS, *more)).answered(note)
    [rpc] = seen
    assert str(rpc.peer) == "192.0.2.1"
    assert rpc.certified is False
    assert rpc.values("x-bin") == [b"\0"]
    remaining = rpc.time_remaining()
    assert remaining is not None
    assert 0 < remaining <= 10


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        (Call(headers=HEADERS[:1]), 13, Reason.REQUEST_MALFORMED),
        (Call([b""]), 13, Reason.REQUEST_MALFORMED),
        (Call([framing.framed(b"a") * 2]), 13, Reason.REQUEST_MALFORMED),
        (Call(headers=(*HEADERS, (b"grpc-timeout", b"soon"))), 13, Reason.REQUEST_MALFORMED),
        (Call(headers=(*HEADERS, (b"x-bin", b"a"))), 13, Reason.REQUEST_MALFORMED),
        (Call([b"\1\0\0\0\1x"]), 13, Reason.REQUEST_MALFORMED),
        (Call([framing.framed(bytes(3 * MAX_BYTES))]), 8, Reason.REQUEST_TOO_LARGE),
        (Call([b"\0\xff\xff\xff\xff", b"x", b"x"]), 8, Reason.REQUEST_TOO_LARGE),
        (Call([bytes(MAX_BYTES)] * 4), 8, Reason.REQUEST_TOO_LARGE),
        (Call(path="/keywright.v1.AuthService/Watch"), 12, Reason.METHOD_UNIMPLEMENTED),
        (Call(path="/other/Nothing"), 12, Reason.METHOD_UNIMPLEMENTED),
        (Call(), 14, Reason.SERVER_UNAVAILABLE),
    ],
)
async def test_what_cannot_be_called_is_told_why(call: Call, code: int, reason: Reason) -> None:
    await call.answered()
    assert (call.code, call.reason) == (code, reason)


async def test_a_request_that_says_it_is_too_long_is_refused_before_it_is_there() -> None:
    call = await Call([b"\0\0\1\0\0", *[b"x" * 100] * 100]).answered()
    assert call.reason == Reason.REQUEST_TOO_LARGE
    assert len(call._left) == 100


async def test_other_compressions_are_refused_with_those_that_would_do() -> None:
    headers = (*HEADERS, (b"grpc-encoding", b"snappy"))
    call = await Call([b"\1\0\0\0\1x"], headers).answered()
    assert call.code == 12
    assert call.trailers["grpc-accept-encoding"] == b"identity,gzip"


@pytest.mark.parametrize(
    "call",
    [
        Call(method="GET"),
        Call(headers=()),
        Call(headers=((b"te", b"trailers"),)),
        Call(headers=((b"te", b"trailers"), (b"content-type", b"application/grpc-web"))),
        Call(headers=((b"te", b"trailers"), (b"content-type", b"application/json"))),
    ],
)
async def test_what_is_no_grpc_is_told_so_in_http(call: Call) -> None:
    await call.answered()
    assert call.sent[0]["status"] == 415


async def test_a_call_whose_client_has_gone_is_cancelled() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_rpc: Rpc) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    call = Call()
    answering = asyncio.create_task(call.answered(wait))
    await begun.wait()
    call.is_gone.set()
    await asyncio.wait_for(answering, 10)
    assert cancelled.is_set()
    assert call.sent == []


async def test_a_client_that_goes_before_it_has_asked_is_not_answered() -> None:
    call = Call([])
    call.is_gone.set()
    assert (await call.answered(echo)).sent == []

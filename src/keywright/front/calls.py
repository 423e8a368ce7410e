"""A unary call of gRPC as an exchange over ASGI, on a server that sends trailers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any

from keywright.front import framing
from keywright.front.framing import RefusedCall, TooLargeCall

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

# How long a call runs before it is asked whether its client is still there, and how often then.
_PATIENCE = timedelta(milliseconds=50)
_GRPC = b"application/grpc"
_GRPC_OF = (b"application/grpc+", b"application/grpc;")
_CONTENT_TYPE = (b"content-type", _GRPC)
_OK = (b"grpc-status", b"0")
BODY = "http.response.body"
# Made once: a server reads them, and keeps nothing.
BEGINNING = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_CONTENT_TYPE],
    "trailers": True,
}
END = {"type": "http.response.trailers", "headers": [_OK]}
_NOT_GRPC = {
    "type": "http.response.start",
    "status": 415,
    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
}
_NOT_GRPC_TEXT = {
    "type": BODY,
    "body": b"this is gRPC: POST with content-type application/grpc\n",
}
_NOTHING = {"type": BODY}


def is_call(scope: Scope, said: Mapping[bytes, bytes]) -> bool:
    """Whether this is gRPC; `said` are the headers."""
    kind = said.get(b"content-type", b"")
    return (kind == _GRPC or kind.startswith(_GRPC_OF)) and scope["method"] == "POST"


async def refuse_other(scope: Scope, send: Send) -> None:
    """Answer what is no gRPC."""
    await send(_NOT_GRPC)
    # Nothing follows the answer to HEAD (RFC 9110, section 9.3.2): Envoy sends whatever it is given
    # here, and over HTTP/1.1 that would be read as the answer to somebody's next request.
    await send(_NOTHING if scope["method"] == "HEAD" else _NOT_GRPC_TEXT)


async def message_of(
    event: Event, said: Mapping[bytes, bytes], receive: Receive, limit: int
) -> bytes | None:
    """The request, whose body begins in `event`; None if the client has gone.

    Raises:
        RefusedCall: it is none that a reply could be sent to, or longer than `limit`.
    """
    if said.get(b"te") != b"trailers":
        raise RefusedCall("a call needs te: trailers, because its status is sent in them")
    body: bytes = event.get("body", b"")
    if event.get("more_body"):
        event, body = await _gathered(event, receive, limit)
    if event["type"] != "http.request":
        return None
    return framing.unframed(body, said.get(b"grpc-encoding"), limit)


async def _gathered(event: Event, receive: Receive, limit: int) -> tuple[Event, bytes]:
    """The last part of a request that comes in several, and all of them joined."""
    body = bytearray(event.get("body", b""))
    while event.get("more_body"):
        size = max(framing.announced(body), len(body) - framing.PREFIX_BYTES)
        if size > limit:
            raise TooLargeCall(size)
        event = await receive()
        body += event.get("body", b"")
    return event, bytes(body)


async def reply(send: Send, message: bytes, metadata: framing.Metadata = ()) -> None:
    """Answer a call."""
    await send(BEGINNING)
    await send({"type": BODY, "body": framing.framed(message)})
    if metadata:
        headers = [_OK, *framing.headers_of(metadata)]
        await send({"type": "http.response.trailers", "headers": headers})
    else:
        await send(END)


async def refuse(send: Send, code: int, message: str, metadata: framing.Metadata = ()) -> None:
    """Answer a call with an error."""
    headers = [
        _CONTENT_TYPE,
        (b"grpc-status", b"%d" % code),
        (b"grpc-message", framing.percent_encoded(message)),
        *framing.headers_of(metadata),
    ]
    if code == framing.UNIMPLEMENTED:
        headers.append((b"grpc-accept-encoding", framing.ACCEPTED.encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(_NOTHING)


class Client:
    """Whoever waits for a call, and may not: then the call is cancelled, and `is_gone`."""

    def __init__(self, receive: Receive) -> None:
        loop, call = asyncio.get_running_loop(), asyncio.current_task()
        assert call is not None, "a call is a task"  # noqa: S101
        self.is_gone = False
        self._receive, self._call = receive, call
        self._watching: asyncio.Task[None] | None = None
        self._beginning = loop.call_later(_PATIENCE.total_seconds(), self._begin)

    def look_away(self) -> None:
        """Cancel nothing any more."""
        self._beginning.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        # A server that is asked after the body's end may say that this is its end, again.
        while (await self._receive())["type"] != "http.disconnect":  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(_PATIENCE.total_seconds())
        self.is_gone = True
        self._call.cancel()

"""A second transport: unary gRPC over HTTP/2, as an ASGI application with trailers.

Its server has to be one that sends trailers (ASGI's extension `http.response.trailers`); the front
runs it inside Envoy (decision 0026). What is said on the wire is `framing`'s; what is answered is
what `wire.grpc` answers, by the same functions (`unary`). Streams and unknown methods are
UNIMPLEMENTED here: whoever routes sends them to the other transport.

A call, in the terms of "gRPC over HTTP/2":

1. It is a POST with `content-type: application/grpc` (or `+proto`), else HTTP 415, and with
   `te: trailers`: a server that may not send trailers has nowhere to put the status.
2. "Request": the body is one length-prefixed message. One that says it is longer than twice
   `max_request_bytes` is refused before it is there, as by grpc.aio; one that is longer than that
   is refused by the chain. A call that is answered from memory awaits nothing but its body and its
   reply.
3. "Response": headers, one length-prefixed message, and trailers with `grpc-status: 0`; an error is
   "Trailers-Only", in the headers. Nothing is compressed.
4. A call whose client has gone (`http.disconnect`) is cancelled; not at once, because servers tell
   only who asks, and most calls have ended before that.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import Any

from keywright.domain.errors import Reason, ServiceError, Status
from keywright.domain.keys import Address
from keywright.wire import framing, json_body
from keywright.wire.hot_path import Arrived
from keywright.wire.interceptors.call_id import METADATA_KEY
from keywright.wire.interceptors.validation import too_large
from keywright.wire.methods import UNKNOWN, methods
from keywright.wire.peers import address_of
from keywright.wire.rpc import Backend, Rpc
from keywright.wire.unary import Outcome, Unary, of_hit, refused

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

# How long a call runs before it is asked whether its client is still there, and how often then.
_PATIENCE = timedelta(milliseconds=50)
_GRPC = b"application/grpc"
_GRPC_OF = (b"application/grpc+", b"application/grpc;")
_BODY = "http.response.body"
_CONTENT_TYPE = (b"content-type", _GRPC)
_OK = (b"grpc-status", b"0")
# Made once: a server reads them, and keeps nothing.
_BEGINNING = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_CONTENT_TYPE],
    "trailers": True,
}
_END = {"type": "http.response.trailers", "headers": [_OK]}
_NOT_GRPC = {
    "type": "http.response.start",
    "status": 415,
    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
}
_NOT_GRPC_TEXT = {
    "type": _BODY,
    "body": b"this is gRPC: POST with content-type application/grpc\n",
}
_NOTHING = {"type": _BODY}
_FROM_JSON = json_body.PATH_KEY.encode()
# What a call may say that is answered from memory, and under which name that is known there.
_REMEMBERED_BY = ((b"authorization", "authorization"), (METADATA_KEY.encode(), METADATA_KEY))


class Application:
    """Serves every unary method of the contract, and answers for all others.

    `certified` is whether its server lets nobody in who has no client certificate. A call does not
    tell: in ASGI a certificate has its name, and that may be empty.
    """

    def __init__(self, backend: Backend, *, certified: bool = False) -> None:
        self._methods = {
            method.path: Unary(backend, method) for method in methods() if not method.streaming
        }
        self._unknown = Unary(backend, UNKNOWN)
        self._certified = certified
        # As much as grpc.aio takes; the chain has the limit itself, and the words for it.
        self._limit = 2 * backend.settings.max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = scope["headers"]
        said = dict(headers)
        kind = said.get(b"content-type", b"")
        if (kind != _GRPC and not kind.startswith(_GRPC_OF)) or scope["method"] != "POST":
            await send(_NOT_GRPC)
            await send(_NOT_GRPC_TEXT)
            return
        unary, event = self._methods.get(scope["path"], self._unknown), await receive()
        # A key that is there twice is the chain's to judge, and so is JSON.
        if (
            unary.recall
            and len(said) == len(headers)
            and said.get(b"te") == b"trailers"
            and _FROM_JSON not in said
        ):
            message = framing.whole(event)
            hit = message and unary.recall(self._arrived(message, said, scope))
            if hit:
                if not hit.call_id and isinstance(hit.answer, bytes):  # as most are
                    await send(_BEGINNING)
                    await send({"type": _BODY, "body": framing.framed(hit.answer)})
                    await send(_END)
                else:
                    await _send(of_hit(hit), send)
                return
        outcome = await self._answer(unary, event, scope, receive)
        if outcome is not None:
            await _send(outcome, send)

    def _arrived(self, message: bytes, said: dict[bytes, bytes], scope: Scope) -> Arrived:
        metadata = [
            (name, said[key].decode("latin-1")) for key, name in _REMEMBERED_BY if key in said
        ]
        return Arrived(message, metadata, _peer(scope), self._certified)

    async def _answer(
        self, unary: Unary, event: Event, scope: Scope, receive: Receive
    ) -> Outcome | None:
        """What a call is answered that is not answered from memory; None if its client has gone."""
        said = dict(scope["headers"])
        try:
            if said.get(b"te") != b"trailers":
                raise _no_trailers()
            body = await self._body(event, receive)
            if body is None:
                return None
            message = framing.unframed(body, said.get(b"grpc-encoding"), self._limit)
            rpc = Rpc(
                backend=unary.backend,
                method=unary.method,
                metadata=framing.metadata(scope["headers"]),
                peer=_peer(scope),
                certified=self._certified,
                time_remaining=_remaining(said.get(b"grpc-timeout")),
                body=message,
            )
        except ServiceError as error:
            return refused(error)
        client = _Client(receive)
        try:
            return await unary.answer(rpc)
        except asyncio.CancelledError:
            if not client.is_gone:
                raise
            return None
        finally:
            client.look_away()

    async def _body(self, event: Event, receive: Receive) -> bytes | None:
        """The whole body, which begins in `event`; None if the client has gone.

        Raises:
            ServiceError: REQUEST_TOO_LARGE.
        """
        body = bytearray(event.get("body", b""))
        while event.get("more_body"):
            if (size := max(framing.announced(body), len(body))) > self._limit:
                raise too_large(size, self._limit // 2)
            event = await receive()
            body += event.get("body", b"")
        return bytes(body) if event["type"] == "http.request" else None


def _no_trailers() -> ServiceError:
    return ServiceError(
        Reason.REQUEST_MALFORMED,
        "a call needs te: trailers, because its status is sent in them",
        status=Status.INTERNAL,
    )


def _peer(scope: Scope) -> Address | None:
    client = scope["client"]
    return None if client is None else address_of(client[0])


def _remaining(timeout: bytes | None) -> Callable[[], float | None]:
    if timeout is None:
        return lambda: None
    loop = asyncio.get_running_loop()
    end = loop.time() + framing.timeout(timeout)
    return lambda: end - loop.time()


class _Client:
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


async def _send(outcome: Outcome, send: Send) -> None:
    if outcome.code:
        await send(_refusal(outcome))
        await send(_NOTHING)
        return
    await send(_BEGINNING)
    await send({"type": _BODY, "body": framing.framed(outcome.reply)})
    if outcome.metadata:
        headers = [_OK, *framing.headers_of(outcome.metadata)]
        await send({"type": "http.response.trailers", "headers": headers})
    else:
        await send(_END)


def _refusal(outcome: Outcome) -> Event:
    headers = [
        _CONTENT_TYPE,
        (b"grpc-status", b"%d" % outcome.code),
        (b"grpc-message", framing.percent_encoded(outcome.message)),
        *framing.headers_of(outcome.metadata),
    ]
    if outcome.code == _UNIMPLEMENTED:
        headers.append((b"grpc-accept-encoding", framing.ACCEPTED.encode()))
    return {"type": "http.response.start", "status": 200, "headers": headers}


_UNIMPLEMENTED = 12  # google.rpc.Code

"""A second transport: unary gRPC over HTTP/2, as an ASGI application with trailers.

Its server has to be one that sends trailers (ASGI's extension `http.response.trailers`); the front
runs it inside Envoy (decision 0026). What is said on the wire is `keywright.front`'s (`framing`,
`calls`); what is answered is what `wire.grpc` answers, by the same functions (`unary`). Streams and
unknown methods are UNIMPLEMENTED here: whoever routes sends them to the other transport.

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
from collections.abc import Callable

from keywright.domain.errors import Reason, ServiceError, Status
from keywright.domain.keys import Address
from keywright.front import calls, framing
from keywright.front.calls import Event, Receive, Scope, Send
from keywright.front.framing import RefusedCall, TooLargeCall, UnknownEncoding
from keywright.wire import json_body
from keywright.wire.hot_path import Arrived
from keywright.wire.interceptors.call_id import METADATA_KEY
from keywright.wire.interceptors.validation import too_large
from keywright.wire.methods import UNKNOWN, methods
from keywright.wire.peers import address_of
from keywright.wire.rpc import Backend, Rpc
from keywright.wire.unary import Outcome, Unary, of_hit, refused

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
        self._limit = backend.settings.max_request_bytes
        # As much as grpc.aio takes; the chain has the limit itself, and the words for it.
        self._most = 2 * self._limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = scope["headers"]
        said = dict(headers)
        if not calls.is_call(scope, said):
            await calls.refuse_other(scope, send)
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
                    await send(calls.BEGINNING)
                    await send({"type": calls.BODY, "body": framing.framed(hit.answer)})
                    await send(calls.END)
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
            message = await calls.message_of(event, said, receive, self._most)
            if message is None:
                return None
            rpc = Rpc(
                backend=unary.backend,
                method=unary.method,
                metadata=framing.metadata(scope["headers"]),
                peer=_peer(scope),
                certified=self._certified,
                time_remaining=_remaining(said.get(b"grpc-timeout")),
                body=message,
                json_path=said.get(_FROM_JSON, b"").decode("latin-1"),
            )
        except RefusedCall as error:
            return refused(_told(error, self._limit))
        client = calls.Client(receive)
        try:
            return await unary.answer(rpc)
        except asyncio.CancelledError:
            if not client.is_gone:
                raise
            return None
        finally:
            client.look_away()


def _peer(scope: Scope) -> Address | None:
    client = scope["client"]
    return None if client is None else address_of(client[0])


def _remaining(timeout: bytes | None) -> Callable[[], float | None]:
    if timeout is None:
        return lambda: None
    loop = asyncio.get_running_loop()
    end = loop.time() + framing.timeout(timeout)
    return lambda: end - loop.time()


async def _send(outcome: Outcome, send: Send) -> None:
    if outcome.code:
        await calls.refuse(send, outcome.code, outcome.message, outcome.metadata)
    else:
        await calls.reply(send, outcome.reply, outcome.metadata)


def _told(error: RefusedCall, limit: int) -> ServiceError:
    """What is told of something that is not gRPC, or none that is taken."""
    if isinstance(error, TooLargeCall):
        return too_large(error.size, limit)
    unknown = isinstance(error, UnknownEncoding)
    status = Status.UNIMPLEMENTED if unknown else Status.INTERNAL
    return ServiceError(Reason.REQUEST_MALFORMED, str(error), status=status)

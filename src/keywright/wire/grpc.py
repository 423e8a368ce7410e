"""The transport: gRPC over HTTP/2, by grpc.aio.

Bodies pass as bytes: parsing is the chain's, so that a malformed one gets the same kind of error as
everything else. Nothing about keys, tokens or errors is decided here.
"""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

import grpc
from grpc.aio import AbortError, ServicerContext

from keywright.domain.keys import Address
from keywright.wire.errors import Failure
from keywright.wire.hot_path import Arrived
from keywright.wire.interceptors import Proceed, chain
from keywright.wire.methods import UNKNOWN, methods
from keywright.wire.peers import address_of, told_address, told_certified, told_json_path
from keywright.wire.rpc import Backend, Method, Rpc, Stream
from keywright.wire.unary import Outcome, Unary, of_failure, of_hit

Context = ServicerContext[bytes, bytes]
_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")
_FIRST_REQUEST_PATIENCE = timedelta(seconds=1)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Peers:
    """How it is told who is at the other end of a call: the address, and whether it is certified.

    An address is None over a UNIX socket; `is_certified` is whether a client certificate was
    verified, `json_path` that of what the call was made of, empty if it was no JSON.
    """

    address: Callable[[Context], Address | None]
    is_certified: Callable[[Context], bool]
    json_path: Callable[[Context], str]


class Transport(grpc.GenericRpcHandler):
    """Serves every method of the contract, and answers for those it does not know."""

    def __init__(self, backend: Backend, peers: Peers | None = None) -> None:
        peers = peers or OF_THE_CONNECTION
        self._handlers = {method.path: _handler(backend, method, peers) for method in methods()}
        self._unknown = _handler(backend, UNKNOWN, peers)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """The handler of a method, known or not."""
        path = handler_call_details.method
        return self._handlers.get(path) or self._unknown


def _handler(
    backend: Backend, method: Method, peers: Peers
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    if method.streaming:
        stream = _serve_stream(backend, method, chain(method), peers)
        return grpc.stream_stream_rpc_method_handler(leaving_nothing(stream))
    serve = _serve(Unary(backend, method), peers)
    return grpc.unary_unary_rpc_method_handler(leaving_nothing(serve))


def leaving_nothing(serve: Callable[[_Asked, Context], Awaitable[_Answer]]) -> Any:
    """`serve`, so that a call which ends with an error is gone at once.

    The call keeps what `abort` raises, which has hold of the functions that it went through, and
    they of the call: a circle that stays until the garbage collector comes by. Until then gRPC
    takes the stream for one that is open, and refuses others when a connection has had too many.
    """

    async def served(asked: _Asked, context: Context) -> _Answer:
        try:
            return await serve(asked, context)
        except AbortError as aborted:
            del asked, context
            aborted.__context__ = None
            raise aborted.with_traceback(None) from None

    return served


ServeStream = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]
Serve = Callable[[bytes, Context], Awaitable[bytes]]


def _serve(unary: Unary, peers: Peers) -> Serve:
    may_be_certified = unary.backend.settings.authenticate_callers == "mtls"

    async def serve(body: bytes, context: Context) -> bytes:
        outcome = None
        if unary.recall is not None:
            metadata = tuple(context.invocation_metadata() or ())
            certified = may_be_certified and peers.is_certified(context)
            hit = unary.recall(Arrived(body, metadata, peers.address(context), certified))
            outcome = None if hit is None else of_hit(hit)
        if outcome is None:
            rpc = _rpc(unary.backend, unary.method, context, peers)
            rpc.body = body
            outcome = await unary.answer(rpc)
        if outcome.code:
            await _abort(context, outcome)
        if outcome.metadata:
            context.set_trailing_metadata(outcome.metadata)
        return outcome.reply

    return serve


def _serve_stream(backend: Backend, method: Method, proceed: Proceed, peers: Peers) -> ServeStream:
    async def serve(_requests: AsyncIterator[bytes], context: Context) -> None:
        rpc, received = _rpc(backend, method, context, peers), _Requests(context)
        rpc.stream = Stream(received, _Replies(context).send)
        try:
            await proceed(rpc)
        except Failure as failed:
            if not received.are_read:
                await _first_of(context)
            await _abort(context, of_failure(failed, tuple(rpc.reply_metadata)))
        context.set_trailing_metadata(tuple(rpc.reply_metadata))

    return serve


@dataclass(slots=True)
class _Requests:
    """The requests of a stream, and whether anybody reads them.

    Not gRPC's own iterator: begun and not ended it has hold of the call, and the call of it, until
    the garbage collector comes by (see `leaving_nothing`).
    """

    context: Context
    are_read: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.are_read = True
        return self._messages()

    async def _messages(self) -> AsyncIterator[bytes]:
        message: Any = await self.context.read()
        while message is not grpc.aio.EOF:
            yield message
            message = await self.context.read()


@dataclass(slots=True)
class _Replies:
    """The replies of a stream, whose sender may be cancelled at any time.

    The first takes the call's headers with it. gRPC forgets that these have gone if the first is
    cancelled, sends them again with an error, which fails, and the stream stays open for ever. So
    they go by themselves, and to their end.
    """

    context: Context
    _headers: "asyncio.Task[None] | None" = None

    async def send(self, message: bytes) -> None:
        """Send one message; ends when the transport has taken it."""
        if self._headers is None:
            self._headers = asyncio.create_task(self.context.send_initial_metadata(()))
            try:
                await asyncio.shield(self._headers)
            except asyncio.CancelledError:
                await asyncio.wait([self._headers])
                raise
        await self.context.write(message)


async def _first_of(context: Context) -> None:
    """Take the first request, though it is of no use any more.

    A client of grpc.aio whose message cannot be sent, because the stream has ended, takes that for
    an INTERNAL error and forgets why it has.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_REQUEST_PATIENCE.total_seconds()):
            await context.read()


def _rpc(backend: Backend, method: Method, context: Context, peers: Peers) -> Rpc:
    return Rpc(
        backend=backend,
        method=method,
        metadata=tuple(context.invocation_metadata() or ()),
        peer=peers.address(context),
        certified=peers.is_certified(context),
        time_remaining=context.time_remaining,
        json_path=peers.json_path(context),
    )


async def _abort(context: Context, outcome: Outcome) -> None:
    # `context.abort_with_status` is missing in grpcio 1.78's aio.
    await context.abort(_CODES[outcome.code], outcome.message, outcome.metadata)


def _is_certified(context: Context) -> bool:
    return "x509_pem_cert" in context.auth_context()


def _address(context: Context) -> Address | None:
    return _parsed(context.peer())


@lru_cache(maxsize=4096)  # the same for all calls over one connection
def _parsed(peer: str) -> Address | None:
    """The address in gRPC's `ipv4:192.0.2.1:123`, `ipv6:%5B2001:db8::1%5D:123`, `unix:...`."""
    scheme, _, rest = urllib.parse.unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return None
    return address_of(rest.rpartition(":")[0].strip("[]"))


OF_THE_CONNECTION = Peers(_address, _is_certified, lambda _context: "")
"""As the connection itself has it."""


def _told_address(context: Context) -> Address | None:
    return told_address(context.invocation_metadata() or ())


def _told_certified(context: Context) -> bool:
    return told_certified(context.invocation_metadata() or ())


def _told_json_path(context: Context) -> str:
    return told_json_path(context.invocation_metadata() or ())


BY_THE_PROXY = Peers(_told_address, _told_certified, _told_json_path)
"""As the proxy tells that alone can reach the socket."""

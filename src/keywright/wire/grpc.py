"""The transport: gRPC over HTTP/2, by grpc.aio.

Bodies pass as bytes: parsing is the chain's, so that a malformed one gets the same kind of error as
everything else. Nothing about keys, tokens or errors is decided here.
"""

import urllib.parse
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from grpc_status import rpc_status

from keywright.domain.keys import Address, parse_address
from keywright.wire.errors import Failure
from keywright.wire.interceptors import Proceed, chain
from keywright.wire.methods import UNKNOWN, methods
from keywright.wire.rpc import Backend, Method, Rpc

Context = ServicerContext[bytes, bytes]


class Transport(grpc.GenericRpcHandler):
    """Serves every method of the contract, and answers for those it does not know."""

    def __init__(self, backend: Backend) -> None:
        self._handlers = {method.path: _handler(backend, method) for method in methods()}
        self._unknown = _handler(backend, UNKNOWN)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """The handler of a method, known or not."""
        path = handler_call_details.method
        return self._handlers.get(path) or self._unknown


def _handler(backend: Backend, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
    serve = _serve(backend, method, chain(method))
    if not method.streaming:
        return grpc.unary_unary_rpc_method_handler(serve)

    async def serve_stream(_requests: object, context: Context) -> None:
        await serve(b"", context)

    return grpc.stream_stream_rpc_method_handler(serve_stream)


def _serve(
    backend: Backend, method: Method, proceed: Proceed
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def serve(body: bytes, context: Context) -> bytes:
        rpc = Rpc(
            backend=backend,
            method=method,
            metadata=tuple(context.invocation_metadata() or ()),
            peer=_address(context.peer()),
            certified="x509_pem_cert" in context.auth_context(),
            time_remaining=context.time_remaining,
            body=body,
        )
        try:
            reply: Message = await proceed(rpc)
        except Failure as failed:
            await _abort(context, failed, rpc.reply_metadata)
        await context.send_initial_metadata(rpc.reply_metadata)
        return reply.SerializeToString()

    return serve


async def _abort(context: Context, failed: Failure, metadata: list[tuple[str, str]]) -> None:
    # `context.abort_with_status` is missing in grpcio 1.78's aio.
    status = rpc_status.to_status(failed.status)
    await context.abort(status.code, status.details, (*(status.trailing_metadata or ()), *metadata))


def _address(peer: str) -> Address | None:
    """The address in gRPC's `ipv4:192.0.2.1:123`, `ipv6:%5B2001:db8::1%5D:123`, `unix:...`."""
    scheme, _, rest = urllib.parse.unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return None
    host = rest.rpartition(":")[0].strip("[]")
    try:
        return parse_address(host.partition("%")[0])
    except ValueError:
        return None

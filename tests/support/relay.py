"""A server between a client and a server, which loses replies when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc


@dataclass(eq=False)
class Relay(grpc.GenericRpcHandler):
    """Passes calls on, bytes both ways. `methods` are those that came, by their last names."""

    forward: grpc.aio.Channel
    uri: str = ""
    methods: list[str] = field(default_factory=list)
    _losing: dict[str, int] = field(default_factory=dict)

    def lose_replies(self, method: str, count: int = 1) -> None:
        """Let the next calls of a method be answered, and tell none of their callers."""
        self._losing[method] = count

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]

        async def pass_on(request: bytes, context: Any) -> bytes:
            self.methods.append(method)
            metadata = [pair for pair in details.invocation_metadata if pair[0] == "authorization"]
            call: Any = self.forward.unary_unary(details.method)
            try:
                reply: bytes = await call(request, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                trailers = tuple(error.trailing_metadata())
                await context.abort(error.code(), error.details(), trailers)
            if self._losing.get(method, 0):
                self._losing[method] -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the reply was lost")
            return reply

        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(pass_on)
        return handler


@asynccontextmanager
async def relay(uri: str) -> AsyncIterator[Relay]:
    """A relay to a server, for as long as the block."""
    async with grpc.aio.insecure_channel(uri) as forward:
        passing = Relay(forward)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((passing,))
        passing.uri = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield passing
        finally:
            await server.stop(None)

"""The baseline: a `grpc.aio` method that does nothing, with messages of given sizes.

A second one ends every call with an error, whose text and details have the sizes that its name
says: `/bench.Echo/Deny/27/267`.

It needs grpcio and uvloop only, so that `bench.grpcio_versions` can run it under any version:

    python -m bench.echo serve --reply-bytes 300        prints its address
    python -m bench.echo call 127.0.0.1:40123 ...       prints what it saw, as JSON
"""

import argparse
import dataclasses
import json

import grpc.aio
import uvloop

from bench.load import Summary, closed_loop, in_turn

PATH = "/bench.Echo/Echo"
DENY = "/bench.Echo/Deny/"
DETAILS = "grpc-status-details-bin"
_WARM_UP_SECONDS = 0.3


class Echo(grpc.GenericRpcHandler):
    """Answers every call with the same bytes, or with an error."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            PATH: grpc.unary_unary_rpc_method_handler(self._answer)
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """The handler of a method."""
        path = handler_call_details.method
        if path not in self._handlers and path.startswith(DENY):
            self._handlers[path] = _denying(*map(int, path.removeprefix(DENY).split("/")))
        return self._handlers.get(path)

    async def _answer(self, _body: bytes, _context: object) -> bytes:
        return self._reply


def _denying(message_bytes: int, details_bytes: int) -> "grpc.RpcMethodHandler[bytes, bytes]":
    message, metadata = "x" * message_bytes, ((DETAILS, bytes(details_bytes)),)

    async def deny(_body: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        aborting = context.abort(grpc.StatusCode.UNAUTHENTICATED, message, metadata)
        # gRPC keeps the error with the call, and the error's traceback this frame: with the context
        # in it the call would stay until a collection, and count against `max_concurrent_streams`.
        del context
        return await aborting

    return grpc.unary_unary_rpc_method_handler(deny)


async def serve(reply_bytes: int, options: list[tuple[str, int]]) -> None:
    """Serve until killed, with those channel arguments."""
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Echo(bytes(reply_bytes)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def call(address: str, *, request_bytes: int, in_flight: int, seconds: float) -> Summary:
    """Load the server at `address` for that long."""
    async with grpc.aio.insecure_channel(address) as channel:
        echo = in_turn(channel, PATH, [bytes(request_bytes)])
        await closed_loop(echo, in_flight=in_flight, seconds=_WARM_UP_SECONDS)
        return Summary.of([await closed_loop(echo, in_flight=in_flight, seconds=seconds)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.echo")
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("serve")
    server.add_argument("--reply-bytes", type=int, required=True)
    server.add_argument("--options", type=json.loads, default=[])
    client = roles.add_parser("call")
    client.add_argument("address")
    client.add_argument("--request-bytes", type=int, required=True)
    client.add_argument("--in-flight", type=int, required=True)
    client.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    if given.role == "serve":
        uvloop.run(serve(given.reply_bytes, list(map(tuple, given.options))))
        return
    summary = uvloop.run(
        call(
            given.address,
            request_bytes=given.request_bytes,
            in_flight=given.in_flight,
            seconds=given.seconds,
        )
    )
    print(json.dumps(dataclasses.asdict(summary)))


if __name__ == "__main__":
    main()

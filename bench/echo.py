"""The baseline: a `grpc.aio` method that does nothing, with messages of given sizes.

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
_WARM_UP_SECONDS = 0.3


class Echo(grpc.GenericRpcHandler):
    """Answers every call with the same bytes."""

    def __init__(self, reply: bytes) -> None:
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._answer
        )
        self._reply = reply

    def service(
        self, _handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Every method there is."""
        return self._handler

    async def _answer(self, _body: bytes, _context: object) -> bytes:
        return self._reply


async def serve(reply_bytes: int) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
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
    client = roles.add_parser("call")
    client.add_argument("address")
    client.add_argument("--request-bytes", type=int, required=True)
    client.add_argument("--in-flight", type=int, required=True)
    client.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    if given.role == "serve":
        uvloop.run(serve(given.reply_bytes))
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

"""The baseline inside Envoy: an ASGI application that does nothing, and answers as gRPC."""

import os
from typing import Any

from keywright.front.framing import framed

REPLY_BYTES = "BENCH_REPLY_BYTES"
_BEGINNING = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/grpc")],
    "trailers": True,
}
_BODY = {
    "type": "http.response.body",
    "body": framed(bytes(int(os.environ.get(REPLY_BYTES, "0")))),
}
_END = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Take the request, and answer every one the same."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send(_BEGINNING)
    await send(_BODY)
    await send(_END)

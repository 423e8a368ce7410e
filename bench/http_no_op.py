"""The baseline over HTTP: a handler that does nothing, on the sidecar's own HTTP server.

python -m bench.http_no_op '[["x-user", "ann"]]'      prints its address
"""

import json
import sys
from typing import Any

import uvloop

from keywright.listening import TcpAddress
from keywright.programs import limited_http
from keywright.programs.addresses import listening_socket
from keywright.sidecar.config import Limits


async def serve(headers: list[tuple[bytes, bytes]]) -> None:
    """Answer every request with 200 and these headers, until killed."""

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    listening = listening_socket(TcpAddress("127.0.0.1", 0))
    print("{}:{}".format(*listening.getsockname()), flush=True)
    await limited_http.create_server(answer, Limits()).serve(sockets=[listening])


if __name__ == "__main__":
    given = [*json.loads(sys.argv[1]), ("content-length", "0")]
    uvloop.run(serve([(name.encode(), value.encode()) for name, value in given]))

"""What speaks to a front and is no client of gRPC: JSON as `curl -d` sends it, and gRPC-Web."""

import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.support.service import METHODS, Service

ENVOY = {"front": "envoy", "shutdown_grace": "2s"}
# What curl says of a body, whatever is in it.
_CURL = {"content-type": "application/x-www-form-urlencoded"}
_TRAILERS = 0x80


@asynccontextmanager
async def http(of: Service, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """HTTP/1.1 to a server, with a credential (the first admin's) or without (an empty one)."""
    token = of.admin_token if token is None else token
    headers = {**_CURL, **({"authorization": f"Bearer {token}"} if token else {})}
    async with httpx2.AsyncClient(base_url=f"http://{of.uri}", headers=headers) as client:
        yield client


def reason(reply: httpx2.Response) -> str:
    """The reason in the ErrorInfo of an error in JSON; empty if there is none."""
    details = reply.json().get("details", ())
    return next((each["reason"] for each in details if "reason" in each), "")


async def grpc_web(
    client: httpx2.AsyncClient, method: str, *, text: bool, **fields: Any
) -> tuple[Any, dict[str, str]]:
    """A call in gRPC-Web (grpc/doc/PROTOCOL-WEB.md): the reply, None if there is none; trailers."""
    path, request_type, reply_type = METHODS[method]
    message = request_type(**fields).SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    answered = await client.post(
        path,
        content=base64.b64encode(body) if text else body,
        headers={"content-type": kind, "x-grpc-web": "1", "accept": kind},
    )
    assert answered.status_code == 200
    reply, trailers = None, dict(answered.headers)
    content = _decoded(answered.content) if text else answered.content
    while content:
        flags, size = struct.unpack_from(">BI", content)
        part, content = content[5 : 5 + size], content[5 + size :]
        if flags & _TRAILERS:
            lines = part.decode().splitlines()
            trailers |= dict(line.split(":", 1) for line in lines if line)
        else:
            reply = reply_type.FromString(part)
    return reply, trailers


def _decoded(text: bytes) -> bytes:
    """Base64 of parts, each of which may be padded."""
    return b"".join(base64.b64decode(text[at : at + 4]) for at in range(0, len(text), 4))

"""The ASGI middleware decides about a path only if no framework can read another in the request."""

import asyncio
from typing import Any

import pytest

from keywright.sdk import PUBLIC, Authenticator, KeywrightMiddleware
from keywright.sdk.drop_ins.asgi import Receive, Scope, Send

RULES = {"/**": PUBLIC}


def status(scope: Scope) -> int:
    """What a request is answered where every path is public."""
    said: list[Any] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        said.append(message)

    middleware = KeywrightMiddleware(app, authenticator=Authenticator("", "x"), rules=RULES)
    asyncio.run(
        middleware({"type": "http", "method": "GET", "headers": [], **scope}, receive, send)
    )
    return int(said[0]["status"])


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/a"},
        {"path": "/a", "raw_path": None},
        {"path": "/a", "raw_path": b"/a"},
        {"path": "/a/b c", "raw_path": b"/a/b%20c"},
        {"path": "/ä", "raw_path": b"/%C3%A4"},
        {"path": "/a b", "raw_path": b"/a%20b?c=%2f"},  # some servers' raw path has the query
        {"path": "/app/a b", "raw_path": b"/app/a%20b", "root_path": "/app"},
        {"path": "/a", "raw_path": b"/app/a", "root_path": "/app"},
    ],
    ids=str,
)
def test_a_path_that_all_read_in_the_same_way_is_let_through(scope: Scope) -> None:
    assert status(scope) == 200


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/a//b"},
        {"path": "/a;b"},
        {"path": "/a."},
        {"path": "/x/../a", "raw_path": b"/x/../a"},
        {"path": "/x/../a", "raw_path": b"/x/%2e%2e/a"},
        {"path": "/a/b", "raw_path": b"/a%2fb"},
        {"path": "/a%2fb", "raw_path": b"/a%2fb"},
        {"path": "/a%2fb", "raw_path": b"/a%252fb"},
        {"path": "/ab", "raw_path": b"/%61b"},
        {"path": "/a", "raw_path": b"/a;b"},
        {"path": "/a", "raw_path": b"/b"},
        {"path": "/a", "raw_path": b"/app/b", "root_path": "/app"},
        {"path": "/\ufffd", "raw_path": b"/%ff"},
        {"path": "/ä", "raw_path": b"/\xc3\xa4"},
        {"path": "/a b", "raw_path": b"http://elsewhere.example/a%20b"},
    ],
    ids=str,
)
def test_a_path_that_can_be_read_in_two_ways_is_denied(scope: Scope) -> None:
    assert status(scope) == 403


@pytest.mark.parametrize("method", ["get", "WEBSOCKET", "", "GET "])
def test_a_method_that_can_be_read_in_two_ways_is_denied(method: str) -> None:
    assert status({"path": "/a", "method": method}) == 403

"""The sidecar's HTTP server: what is answered at once comes in its turn, and once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keywright.sidecar import limited_http
from keywright.sidecar.addresses import TcpAddress, listening_socket
from keywright.sidecar.config import Limits
from keywright.sidecar.http import raw
from keywright.sidecar.limited_http import RawAnswer
from tests.support.sidecar import kept

KNOWN = raw((200, [(b"x-way", b"at once"), (b"content-length", b"5")], b"known"))


class Asked:
    """An application that answers when it may, and a short way that knows `/known`."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.began = asyncio.Event()
        self.targets: list[str] = []

    def at_once(self, target: bytes, client: object, _headers: object) -> RawAnswer | None:
        """Knows one target."""
        assert client is not None
        return KNOWN if target == b"/known" else None

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer with the target."""
        self.targets.append(scope["path"])
        self.began.set()
        await self.may_answer.wait()
        body = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(application: Asked, limits: Limits) -> AsyncIterator[str]:
    server = limited_http.create_server(application, limits, application.at_once)
    listening = listening_socket(TcpAddress("127.0.0.1", 0))
    address = "{}:{}".format(*listening.getsockname())
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield address
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 30)


@pytest.fixture(name="application")
async def _application() -> Asked:
    return Asked()


@pytest.fixture(name="address")
async def _address(application: Asked) -> AsyncIterator[str]:
    async with serving(application, Limits(header_bytes=1_000, connections=3)) as address:
        yield address


def get(target: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    head = [f"{method} {target} HTTP/{version}", "Host: x", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


async def test_what_is_known_is_answered_without_the_application(
    application: Asked, address: str
) -> None:
    async with kept(address) as ask:
        for _ in range(3):
            answer = await ask(get("/known"))
            assert (answer.status, answer["x-way"], answer.body) == (200, "at once", b"known")
            assert answer["date"].endswith("GMT")
            assert (await ask(get("/other"))).body == b"/other"
    assert application.targets == ["/other"] * 3


async def test_answers_come_in_the_order_of_the_requests(application: Asked, address: str) -> None:
    application.may_answer.clear()
    async with kept(address) as ask:
        first = asyncio.create_task(ask(get("/slow") + get("/known") + get("/known")))
        await asyncio.wait_for(application.began.wait(), 20)
        application.may_answer.set()
        assert (await first).body == b"/slow"
        assert [(await ask(b"")).body for _ in range(2)] == [b"/known"] * 2  # in their turn
        assert (await ask(get("/known"))).body == b"known"
        answers = [await ask(get("/known") * 2 + get("/other")), await ask(b""), await ask(b"")]
        assert [each.body for each in answers] == [b"known", b"known", b"/other"]


async def test_a_body_is_no_request(application: Asked, address: str) -> None:
    inner = get("/smuggled")
    async with kept(address) as ask:
        for _ in range(2):
            request = get("/known", f"Content-Length: {len(inner)}")
            answer = await ask(request)
            assert answer.body == b"known"
            assert (await ask(inner + get("/other"))).body == b"/other"
    assert application.targets == ["/other"] * 2


@pytest.mark.parametrize(
    "request_",
    [
        get("/known", "Connection: close"),
        get("/known", version="1.0"),
        get("/known", method="HEAD"),
        get("/known", method="POST"),
        get("/known", "Connection: upgrade", "Upgrade: websocket"),
        get("/known", "Expect: 100-continue", "Content-Length: 1"),
        get("/known?x"),
    ],
    ids=str,
)
async def test_whatever_is_special_is_the_applications(
    application: Asked, address: str, request_: bytes
) -> None:
    async with kept(address) as ask:
        assert (await ask(request_)).status == 200
    assert application.targets == ["/known"]


async def test_headers_that_are_too_large_are_refused_also_where_the_answer_is_known(
    address: str,
) -> None:
    head = get("/known", "X-Large: " + "x" * 1_000)
    whole, parts = [head], [head[:500], head[500:900], head[900:]]
    for chunks in (whole, parts):
        async with kept(address) as ask:
            assert (await ask(b"".join(chunks[:-1]) + chunks[-1])).status == 400
    async with kept(address) as ask:
        # Much comes at once, of which no request has too much.
        assert (await ask(get("/known", "X-Some: " + "x" * 800) * 3)).status == 200
        assert [(await ask(b"")).status for _ in range(2)] == [200, 200]


async def test_more_connections_than_may_be_are_refused_also_where_the_answer_is_known(
    address: str,
) -> None:
    async with kept(address) as one, kept(address) as two, kept(address) as three:
        assert [(await ask(get("/known"))).status for ask in (one, two, three)] == [200] * 3
        async with kept(address) as more:
            assert (await more(get("/known"))).status == 503


@pytest.mark.parametrize("value", [b"a\r\nx-more: b", b"a\nb", b"\x00"])
def test_nothing_that_ends_a_header_is_sent(value: bytes) -> None:
    with pytest.raises(ValueError, match="control character"):
        raw((200, [(b"x-name", value)], b""))

"""The sidecar's HTTP server: what is answered at once comes in its turn, and once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from keywright.listening import TcpAddress
from keywright.programs import limited_http
from keywright.programs.addresses import listening_socket
from keywright.programs.limited_http import RawAnswer
from keywright.sidecar.config import Limits
from keywright.sidecar.http import raw
from tests.support.sidecar import kept

KNOWN = raw((200, [(b"x-way", b"at once"), (b"content-length", b"5")], b"known"))


class Asked:
    """An application that answers when it may, and a short way that knows `/known`."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.began = asyncio.Event()
        self.targets: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def at_once(self, target: bytes, client: object, _headers: object) -> RawAnswer | None:
        """Knows one target."""
        assert client is not None
        return KNOWN if target == b"/known" else None

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer with the target."""
        self.targets.append(scope["path"])
        self.headers = list(scope["headers"])
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
        get("/known", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
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


async def test_what_turns_out_to_be_no_request_is_answered_once(address: str) -> None:
    for request in (
        get("/known", "Transfer-Encoding: gzip"),
        get("/known", "Transfer-Encoding: chunked") + b"no length\r\n",
    ):
        async with kept(address) as ask:
            assert (await ask(request)).status == 400


async def test_what_follows_a_body_is_no_header(application: Asked, address: str) -> None:
    request = get("/other", "Transfer-Encoding: chunked", "X-Api-Key: one")
    async with kept(address) as ask:
        assert (await ask(request + b"1\r\nx\r\n0\r\nX-Api-Key: two\r\n\r\n")).status == 200
        assert [value for name, value in application.headers if name == b"x-api-key"] == [b"one"]
        assert (await ask(get("/known"))).body == b"known"


@pytest.mark.parametrize("line", [b"a: b\r\n", b"x"], ids=["many", "long"])
async def test_what_follows_a_body_is_bounded_as_headers_are(address: str, line: bytes) -> None:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))

    async def send_much() -> None:
        writer.write(get("/other", "Transfer-Encoding: chunked") + b"0\r\nx: ")
        for _ in range(1_000):
            writer.write(line * 1_000)
            await asyncio.wait_for(writer.drain(), 20)

    with closing(writer), pytest.raises(ConnectionError):
        await send_much()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /kno", get("/known")[:-1], get("/other", "Transfer-Encoding: chunked") + b"0\r\nx"],
    ids=str,
)
async def test_no_connection_waits_for_headers_longer_than_idle(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(limited_http, "_KEEP_ALIVE_SECONDS", 1)
    application = Asked()
    async with serving(application, Limits()) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with closing(writer):
            writer.write(sent)
            await asyncio.wait_for(reader.read(), 20)  # to its end


async def test_the_body_itself_may_be_larger_than_headers(address: str) -> None:
    async with kept(address) as ask:
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        request = get("/other", "Transfer-Encoding: chunked") + chunk * 20 + b"0\r\n\r\n"
        assert (await ask(request)).status == 200
        assert (await ask(get("/known"))).body == b"known"


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

"""Reports of crashes that show the locals of every frame show no token."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from traceback import TracebackException
from typing import Any

import grpc
import pytest

from keywright.sdk import (
    AsyncClient,
    Authenticator,
    BlockingAuthenticator,
    InvalidArgument,
    KeywrightError,
    ResourceExhausted,
    Secret,
    Unauthenticated,
    Unavailable,
)
from keywright.sdk.authenticating.question import Question
from keywright.v1 import rate_limit_pb2
from tests.support.leased import duration
from tests.support.watch_server import WatchServer, serving

PRESENTED = Secret("kw_live_" + "presented" * 5)
TOO_LONG = Secret(PRESENTED.reveal() * 1_000)
OWN = Secret("kw_live_" + "own" * 15)

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[WatchServer]:
    async with serving() as (server, _):
        yield server


async def report(ask: Ask, kind: type[Exception], token: Secret | str, **asked: Any) -> str:
    """What is shown of a call that fails, and of what that arose from."""
    with pytest.raises(kind) as caught:
        await ask(token, **asked)
    return "".join(TracebackException.from_exception(caught.value, capture_locals=True).format())


async def nothing_shows_a_token(server: WatchServer, ask: Ask) -> None:
    """However an authenticator fails."""

    async def fails(kind: type[Exception], token: Secret = PRESENTED, **asked: Any) -> None:
        shown = await report(ask, kind, token, **asked)
        assert "token = Secret(" in shown, "no locals are shown"
        assert not [each for each in (PRESENTED, OWN) if each.reveal() in shown], shown

    await fails(Unauthenticated, TOO_LONG)
    await fails(InvalidArgument, resource="/")
    await fails(TypeError, require="datasets.read")
    server.failure = grpc.StatusCode.UNAVAILABLE
    await fails(Unavailable)
    server.failure = grpc.StatusCode.INTERNAL
    await fails(KeywrightError)
    server.failure = None
    server.allowed = {"allowed_networks": ["no network"]}
    await fails(KeywrightError)
    limit = rate_limit_pb2.RateLimit(requests=1, period=duration(86_400))
    server.allowed = {"rate_limit": limit, "credential": {"name": "keys/a"}}
    await ask(PRESENTED)
    await fails(ResourceExhausted)
    server.changes.append(PRESENTED.reveal())
    await fails(Unauthenticated, environment="live")


async def test_an_authenticator_that_fails_shows_no_token(server: WatchServer) -> None:
    async with Authenticator(f"127.0.0.1:{server.port}", OWN) as authenticator:
        await nothing_shows_a_token(server, authenticator.authenticate)


async def test_a_build_whose_questions_print_is_found_out(
    server: WatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Question, "__repr__", lambda self: repr(self.request))
    async with Authenticator(f"127.0.0.1:{server.port}", OWN) as authenticator:
        with pytest.raises(AssertionError, match=PRESENTED.reveal()):
            await nothing_shows_a_token(server, authenticator.authenticate)


async def test_nobody_who_waits_in_vain_shows_a_token(server: WatchServer) -> None:
    server.hold.clear()
    brief = timedelta(milliseconds=50)
    async with Authenticator(f"127.0.0.1:{server.port}", OWN, timeout=brief) as authenticator:
        shown = await report(authenticator.authenticate, Unavailable, PRESENTED)
    assert "token = Secret(" in shown
    assert PRESENTED.reveal() not in shown


async def test_one_for_threads_that_fails_shows_no_token(server: WatchServer) -> None:
    with_threads = BlockingAuthenticator(f"127.0.0.1:{server.port}", OWN)

    async def ask(token: Secret, **asked: Any) -> Any:
        return await asyncio.to_thread(with_threads.authenticate, token, **asked)

    try:
        await nothing_shows_a_token(server, ask)
    finally:
        await asyncio.to_thread(with_threads.close)


async def test_a_client_that_fails_shows_no_token(server: WatchServer) -> None:
    async with AsyncClient(f"127.0.0.1:{server.port}", OWN) as client:
        shown = await report(client.authenticate, KeywrightError, PRESENTED)
    assert "token = Secret(" in shown
    assert PRESENTED.reveal() not in shown


async def test_a_token_that_is_text_is_shown_only_where_it_is_handed_on(
    server: WatchServer,
) -> None:
    server.failure = grpc.StatusCode.UNAVAILABLE
    async with Authenticator(f"127.0.0.1:{server.port}", OWN) as authenticator:
        with pytest.raises(Unavailable) as caught:
            await authenticator.authenticate(PRESENTED.reveal())
    stack = TracebackException.from_exception(caught.value, capture_locals=True).stack
    showing = [each.name for each in stack if PRESENTED.reveal() in str(each.locals)]
    assert showing == ["authenticate"]

"""A client that watches: its cache is leased while it can be, and never used when it cannot."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from keywright.sdk import (
    FailedPrecondition,
    Internal,
    KeywrightError,
    Unauthenticated,
    Unavailable,
)
from keywright.sdk.authenticating import watching as watching_module
from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.sdk.authenticating.watching import Watch, watching
from tests.support.watch_server import WatchServer, serving


@dataclass
class Rig:
    """A server, and a client that watches it and answers from its cache."""

    server: WatchServer
    watch: Watch
    authenticator: Authenticator

    async def asked(self, token: str = "k") -> bool:
        """Whether the server was asked about the token, for the answer to it now."""
        before = len(self.server.asked)
        await self.authenticator.authenticate(token)
        return len(self.server.asked) > before

    async def leased(self) -> None:
        async with asyncio.timeout(20):
            await self.watch.leased.wait()

    async def end_stream(self) -> KeywrightError:
        """End the client's stream, and wait until the client knows; returns what it tells of it."""
        [stream] = self.server.streams
        stream.ending.set()
        async with asyncio.timeout(20):
            while self.watch.trouble is None:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0.01)
        return self.watch.trouble


@asynccontextmanager
async def rig(kind: type[LeasedCache] = LeasedCache) -> AsyncIterator[Rig]:
    async with serving() as (server, _):
        authenticator = Authenticator(f"127.0.0.1:{server.port}", "kw_test")
        authenticator._cache = kind()
        async with authenticator:
            assert authenticator._watch is not None
            yield Rig(server, authenticator._watch, authenticator)


async def test_a_warm_client_answers_without_asking() -> None:
    async with rig() as client:
        await client.leased()
        assert [await client.asked() for _ in range(3)] == [True, False, False]
        assert await client.asked("other")


async def test_a_client_without_a_lease_asks_each_time() -> None:
    async with rig() as client:
        client.server.lease = None
        assert [await client.asked() for _ in range(2)] == [True, True]


async def test_a_lease_is_renewed_again_and_again() -> None:
    async with rig() as client:
        client.server.lease = 0.3
        await client.leased()
        async with asyncio.timeout(20):
            await client.server.streams[0].hears("0", count=6)
        assert client.watch.trouble is None
        assert len(client.server.streams) == 1


async def test_once_a_narrowing_has_returned_a_client_allows_it_no_more() -> None:
    async with rig() as client:  # leases of a minute, so renewals would come too late
        await client.leased()
        await client.asked("k")
        await client.asked("other")
        async with asyncio.timeout(10):
            await client.server.narrow("k")
        with pytest.raises(Unauthenticated) as denied:
            await client.authenticator.authenticate("k")
        assert denied.value.reason == "KEY_REVOKED"
        assert not await client.asked("other")


async def an_answer_on_its_way(client: Rig) -> None:
    """An answer that was given before a narrowing, and arrives after it, is not kept."""
    await client.leased()
    client.server.hold.clear()
    early = asyncio.create_task(client.authenticator.authenticate("k"))
    await client.server.held.wait()
    async with asyncio.timeout(10):
        await client.server.narrow("k")
    client.server.hold.set()
    assert (await early).revision == "0"
    try:
        await client.authenticator.authenticate("k")
    except Unauthenticated:
        return
    pytest.fail("allowed after the narrowing had returned")


async def nothing_after_a_refusal(client: Rig) -> None:
    """When it is refused to watch, the client asks, though its last lease would run on."""
    await client.leased()
    await client.asked()
    client.server.refusal = grpc.StatusCode.FAILED_PRECONDITION
    await client.end_stream()
    async with asyncio.timeout(20):
        while not isinstance(client.watch.trouble, FailedPrecondition):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await client.asked()


async def test_an_answer_from_before_a_narrowing_that_arrives_after_it_is_not_kept() -> None:
    async with rig() as client:
        await an_answer_on_its_way(client)


async def test_when_it_is_refused_to_watch_a_client_asks() -> None:
    async with rig() as client:
        await nothing_after_a_refusal(client)


async def test_a_lease_outlives_a_stream_that_is_lost() -> None:
    async with rig() as client:
        await client.leased()
        await client.asked()
        client.server.refusal = grpc.StatusCode.UNAVAILABLE
        await client.end_stream()
        assert not await client.asked()


async def test_a_client_comes_back_by_itself_and_hears_what_it_missed() -> None:
    async with rig() as client:
        await client.leased()
        await client.asked("k")
        await client.asked("other")
        client.server.refusal = grpc.StatusCode.UNAVAILABLE
        trouble = await client.end_stream()
        assert isinstance(trouble, Unavailable)
        assert not client.watch.leased.is_set()
        await client.server.narrow("k")
        client.server.refusal = None
        await client.leased()
        assert client.watch.trouble is None
        assert not await client.asked("other")
        with pytest.raises(Unauthenticated):
            await client.authenticator.authenticate("k")


async def test_a_server_that_is_silent_is_left_for_another_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching_module, "_SILENCE_MAX_SECONDS", 0.2)
    async with rig() as client:
        client.server.is_silent = True
        async with asyncio.timeout(20):
            while client.watch.trouble is None:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0.01)
        assert isinstance(client.watch.trouble, Unavailable)
        client.server.is_silent = False
        await client.leased()


async def test_a_server_of_another_database_is_taken_for_what_it_is() -> None:
    async with rig() as client:
        await client.leased()
        await client.asked()
        client.server.unknown = client.server.revision
        client.server.changes.append("else")
        await client.end_stream()
        await client.leased()
        assert await client.asked(), "what was known was of the other one"


async def test_why_a_client_may_not_watch_is_told_and_tried_again_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    def at_once(_least: float, most: float) -> float:
        pauses.append(most)
        if len(pauses) > 8:
            enough.set()
        return 0

    monkeypatch.setattr(random, "uniform", at_once)
    async with serving() as (server, channel), asyncio.timeout(20):
        server.refusal = grpc.StatusCode.FAILED_PRECONDITION
        async with watching(channel, LeasedCache(), server="kw:7700") as watch:
            await enough.wait()
            assert pauses[:9] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
            assert isinstance(watch.trouble, FailedPrecondition)
            assert "not now (from kw:7700)" in str(watch.trouble)
            server.refusal = None
            await watch.leased.wait()
            pauses.clear()
            enough.clear()
            server.refusal = grpc.StatusCode.FAILED_PRECONDITION
            server.streams[0].ending.set()
            await enough.wait()
            assert pauses[:3] == [0.1, 0.2, 0.4], "a stream that went well begins anew"


async def test_after_the_block_nothing_is_watched_nor_given() -> None:
    async with serving() as (_, channel):
        cache = LeasedCache()
        async with watching(channel, cache) as watch, asyncio.timeout(20):
            await watch.leased.wait()
        assert not cache.leased


async def test_after_the_block_nothing_is_given_though_the_last_stream_was_lost() -> None:
    async with serving() as (server, channel):
        cache = LeasedCache()
        async with watching(channel, cache) as watch, asyncio.timeout(20):
            await watch.leased.wait()
            server.refusal = grpc.StatusCode.UNAVAILABLE
            server.streams[0].ending.set()
            while watch.trouble is None:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0)
            assert cache.leased
        assert not cache.leased


class Unguarded(LeasedCache):
    """It keeps whatever comes."""

    def put(self, key: Hashable, answer: object, kept: object = None) -> None:
        self._told.stands = lambda *_: True  # type: ignore[method-assign]
        super().put(key, answer, kept)  # type: ignore[arg-type]


class Unending(LeasedCache):
    """It goes on with its lease when it was refused."""

    def ended(self, *, was_lost: bool = False) -> None:
        """Nothing, which is the bug."""


@pytest.mark.parametrize(
    ("kind", "scenario"), [(Unguarded, an_answer_on_its_way), (Unending, nothing_after_a_refusal)]
)
async def test_a_client_without_the_guard_is_found_out(
    kind: type[LeasedCache], scenario: Callable[[Rig], Awaitable[None]]
) -> None:
    async with rig(kind) as client:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            await scenario(client)


class FailsAsItIsCancelled:
    """A stream whose end comes in the turn in which who reads is cancelled: gRPC hides the latter.

    So does grpc.aio where a server cannot be reached.
    """

    def __call__(self, **_: Any) -> "FailsAsItIsCancelled":
        return self

    async def read(self) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
            ) from None

    async def write(self, _request: Any) -> None:
        await asyncio.Event().wait()

    def cancel(self) -> None:
        pass


async def test_who_leaves_while_the_stream_fails_is_let_go() -> None:
    channel: Any = SimpleNamespace(stream_stream=lambda *_, **__: FailsAsItIsCancelled())
    async with asyncio.timeout(20):
        async with watching(channel, LeasedCache()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def test_a_reply_that_is_none_of_ours_is_told_and_watching_goes_on() -> None:
    read = 0

    class Answers(FailsAsItIsCancelled):
        async def read(self) -> Any:
            nonlocal read
            read += 1
            return None if read == 1 else await super().read()

    channel: Any = SimpleNamespace(stream_stream=lambda *_, **__: Answers())
    async with asyncio.timeout(20), watching(channel, LeasedCache()) as watch:
        while read < 2:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.01)
        assert isinstance(watch.trouble, Internal)

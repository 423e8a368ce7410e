"""Threads that share an authenticator are answered, or told at its end; none waits for ever."""

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from keywright.sdk import BlockingAuthenticator, ConfigurationError, Unavailable
from tests.support.watch_server import WatchServer, serving

PATIENCE = 30


@asynccontextmanager
async def rig() -> AsyncIterator[tuple[WatchServer, BlockingAuthenticator]]:
    async with serving() as (server, _), asyncio.timeout(PATIENCE):
        authenticator = BlockingAuthenticator(f"127.0.0.1:{server.port}", "kw_own")
        try:
            yield server, authenticator
        finally:
            await asyncio.to_thread(authenticator.close)


async def test_whoever_asks_while_it_is_closed_is_told_so() -> None:
    async with rig() as (_, authenticator):
        numbers = itertools.count()
        under_way = threading.Barrier(9)

        def keep_asking() -> None:
            under_way.wait()
            while True:
                authenticator.authenticate(f"t{next(numbers)}")

        def work() -> list[BaseException | None]:
            with ThreadPoolExecutor(8) as pool:
                asking = [pool.submit(keep_asking) for _ in range(8)]
                under_way.wait()
                authenticator.leased(timedelta(seconds=20))
                authenticator.close()
                return [each.exception(timeout=20) for each in asking]

        for error in await asyncio.to_thread(work):
            assert isinstance(error, Unavailable)


async def test_whoever_waits_for_a_server_as_it_is_closed_is_told_so() -> None:
    async with rig() as (server, authenticator):
        server.hold.clear()
        waiting = asyncio.create_task(asyncio.to_thread(authenticator.authenticate, "k"))
        await server.held.wait()
        await asyncio.to_thread(authenticator.close)
        with pytest.raises(Unavailable):
            await waiting
        server.hold.set()


@pytest.mark.filterwarnings("ignore:.*never awaited:RuntimeWarning")
async def test_what_the_loop_did_not_come_to_is_told_so() -> None:
    async with rig() as (_, authenticator):
        await asyncio.to_thread(authenticator.authenticate, "k")
        loop = authenticator._loop
        authenticator._loop = asyncio.new_event_loop()  # it takes what it never comes to
        waiting = asyncio.create_task(asyncio.to_thread(authenticator.authenticate, "new"))
        while not authenticator._waiting:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.01)
        authenticator._loop.close()
        authenticator._loop = loop
        await asyncio.to_thread(authenticator.close)
        with pytest.raises(Unavailable):
            await waiting


async def test_when_its_thread_has_ended_by_itself_it_is_unavailable() -> None:
    async with rig() as (_, authenticator):
        await asyncio.to_thread(authenticator.authenticate, "k")
        loop, stop, thread = authenticator._loop, authenticator._stop, authenticator._thread
        assert loop is not None
        assert stop is not None
        assert thread is not None
        loop.call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join)
        with pytest.raises(Unavailable):
            await asyncio.to_thread(authenticator.authenticate, "new")


def test_one_that_could_not_begin_may_be_used_in_the_child_of_a_fork_as_well() -> None:
    authenticator = BlockingAuthenticator("ftp://nowhere", "kw_own")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            authenticator.authenticate("k")
        assert authenticator._pid == 0


_FORKING = """
import os, signal, threading
from keywright.sdk import Authenticator, BlockingAuthenticator, KeywrightError

begins, goes_on = threading.Event(), threading.Event()

async def begin(self):
    begins.set()
    goes_on.wait()
    raise KeywrightError("enough")

def ask():
    try:
        authenticator.authenticate("k")
    except KeywrightError as error:
        return error.reason

Authenticator._begin = begin
authenticator = BlockingAuthenticator("127.0.0.1:1", "kw_own")
first = threading.Thread(target=ask)
first.start()
begins.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    said = ask()
    authenticator.close()
    os._exit(0 if said == "FORKED" else 1)
goes_on.set()
first.join()
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


async def test_a_fork_during_the_first_call_is_told_to_the_child() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKING), env=os.environ
    )
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0

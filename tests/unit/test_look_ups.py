"""Look-ups of prefixes, when those who ask come and go while the database takes its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from keywright.service.look_ups import LookUps

if TYPE_CHECKING:
    from keywright.storage.database import Database

PREFIX = "aaaaaaaaaaaa"


class Slow:
    """A database that answers each query when it is told to, with nothing found."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answer = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        yield SimpleNamespace(credentials=self)

    async def look_up(self, prefixes: list[str]) -> Any:
        self.asked.append(list(prefixes))
        await self.answer.wait()
        return SimpleNamespace(found={}, broken={})


@pytest.fixture(name="slow")
def _slow() -> Slow:
    return Slow()


@pytest.fixture(name="look_ups")
def _look_ups(slow: Slow) -> LookUps:
    return LookUps(cast("Database", slow))


def nothing() -> None:
    """Count nothing."""


async def turns() -> None:
    """Until everybody has had its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_asks_again_just_when_it_was_answered_is_answered_too(
    slow: Slow, look_ups: LookUps
) -> None:
    slow.answer.set()
    for delay in range(12):  # wherever in the answering it comes
        first = asyncio.create_task(look_ups.look_up(PREFIX, in_vain=nothing))
        for _ in range(delay):
            await asyncio.sleep(0)
        second = asyncio.create_task(look_ups.look_up(PREFIX, in_vain=nothing))
        async with asyncio.timeout(5):
            await asyncio.gather(first, second)
    assert look_ups.waiting == 0


async def test_what_is_found_to_be_nobodys_after_its_caller_has_left_is_counted(
    slow: Slow, look_ups: LookUps
) -> None:
    counted: list[int] = []
    asking = asyncio.create_task(look_ups.look_up(PREFIX, in_vain=lambda: counted.append(1)))
    await turns()
    assert slow.asked == [[PREFIX]]
    asking.cancel()
    await turns()
    assert counted == []
    slow.answer.set()
    await turns()
    assert counted == [1]
    assert look_ups.waiting == 0

"""What is computed once for all who ask, and of one source one at a time."""

import asyncio
from collections.abc import Coroutine

import pytest

from keywright.security import flights as module
from keywright.security.flights import Flights
from keywright.security.hash_pool import HashPoolFullError


class Computed:
    """Computations that end when they are let, and how many have begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.let = asyncio.Event()

    async def __call__(self) -> bool:
        self.begun += 1
        await self.let.wait()
        return True


async def begun(*asked: Coroutine[None, None, bool]) -> list["asyncio.Task[bool]"]:
    """Ask, and go on when all has begun that can."""
    tasks = [asyncio.create_task(each) for each in asked]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_what_is_asked_twice_is_computed_once() -> None:
    flights, compute = Flights(), Computed()
    asked = await begun(*(flights.join("a", b"x", compute) for _ in range(5)))
    compute.let.set()
    assert await asyncio.gather(*asked) == [True] * 5
    assert (compute.begun, len(flights)) == (1, 0)


async def test_of_one_source_one_is_computed_at_a_time_and_others_do_not_wait_for_it() -> None:
    flights, compute = Flights(), Computed()
    asked = await begun(
        *(flights.join("a", mark, compute) for mark in (b"x", b"y")),
        flights.join("b", b"x", compute),
    )
    assert (compute.begun, len(flights)) == (2, 3)
    compute.let.set()
    await asyncio.gather(*asked)
    assert (compute.begun, len(flights)) == (3, 0)


@pytest.mark.parametrize("who", [0, 1])
async def test_who_goes_takes_nobody_along(who: int) -> None:
    flights, compute = Flights(), Computed()
    asked = await begun(*(flights.join("a", b"x", compute) for _ in range(2)))
    asked.pop(who).cancel()
    (left,) = asked
    compute.let.set()
    assert await left
    assert len(flights) == 0


async def test_a_source_for_which_too_much_waits_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX_COUNT", 2)
    flights, compute = Flights(), Computed()
    asked = await begun(*(flights.join("a", mark, compute) for mark in (b"x", b"y")))
    with pytest.raises(HashPoolFullError):
        await flights.join("a", b"z", compute)
    more = await begun(flights.join("a", b"x", compute), flights.join("b", b"z", compute))
    compute.let.set()
    assert all(await asyncio.gather(*asked, *more))


async def test_what_fails_fails_for_all_and_is_tried_again_by_the_next() -> None:
    flights = Flights()

    async def fail() -> bool:
        raise HashPoolFullError

    asked = await begun(*(flights.join("a", b"x", fail) for _ in range(2)))
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in told] == [HashPoolFullError] * 2
    right = Computed()
    right.let.set()
    assert await flights.join("a", b"x", right)

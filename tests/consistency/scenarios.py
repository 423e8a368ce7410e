"""What is likeliest to break promise G1, each with the one mistake in mind that would break it.

Each runs against a fleet whose first process may have its way to the database in the test's hand,
and returns what happened. They wait for L where time itself is the
matter, and for events elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from tests.consistency.history import History, Turn
from tests.consistency.lanes import CLIENTS, Clients, clients, lanes, watch_by_hand
from tests.consistency.load import Load
from tests.consistency.servers import Fleet
from tests.consistency.subjects import Case, disabled, revoked
from tests.support.proxy import Proxy

Scenario = Callable[[Fleet], Awaitable[History]]
Trouble = Callable[[Clients], AbstractAsyncContextManager[None]]

LEASE_CONNECTION = b"keywright lease"
"""What the connection over which a process renews its lease is called."""
MISS_HELD_SECONDS = 3.0
# How often the wide window of a mistake is looked into.
_CYCLES = 3
# How long a narrowing takes is measured here: there has to be room on the machine.
_PAUSE_SECONDS = 0.02


async def renewals_answered_late(fleet: Fleet) -> History:
    """The database says where the history is, and that takes most of a lease to arrive.

    Who counts from the arrival answers from memory for long after the others have stopped to wait.
    """
    door = _door(fleet)
    async with lanes(fleet, "unary") as asked:
        load = Load(fleet, asked, pause=_PAUSE_SECONDS)
        case = await revoked(load.directory())
        await load.allowed_by(asked, case)
        door.answer_late(0.8 * fleet.lease.total_seconds(), LEASE_CONNECTION)
        await _soon(door.being_late)
        async with load.asking(case):
            await load.change(case, Turn.NARROWED, _others(fleet))
            await asyncio.sleep(fleet.lease.total_seconds())
        door.answer_late(0)
    return load.history


async def changes_read_late(fleet: Fleet) -> History:
    """A process learns that there are changes well before it learns which."""
    door = _door(fleet)
    async with lanes(fleet, "unary") as asked:
        load = Load(fleet, asked, pause=_PAUSE_SECONDS)
        case = await disabled(load.directory())
        door.answer_late(0.1 * fleet.lease.total_seconds(), LEASE_CONNECTION)
        for _ in range(_CYCLES):
            await load.allowed_by(asked, case)
            async with load.asking(case):
                await load.change(case, Turn.NARROWED, _others(fleet))
                await asyncio.sleep(0.3 * fleet.lease.total_seconds())
            await load.change(case, Turn.WIDENED, _others(fleet))
        door.answer_late(0)
    return load.history


async def a_miss_on_its_way(fleet: Fleet) -> History:
    """What a miss has read is on its way while the key is revoked; others wait for the same."""
    door = _door(fleet)
    async with lanes(fleet, "unary") as all_lanes:
        load = Load(fleet, all_lanes)
        lane = all_lanes[0]
        case = await _about_to_be_missed(load, door)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.ask(lane, case))
            await _soon(door.held)
            await load.change(case, Turn.NARROWED, _others(fleet))
            for _ in range(_CYCLES):  # who comes now waits for what was read before
                tasks.create_task(load.ask(lane, case))
            await asyncio.sleep(MISS_HELD_SECONDS)
            door.release()
        # What entered the memory by now would be answered for as long as nothing changes.
        for _ in range(_CYCLES):
            await load.ask(lane, case)
    return load.history


async def a_miss_on_its_way_without_a_lease(fleet: Fleet) -> History:
    """The same, at a process that hears nothing else: the miss arrives, the lease does not.

    The fleet has to admit any caller: a caller's own credential would be asked about first.
    """
    door = _door(fleet)
    async with lanes(fleet, "unary") as all_lanes:
        load = Load(fleet, all_lanes)
        lane = all_lanes[0]
        case = await _about_to_be_missed(load, door)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.ask(lane, case))
            await _soon(door.held)
            door.freeze()
            await load.change(case, Turn.NARROWED, _others(fleet))
            for _ in range(_CYCLES):
                tasks.create_task(load.ask(lane, case))
            await asyncio.sleep(0.1)  # they have arrived
            door.release()
        await door.accept()
    return load.history


async def _about_to_be_missed(load: Load, door: Proxy) -> Case:
    """A key that nobody has asked about, unlike all else that matters, whose row will be held."""
    directory = load.directory()
    await load.allowed_by(load.lanes, await revoked(directory))
    case = await revoked(directory)
    prefix = case.request.token.split("_")[2][:12]
    door.hold_answer(prefix.encode())
    return case


async def a_client_cache_that_hears_nothing(fleet: Fleet) -> History:
    """What a process tells the client is on its way, and its grant is not over."""
    return await _a_client_cache_alone(fleet, broken_off=False)


async def a_client_cache_whose_stream_broke(fleet: Fleet) -> History:
    """Only the process has noticed: the client answers until its grant is over."""
    return await _a_client_cache_alone(fleet, broken_off=True)


async def _a_client_cache_alone(fleet: Fleet, *, broken_off: bool) -> History:
    async with watch_by_hand(fleet, 0) as watch:
        load = Load(fleet, [watch])
        case = await revoked(load.directory())
        await watch.begin()
        watch.put(case.request, await watch.ask(case.request))
        await watch.carry()  # a whole lease from here
        await load.ask(watch, case)
        if broken_off:
            watch.break_off()
        await load.change(case, Turn.NARROWED, _others(fleet))
    return load.history


async def an_answer_on_its_way_to_a_client_cache(fleet: Fleet, cache: Any = None) -> History:
    """An answer arrives after the change that made it untrue, which the client knows of.

    `cache` may be one of a patched SDK.
    """
    async with watch_by_hand(fleet, 0) as watch:
        load = Load(fleet, [watch])
        case = await revoked(load.directory())
        await watch.begin(cache)
        answer = await watch.ask(case.request)
        async with watch.carrying():
            await load.change(case, Turn.NARROWED, _others(fleet))
            watch.put(case.request, answer)
            await watch.leased()  # else it would answer nothing
            load.ask_at_once(case)
    return load.history


async def clients_in_trouble(
    fleet: Fleet,
    carriers: Iterable[str] = CLIENTS,
    troubles: Iterable[Trouble] = (Clients.standing_still, Clients.cut_off, Clients.killed),
) -> History:
    """Client caches that are stopped, cut off and killed, each for longer than their lease.

    What they are asked once the narrowing has returned they answer as soon as they can.
    """
    async with clients(fleet, 0, carriers) as asked:
        load = Load(fleet, asked.lanes, pause=_PAUSE_SECONDS)
        case = await disabled(load.directory())
        for trouble in troubles:
            await load.allowed_by(asked.lanes, case)
            async with load.asking(case), asyncio.TaskGroup() as tasks:
                await load.allowed_by(asked.lanes, case)
                async with trouble(asked):
                    await load.change(case, Turn.NARROWED, _others(fleet))
                    for lane in asked.lanes:
                        tasks.create_task(load.ask(lane, case))
                    await asyncio.sleep(0.5 * fleet.lease.total_seconds())
            await load.decided_by(asked.lanes, case)
            await load.change(case, Turn.WIDENED, _others(fleet))
    return load.history


async def a_process_that_stands_still(fleet: Fleet) -> History:
    """Stopped for longer than its lease, and asked meanwhile in every way."""
    replica = fleet.replicas[0]
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(lanes(fleet))
        load = Load(fleet, asked, pause=_PAUSE_SECONDS)
        case = await disabled(load.directory())
        for _ in range(_CYCLES):
            await load.allowed_by(asked, case)
            async with load.asking(case):
                replica.pause()
                try:
                    await load.change(case, Turn.NARROWED, _others(fleet))
                    load.ask_at_once(case)
                    await asyncio.sleep(0.5 * fleet.lease.total_seconds())
                finally:
                    replica.go_on()
                # What was sent while it stood still is answered before the block ends.
            await asyncio.gather(*(load.ask(lane, case) for lane in asked))
            await load.change(case, Turn.WIDENED, _others(fleet))
    return load.history


def _door(fleet: Fleet) -> Proxy:
    door = fleet.replicas[0].door
    assert door is not None, "the scenario needs `proxied`"
    return door


def _others(fleet: Fleet) -> range:
    """The processes that nothing is done to."""
    return range(1, len(fleet.replicas))


async def _soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()

"""Promises G1, G2 and G3 while something fails: nothing is allowed that was taken away.

And whoever takes it away waits for no process that does not answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.consistency import scenarios
from tests.consistency.checker import violations
from tests.consistency.clocks import WallClock
from tests.consistency.coverage import Coverage
from tests.consistency.history import History, Lane, Outcome, Turn
from tests.consistency.lanes import CLIENTS, clients, lanes
from tests.consistency.load import Load
from tests.consistency.scenarios import Scenario
from tests.consistency.servers import Fleet, eventually_serving, fleet
from tests.consistency.subjects import (
    disabled,
    of_a_disabled_user,
    of_a_narrowed_role,
    revoked,
    rotated,
    without_a_grant,
)
from tests.support.database import Cluster
from tests.support.service import another

pytestmark = pytest.mark.slow
# Each of another part of what is remembered: key, user, role, grant, workspace.
SOME = [revoked, rotated, disabled, of_a_disabled_user, of_a_narrowed_role, without_a_grant]
NARROWINGS = 40
PAUSE_SECONDS = 0.1
# G1 gives 250 ms more than a lease, which a busy machine may not keep. Who waits for an answer of a
# process that gives none waits until the end of the call: 20 s.
PATIENCE = timedelta(seconds=10)


@pytest.fixture(scope="module", name="proxied")
async def _proxied(cluster: Cluster) -> AsyncIterator[Fleet]:
    """Processes whose ways to the database are in the test's hand; each test gives them back."""
    async with fleet(cluster, proxied=True) as processes:
        yield processes


def is_right(history: History, lease: timedelta) -> Coverage:
    """Nothing is wrong with what happened; prints what was seen."""
    coverage = Coverage.of(history)
    print(coverage.table())  # noqa: T201  what this is evidence of
    found = violations(history, settled_after=2 * lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []
    return coverage


def answered_all_ways(coverage: Coverage, process: int) -> None:
    """The clients of a process allowed, denied, and were without an answer."""
    for carrier in CLIENTS:
        seen = {outcome: coverage.decisions[Lane(carrier, process), outcome] for outcome in Outcome}
        assert all(seen.values()), f"{carrier}: {seen}"


def holds(history: History, lease: timedelta) -> Coverage:
    """Nothing is wrong, and no narrowing waited for a process that does not answer."""
    coverage = is_right(history, lease)
    assert max(coverage.durations) <= (lease + PATIENCE).total_seconds()
    return coverage


@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.renewals_answered_late,
        scenarios.changes_read_late,
        scenarios.a_miss_on_its_way,
        scenarios.a_client_cache_that_hears_nothing,
        scenarios.a_client_cache_whose_stream_broke,
        scenarios.an_answer_on_its_way_to_a_client_cache,
        scenarios.a_process_that_stands_still,
    ],
    ids=lambda scenario: scenario.__name__,
)
async def test_nothing_is_allowed_that_was_taken_away(proxied: Fleet, scenario: Scenario) -> None:
    holds(await scenario(proxied), proxied.lease)


async def test_clients_that_are_cut_off_stopped_or_killed_allow_nothing_that_was_taken_away(
    proxied: Fleet,
) -> None:
    coverage = is_right(await scenarios.clients_in_trouble(proxied), proxied.lease)
    answered_all_ways(coverage, 0)


async def test_nor_by_a_miss_of_a_process_that_hears_nothing_else(cluster: Cluster) -> None:
    async with fleet(cluster, count=2, proxied=True, authenticate_callers="any") as processes:
        history = await scenarios.a_miss_on_its_way_without_a_lease(processes)
    holds(history, processes.lease)


async def test_with_every_notification_lost_it_holds_all_the_same(cluster: Cluster) -> None:
    async with fleet(cluster, proxied=True) as processes, lanes(processes) as asked:
        for replica in processes.replicas:
            assert replica.door is not None
            replica.door.drop_notifications()
        load = Load(processes, asked, pause=PAUSE_SECONDS)
        await load.run(SOME, lambda: len(load.history.narrowings()) >= NARROWINGS)
    assert load.refusals == []
    holds(load.history, processes.lease)


@pytest.mark.parametrize("how", ["refuse", "freeze"])
async def test_a_process_without_its_database_judges_nobody(proxied: Fleet, how: str) -> None:
    """It says nothing about what others took away, nor about anything else, until it is back."""
    door = proxied.replicas[0].door
    assert door is not None
    async with lanes(proxied) as asked:
        load = Load(proxied, asked, pause=PAUSE_SECONDS)
        narrowed, wide = [await each(load.directory()) for each in (revoked, disabled)]
        await load.allowed_by(asked, narrowed)
        await load.allowed_by(asked, wide)
        async with load.asking(narrowed), load.asking(wide):
            getattr(door, how)()
            await load.change(narrowed, Turn.NARROWED, [1, 2])
            load.ask_at_once(narrowed)
            cut_off = [lane for lane in asked if lane.lane.process == 0]
            answers = await asyncio.gather(*(load.ask(lane, wide) for lane in cut_off))
            await door.accept()
        assert {answer.outcome for answer in answers} == {Outcome.UNDECIDED}
        await eventually_serving(proxied.replicas[0])
        await load.allowed_by(asked, wide)
        answers = await asyncio.gather(*(load.ask(lane, narrowed) for lane in asked))
        assert {answer.reason for answer in answers} == {"KEY_REVOKED"}
    holds(load.history, proxied.lease)


async def test_after_a_process_was_killed_narrowings_wait_for_it_only_until_it_is_forgotten(
    cluster: Cluster,
) -> None:
    lease = timedelta(milliseconds=400)
    async with (
        fleet(cluster, lease=lease) as processes,
        survivors(processes) as load,
        clients(processes, 2) as orphans,
    ):
        case = await disabled(load.directory())
        await load.allowed_by([*load.lanes, *orphans.lanes], case)
        await processes.replicas[2].kill()
        async with asyncio.timeout(40 * lease.total_seconds()):
            while True:
                await load.allowed_by(load.lanes, case)
                narrowed = await load.change(case, Turn.NARROWED, [0, 1])
                await asyncio.gather(*(load.ask(lane, case) for lane in load.lanes))
                answers = await asyncio.gather(*(load.ask(lane, case) for lane in orphans.lanes))
                assert {answer.outcome for answer in answers} == {Outcome.UNDECIDED}
                if narrowed.waited < lease.total_seconds() / 2:
                    break
                await load.change(case, Turn.WIDENED, [0, 1])
        waits = [narrowing.waited for narrowing in load.history.narrowings()]
        assert waits[0] >= 0.9 * lease.total_seconds(), "nothing had to be waited for"
        async with another(processes.first, lease_length="400ms") as restarted:
            orphans.cable.target = restarted.uri
            await load.decided_by(orphans.lanes, case)
    answered_all_ways(holds(load.history, lease), 2)


@asynccontextmanager
async def survivors(processes: Fleet) -> AsyncIterator[Load]:
    """Load for the first two processes."""
    alive = Fleet(processes.replicas[:2], processes.operator, processes.lease, processes.seal)
    async with lanes(alive) as asked:
        yield Load(alive, asked, pause=PAUSE_SECONDS)


async def test_steps_of_wall_clocks_are_of_no_matter(cluster: Cluster, tmp_path: Path) -> None:
    clocks = [WallClock(tmp_path / str(number)) for number in range(2)]
    paths = {number: clock.path for number, clock in enumerate(clocks)}
    over = asyncio.Event()

    async def keep_stepping() -> None:
        ahead = 3600.0
        while not over.is_set():
            clocks[0].step(ahead)
            clocks[1].step(-ahead)
            ahead = -ahead
            await asyncio.sleep(0.3)

    async with fleet(cluster, paths=paths) as processes, lanes(processes) as asked:
        load = Load(processes, asked, pause=PAUSE_SECONDS)
        stepping = asyncio.create_task(keep_stepping())
        await load.run(SOME, lambda: len(load.history.narrowings()) >= NARROWINGS)
        over.set()
        await stepping
    assert load.refusals == []
    holds(load.history, processes.lease)

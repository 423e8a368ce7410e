"""Promise G6, to the millisecond on both sides: nothing is allowed at or after its expiry.

The clock that counts is the database's; those of the processes are hours off, each its own way.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest

from tests.consistency.checker import violations
from tests.consistency.clocks import WallClock
from tests.consistency.history import Change, History, Lane, Outcome, Turn
from tests.consistency.lanes import lanes
from tests.consistency.load import Load
from tests.consistency.servers import fleet
from tests.consistency.subjects import Call, Case
from tests.support.database import Cluster

KEYS = 15
LIFETIME = timedelta(seconds=4)
# One after another, each with the machine to itself, so that many answers are near the moment.
APART = timedelta(milliseconds=250)
AROUND_SECONDS = 0.05
PAUSE_SECONDS = 0.001
# A moment of the database is known to a process as precisely as a question to it takes, which on
# a busy machine may be long; before that, nothing may be denied.
EARLY_SECONDS = 0.1
AHEAD = {0: 7200.0, 1: -7200.0}


@pytest.mark.slow
async def test_a_key_is_allowed_until_it_expires_and_not_a_millisecond_longer(
    cluster: Cluster, tmp_path: Path
) -> None:
    clocks = {number: WallClock(tmp_path / str(number), ahead) for number, ahead in AHEAD.items()}
    paths = {number: clock.path for number, clock in clocks.items()}
    async with fleet(cluster, paths=paths) as processes, lanes(processes) as asked:
        load = Load(processes, asked, pause=PAUSE_SECONDS)
        directory = load.directory()
        # The database is on this machine, and so is its clock.
        ahead = time.time() - time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(KEYS):
                name, token = await directory.key()
                case = directory.case("expire", "KEY_EXPIRED", token, Call("", {}))
                expires = datetime.now(UTC) + LIFETIME + number * APART
                # Behind the servers' backs: a lifetime that is asked for is at least a minute.
                await processes.move_on(
                    f"expire_time = '{expires.isoformat()}'", name.rpartition("/")[2]
                )
                moment = expires.timestamp() - ahead
                case.subject.changes.append(Change(Turn.NARROWED, moment - EARLY_SECONDS, moment))
                tasks.create_task(_ask_around(load, case, moment))
    decisions = [each for subject in load.history.subjects for each in subject.decisions]
    undecided = [each for each in decisions if each.outcome is Outcome.UNDECIDED]
    assert undecided == []
    for lane in asked:
        print(_nearest(load.history, lane.lane))  # noqa: T201  what this is evidence of
    found = violations(load.history, settled_after=2 * processes.lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []


def _nearest(history: History, lane: Lane) -> str:
    """How near to the moments a lane's answers came."""
    allowed, denied = inf, inf
    for subject in history.subjects:
        moment = subject.changes[0].returned
        assert moment is not None
        for decision in subject.decisions:
            if decision.lane == lane and decision.outcome is Outcome.ALLOWED:
                allowed = min(allowed, moment - decision.invoked)
            elif decision.lane == lane:
                denied = min(denied, decision.returned - moment)
    return (
        f"{lane}: the last ALLOW was asked for {1000 * allowed:.1f} ms before a key expired, "
        f"the first denial came {1000 * denied:.1f} ms after"
    )


async def _ask_around(load: Load, case: Case, moment: float) -> None:
    """Ask everywhere before, in, and after the moment; nothing is changed by anybody."""
    await load.allowed_by(load.lanes, case)
    await asyncio.sleep(max(0, moment - AROUND_SECONDS - time.monotonic()))
    async with load.asking(case):
        await asyncio.sleep(max(0, moment + AROUND_SECONDS - time.monotonic()))

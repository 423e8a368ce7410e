"""Promise G3: without its database a process goes on for as long as its lease, then judges nobody.

All processes at once, as when the database itself is down.
"""

import asyncio
from datetime import timedelta

import pytest

from tests.consistency.checker import violations
from tests.consistency.history import Decision, Outcome
from tests.consistency.lanes import lanes
from tests.consistency.load import Load
from tests.consistency.servers import Fleet, fleet
from tests.consistency.subjects import disabled
from tests.support.database import Cluster

pytestmark = pytest.mark.slow
# So that a connection that has to be made anew is far shorter than what remains of a lease.
LEASE = timedelta(seconds=3)
# The last is what a sidecar says of any of them.
OUR_TROUBLE = {"DATABASE_UNAVAILABLE", "SERVER_UNAVAILABLE", "UNAVAILABLE"}
# How a stream ends; the second is what grpc.aio makes of it for who is about to write.
STREAM_ENDED = ("StatusCode.UNAVAILABLE", "StatusCode.INTERNAL: Internal error from Core")
WITHIN_A_LEASE, BEYOND_A_LEASE = 0.3, 1.3


def _is_trouble(reason: str) -> bool:
    return reason in OUR_TROUBLE or reason.startswith(STREAM_ENDED)


async def _without_database(fleet: Fleet, leases: float) -> None:
    for replica in fleet.replicas:
        assert replica.door is not None
        replica.door.refuse()
    await asyncio.sleep(leases * fleet.lease.total_seconds())


async def _with_database(fleet: Fleet) -> None:
    for replica in fleet.replicas:
        assert replica.door is not None
        await replica.door.accept()


async def test_an_outage_within_a_lease_is_not_noticed_and_one_beyond_denies_nobody(
    cluster: Cluster,
) -> None:
    async with (
        fleet(cluster, count=2, proxied=True, lease=LEASE) as processes,
        lanes(processes) as asked,
    ):
        load = Load(processes, asked)
        case = await disabled(load.directory())
        await load.allowed_by(asked, case)

        async with load.asking(case):
            await _without_database(processes, WITHIN_A_LEASE)
            await _with_database(processes)
            await load.allowed_by(asked, case)
        undecided = [each for each in case.subject.decisions if each.outcome is not Outcome.ALLOWED]
        assert undecided == []

        case.subject.decisions.clear()
        async with load.asking(case):
            await _without_database(processes, BEYOND_A_LEASE)
            answers = await asyncio.gather(*(load.ask(lane, case) for lane in asked))
            await _with_database(processes)
        assert _outcomes(answers) == {Outcome.UNDECIDED}
        assert all(_is_trouble(answer.reason) for answer in answers)
        assert _outcomes(case.subject.decisions) == {Outcome.ALLOWED, Outcome.UNDECIDED}

        await load.allowed_by(asked, case)
    assert violations(load.history, settled_after=0) == []


def _outcomes(decisions: list[Decision]) -> set[Outcome]:
    return {decision.outcome for decision in decisions}

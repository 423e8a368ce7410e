"""Promise G1 under load: no ALLOW that begins after a narrowing returned, however it is asked for.

Three processes, one database; everything that narrows authority, through any process, with calls in
flight on every process and every carrier that begin before and after its return. Beside one process
a sidecar and a program of threads answer, too.
"""

import time

import pytest

from tests.consistency.checker import violations
from tests.consistency.coverage import Coverage
from tests.consistency.history import Outcome
from tests.consistency.lanes import CARRIERS, PROGRAMS, lanes
from tests.consistency.load import Load
from tests.consistency.servers import fleet
from tests.consistency.subjects import AND_BACK, FOR_GOOD
from tests.support.database import Cluster

NARROWINGS = 2_000
DECISIONS = {**dict.fromkeys(CARRIERS, 100_000), **dict.fromkeys(PROGRAMS, 10_000)}
"""Of each carrier. Each program is one only, and two processes have to run for its answer."""
WITHIN_SECONDS = 420.0


@pytest.mark.slow
@pytest.mark.timeout(2 * WITHIN_SECONDS)
async def test_nothing_is_allowed_after_it_was_taken_away(cluster: Cluster) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    async with fleet(cluster) as processes, lanes(processes) as asked:
        load = Load(
            processes, asked, plenty={carrier: 1.1 * count for carrier, count in DECISIONS.items()}
        )
        counts = load.counts

        def enough() -> bool:
            done = all(counts[carrier] >= count for carrier, count in DECISIONS.items())
            return time.monotonic() >= until or (done and load.surrounded >= NARROWINGS)

        await load.run([*FOR_GOOD, *AND_BACK], enough)
    coverage = Coverage.of(load.history)
    print(coverage.table())  # noqa: T201  what this is evidence of
    found = violations(load.history, settled_after=2 * processes.lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []
    assert load.refusals == []
    assert coverage.surrounded.total() >= NARROWINGS
    for carrier, count in DECISIONS.items():
        assert coverage.of_carrier(carrier) >= count, carrier
    undecided = sum(
        count for (_, outcome), count in coverage.decisions.items() if outcome is Outcome.UNDECIDED
    )
    # Nothing is in the way of an answer but that all of this shares the machine.
    assert undecided * 10_000 <= coverage.decisions.total()

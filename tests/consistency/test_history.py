"""Promise G1 under load: no ALLOW that begins after a narrowing returned, however it is asked for.

Three processes, one database; everything that narrows authority, through any process, with calls in
flight on every process and every carrier that begin before and after its return. Then fewer, for
programs that answer from a cache of their own.
"""

import time

import pytest

from tests.consistency.checker import violations
from tests.consistency.coverage import Coverage
from tests.consistency.history import Lane, Outcome
from tests.consistency.lanes import CARRIERS, CLIENTS, clients, lanes
from tests.consistency.load import Load
from tests.consistency.servers import fleet
from tests.consistency.subjects import AND_BACK, FOR_GOOD
from tests.support.database import Cluster
from tests.support.service import FRONT

NARROWINGS = 2_000
DECISIONS = 100_000
"""Of each carrier."""
IN_ALL = 1_000_000 if FRONT == "envoy" else len(CARRIERS) * DECISIONS
WITHIN_SECONDS = 420.0
NARROWINGS_OF_CLIENTS = 200
# What a client denies, its server was asked about: there has to be room on the machine.
PAUSE_OF_CLIENTS_SECONDS = 0.05


@pytest.mark.slow
@pytest.mark.timeout(2 * WITHIN_SECONDS)
async def test_nothing_is_allowed_after_it_was_taken_away(cluster: Cluster) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    async with fleet(cluster) as processes, lanes(processes, *CARRIERS) as asked:
        load = Load(processes, asked, plenty=1.1 * IN_ALL / len(CARRIERS))
        counts = load.counts

        def enough() -> bool:
            done = len(counts) >= len(CARRIERS) and min(counts.values()) >= DECISIONS
            done = done and counts.total() >= IN_ALL and load.surrounded >= NARROWINGS
            return done or time.monotonic() >= until

        await load.run([*FOR_GOOD, *AND_BACK], enough)
    coverage = Coverage.of(load.history)
    print(coverage.table())  # noqa: T201  what this is evidence of
    found = violations(load.history, settled_after=2 * processes.lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []
    assert load.refusals == []
    assert coverage.surrounded.total() >= NARROWINGS
    assert coverage.decisions.total() >= IN_ALL
    for carrier in CARRIERS:
        assert coverage.of_carrier(carrier) >= DECISIONS, carrier
    undecided = sum(
        count for (_, outcome), count in coverage.decisions.items() if outcome is Outcome.UNDECIDED
    )
    # Nothing is in the way of an answer but that all of this shares the machine.
    assert undecided * 10_000 <= coverage.decisions.total()


@pytest.mark.slow
@pytest.mark.timeout(2 * WITHIN_SECONDS)
async def test_nor_by_a_sidecar_or_by_threads(cluster: Cluster) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    async with fleet(cluster, count=2) as processes, clients(processes, 0) as asked:
        load = Load(processes, asked.lanes, pause=PAUSE_OF_CLIENTS_SECONDS)
        await load.run(
            [*FOR_GOOD, *AND_BACK],
            lambda: time.monotonic() >= until or load.surrounded >= NARROWINGS_OF_CLIENTS,
        )
    coverage = Coverage.of(load.history)
    print(coverage.table())  # noqa: T201  what this is evidence of
    found = violations(load.history, settled_after=2 * processes.lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []
    assert load.refusals == []
    assert coverage.surrounded.total() >= NARROWINGS_OF_CLIENTS
    for carrier in CLIENTS:
        for outcome in (Outcome.ALLOWED, Outcome.DENIED):
            assert coverage.decisions[Lane(carrier, 0), outcome] >= NARROWINGS_OF_CLIENTS, carrier

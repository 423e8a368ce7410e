"""A short run of the history checker: what `make test-consistency` does at length."""

from tests.consistency.checker import violations
from tests.consistency.coverage import Coverage
from tests.consistency.lanes import lanes
from tests.consistency.load import Load
from tests.consistency.servers import fleet
from tests.consistency.subjects import AND_BACK, FOR_GOOD
from tests.support.database import Cluster

NARROWINGS = 20
# A part of all: other tests run beside it.
KINDS = [*FOR_GOOD, *AND_BACK][::4]
PAUSE_SECONDS = 0.05


async def test_nothing_is_allowed_that_a_narrowing_took_away(cluster: Cluster) -> None:
    async with fleet(cluster, count=2) as processes, lanes(processes, "unary") as asked:
        load = Load(processes, asked, pause=PAUSE_SECONDS)
        await load.run(KINDS, lambda: len(load.history.narrowings()) >= NARROWINGS)
    print(Coverage.of(load.history).table())  # noqa: T201  what this is evidence of
    assert load.refusals == []
    found = violations(load.history, settled_after=2 * processes.lease.total_seconds())
    assert [str(violation) for violation in found[:10]] == []

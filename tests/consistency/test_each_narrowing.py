"""Each kind of narrowing, by itself: what a server remembers of a key rests on all that decides."""

from collections.abc import AsyncIterator

import pytest

from tests.consistency.history import History
from tests.consistency.servers import Fleet, fleet
from tests.consistency.subjects import AND_BACK, FOR_GOOD, Call, Directory, Make, doing
from tests.support.database import Cluster
from tests.support.service import RefusedError, Service


@pytest.fixture(scope="module", name="processes")
async def _processes(cluster: Cluster) -> AsyncIterator[Fleet]:
    async with fleet(cluster, count=1) as started:
        yield started


async def is_felt_at_once(running: Service, make: Make, operator: str | None = None) -> None:
    """What is taken away is denied, and what is given back allowed, by the very next call."""
    history = History()
    case = await make(Directory(running.dsn, running.admin, history))
    # Who sees tokens of all workspaces, if there is such a one.
    asking = running.as_caller(operator) if operator else running.admin

    async def change(call: Call) -> None:
        await doing(asking if call.by_operator else running.admin, call)

    async def outcome() -> str:
        try:
            await asking.auth("Authenticate", case.request)
        except RefusedError as refused:
            return refused.reason
        return "OK"

    assert await outcome() == "OK"
    assert await outcome() == "OK"  # from memory
    for call in [case.narrow, *((case.widen, case.narrow) if case.widen else ())]:
        await change(call)
        assert await outcome() in ({"OK"} if call is case.widen else case.subject.reasons)


@pytest.mark.parametrize("make", [*FOR_GOOD, *AND_BACK], ids=lambda make: make.__name__)
async def test_a_narrowing_is_felt_at_once(processes: Fleet, make: Make) -> None:
    await is_felt_at_once(processes.first, make, processes.operator)

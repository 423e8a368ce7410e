"""Servers that take part: their rows, the length of their leases, and what they write at rest."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from tests.integration.test_imported_limits import count
from tests.support.database import Cluster
from tests.support.service import RefusedError, Service, another, serve, service
from tests.support.waiting import locked_table

A_WHILE = {"lease_length": "2s", "metrics_listen": "127.0.0.1:0"}


@pytest.fixture(name="running")
async def _running(cluster: Cluster) -> AsyncIterator[Service]:
    """A server whose leases are short, so that it soon takes others for dead: in five seconds.

    Nobody who lives stands still for that long, also where the machine is busy.
    """
    async with service(await cluster.migrated(), lease_length="500ms") as started:
        yield started


async def rows(running: Service) -> int:
    ((count,),) = await running.quietly("SELECT count(*) FROM keywright.replica")
    return int(count)


async def becomes(running: Service, count: int) -> None:
    async with asyncio.timeout(30):
        while await rows(running) != count:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.02)


async def refused(running: Service, lease_length: str) -> str:
    """What a server says that is started with another length of leases, as its last words."""
    async with serve(running.dsn, lease_length=lease_length) as started:
        return await started.told("lease_length is")


async def test_a_server_that_stops_leaves_no_row_that_others_wait_for(running: Service) -> None:
    async with another(running):
        assert await rows(running) == 2
    assert await rows(running) == 1


async def test_a_server_that_was_killed_is_waited_for_until_others_remove_it(
    running: Service,
) -> None:
    async with another(running) as other:
        other.process.process.kill()
        await other.process.process.wait()
    await becomes(running, 1)
    revoked = await running.admin.revoke_key((await running.admin.create_key()).key.name)
    assert revoked.waited.ToTimedelta().total_seconds() < 20


async def test_all_servers_count_by_one_length_of_leases(running: Service) -> None:
    told = await refused(running, "2s")
    assert "is 0.5 s in this installation" in told
    assert "KEYWRIGHT_LEASE_LENGTH" in told
    async with another(running):  # who configures none takes what there is
        assert await rows(running) == 2


async def test_another_length_is_taken_when_no_server_runs_any_more(cluster: Cluster) -> None:
    async with AsyncExitStack() as first:
        running = await first.enter_async_context(
            service(await cluster.migrated(), lease_length="100ms")
        )
        running.process.process.kill()  # its row stays, and stands still
        await running.process.process.wait()
    async with another(running, lease_length="200ms") as now:
        ((length,),) = await now.quietly(
            "SELECT extract(epoch FROM lease_length) FROM keywright.installation"
        )
        assert float(length) == 0.2
        assert await rows(now) == 1


async def test_a_server_at_rest_writes_three_times_a_lease_at_most(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as running:

        async def renewals() -> tuple[int, float]:
            ((counter,),) = await running.quietly("SELECT counter FROM keywright.replica")
            return int(counter), time.monotonic()

        before, began = await renewals()
        while (now := await renewals())[0] < before + 6:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)
        # As many as the time that has passed has room for, and one that was under way.
        assert now[0] - before <= 3 * (now[1] - began) + 1


async def refused_for_want_of_a_lease(running: Service) -> bool:
    try:
        await running.admin.authenticate(running.admin_token)
    except RefusedError as refused:
        return refused.code is grpc.StatusCode.UNAVAILABLE
    return False


async def waits_while_the_server_stands_still(running: Service) -> None:
    """A call waits for a lease when the server gets no time for it, nor for anything else."""
    async with locked_table(running.dsn, "keywright.replica") as table:
        await table.waited_for(1)
        while not await refused_for_want_of_a_lease(running):
            pass
        looked_up = await count(running, "keywright_look_ups_queries_total")
        call = asyncio.create_task(running.admin.authenticate(running.admin_token))
        async with asyncio.timeout(20):
            while await count(running, "keywright_look_ups_queries_total") == looked_up:
                pass
            while await count(running, "keywright_look_ups_waiting"):
                pass
        running.process.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3)  # for longer than the call would wait
        running.process.process.send_signal(signal.SIGCONT)
        await table.let_go()
    try:
        await call
    except RefusedError as refused:
        raise AssertionError(f"a good key was not answered: {refused}") from None


@pytest.mark.slow
async def test_a_call_is_patient_with_a_server_that_stood_still(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **A_WHILE) as running:
        await waits_while_the_server_stands_still(running)


async def test_what_the_database_may_lose_is_told_at_the_start(cluster: Cluster) -> None:
    dsn = await cluster.migrated()  # of a server that the tests have made fast, and not durable
    async with service(dsn) as running:
        warned = [
            line["error"]
            for line in running.process.log
            if line["event"] == "the database may lose what it has committed"
        ]
    assert [each.split(":")[0] for each in warned] == ["synchronous_commit is off", "fsync is off"]


async def test_a_label_is_shown_everywhere_once_it_is_changed(running: Service) -> None:
    """Answers from memory are no older than what describes the key."""
    created = await running.admin.create_key(labels={"plan": "free"})
    async with another(running) as other:
        assert (await other.admin.authenticate(created.token)).credential.labels["plan"] == "free"
        changed = {"name": created.key.name, "labels": {"plan": "paid"}}
        await running.admin.do("UpdateKey", key=changed)
        assert (await other.admin.authenticate(created.token)).credential.labels["plan"] == "paid"


@pytest.mark.parametrize("length", ["50ms", "61s", "0s"])
async def test_a_length_of_leases_out_of_range_is_refused_by_name(
    cluster: Cluster, length: str
) -> None:
    async with serve(await cluster.migrated(), lease_length=length) as started:
        assert "KEYWRIGHT_LEASE_LENGTH" in await started.told("LEASE_LENGTH")

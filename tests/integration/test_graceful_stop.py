"""A server that is told to stop finishes what it has begun, and takes on nothing more."""

import asyncio
import signal
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.database import Cluster
from tests.support.service import RefusedError, Service, refusal, service
from tests.support.waiting import held_key

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _refuses(running: Service) -> None:
    """Wait until the server takes no new calls.

    What arrives in the very moment of stopping is gRPC's to refuse, which it does with CANCELLED.
    """
    codes: list[grpc.StatusCode] = []
    async with asyncio.timeout(20):
        while grpc.StatusCode.UNAVAILABLE not in codes:
            try:
                await asyncio.wait_for(running.admin.authenticate(running.admin_token), 5)
            except RefusedError as refused:
                codes.append(refused.code)
            except TimeoutError:  # taken, and left alone
                continue
    assert set(codes) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_calls_in_flight_are_finished_and_new_ones_refused(
    cluster: Cluster, how: signal.Signals
) -> None:
    async with service(await cluster.migrated()) as running:
        name = (await running.admin.create_key()).key.name
        stub: Any = health_pb2_grpc.HealthStub(running.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        async with held_key(running.dsn, name) as row:
            revoking = asyncio.create_task(running.admin.revoke_key(name))
            await row.waited_for()
            running.process.process.send_signal(how)

            assert (await watch.read()).status == NOT_SERVING
            assert await watch.read() is grpc.aio.EOF  # a watcher does not delay the end
            await _refuses(running)
            assert running.process.process.returncode is None
            await row.let_go()
            revoked = await revoking
        assert revoked.key.name == name
        assert await asyncio.wait_for(running.process.process.wait(), 10) == 0
        await running.process.logged("stopped")


async def test_what_takes_longer_than_the_grace_is_broken_off(cluster: Cluster) -> None:
    settings = {"shutdown_grace": "500ms", "default_deadline": "1m"}
    async with service(await cluster.migrated(), **settings) as running:
        created = await running.admin.create_key()
        async with held_key(running.dsn, created.key.name) as row:
            revoking = asyncio.create_task(refusal(running.admin.revoke_key(created.key.name)))
            await row.waited_for()
            began = time.monotonic()
            assert await running.process.stop() == 0
            assert time.monotonic() - began < 15  # the call's own deadline is later
            assert (await revoking).code in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.CANCELLED,
            }
        [events] = await running.sql(
            "SELECT count(*) FROM keywright.audit_event WHERE action = 'RevokeKey'"
        )
        assert events["count"] == 0
        assert [line for line in running.process.log if line["level"] == "error"] == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process_at_once(
    cluster: Cluster, how: signal.Signals
) -> None:
    async with service(await cluster.migrated(), shutdown_grace="1h") as running:
        created = await running.admin.create_key()
        async with held_key(running.dsn, created.key.name) as row:
            revoking = asyncio.create_task(refusal(running.admin.revoke_key(created.key.name)))
            await row.waited_for()
            running.process.process.send_signal(how)
            await running.process.logged("stopping")
            assert await running.process.stop(how) == -how  # waits for less than the grace
            assert (await revoking).code is grpc.StatusCode.UNAVAILABLE

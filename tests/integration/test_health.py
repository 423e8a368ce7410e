"""The standard health service says whether calls can be answered, to all who ask or watch."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keywright.wire.contract import services
from tests.support.database import Cluster
from tests.support.proxy import proxy
from tests.support.service import Service, serve

Request = health_pb2.HealthCheckRequest
Status = health_pb2.HealthCheckResponse
NAMES = ["", *(service.full_name for service in services())]


def _stub(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize("name", NAMES)
async def test_the_server_and_each_of_its_services_can_be_asked_for(
    service: Service, name: str
) -> None:
    assert (await _stub(service.channel).Check(Request(service=name))).status == Status.SERVING


async def test_a_service_that_is_not_here_is_not_found_and_its_watcher_told_so(
    service: Service,
) -> None:
    stub = _stub(service.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Check(Request(service="keywright.v1.NoSuchService"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(Request(service="keywright.v1.NoSuchService"))
    assert (await watch.read()).status == Status.SERVICE_UNKNOWN
    watch.cancel()


async def test_health_needs_no_credential_and_works_before_the_database_is_there(
    cluster: Cluster,
) -> None:
    async with proxy(await cluster.migrated()) as door, serve(door.dsn) as process:
        target = (await process.logged("listening"))["listen"]
        async with grpc.aio.insecure_channel(target) as channel:
            for name in NAMES:
                answer = await _stub(channel).Check(Request(service=name))
                assert answer.status == Status.NOT_SERVING


async def test_watchers_are_told_every_change_and_one_that_does_not_read_keeps_nobody(
    cluster: Cluster,
) -> None:
    async with proxy(await cluster.migrated()) as door, serve(door.dsn) as process:
        target = (await process.logged("listening"))["listen"]
        async with (
            grpc.aio.insecure_channel(target) as channel,
            grpc.aio.insecure_channel(target) as other,
        ):
            watch = _stub(channel).Watch(Request())
            deaf = _stub(other).Watch(Request(service="keywright.v1.KeyService"))
            assert (await watch.read()).status == Status.NOT_SERVING
            await door.accept()
            assert (await watch.read()).status == Status.SERVING
            door.refuse()
            assert (await watch.read()).status == Status.NOT_SERVING
            await door.accept()
            assert (await watch.read()).status == Status.SERVING
            assert await process.stop() == 0
            deaf.cancel()

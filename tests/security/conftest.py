"""Whatever a test here provokes, no error and no log line may tell what they must not."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.security.leaks import assert_no_secret_in, assert_tells_nothing_of_the_inside
from tests.security.operated import Operated, operated
from tests.support.database import Cluster
from tests.support.service import RefusedError, service


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Operated]:
    """A server for a module, healthy to the end; then its whole log is looked through."""
    async with service(await cluster.migrated(), log_level="debug") as running:
        yield await operated(running)
        assert await running.health() == health_pb2.HealthCheckResponse.SERVING
        await running.admin.authenticate(running.admin_token)
    assert running.process.raw
    assert_no_secret_in(running.process.raw)


@pytest.fixture(autouse=True)
def _every_error_is_fit_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    seen: list[RefusedError] = []
    initialise = RefusedError.__init__

    def remember(self: RefusedError, error: grpc.aio.AioRpcError) -> None:
        initialise(self, error)
        seen.append(self)

    monkeypatch.setattr(RefusedError, "__init__", remember)
    yield
    for refused in seen:
        assert_tells_nothing_of_the_inside(refused)

"""Each proxy with its shipped configuration, once for all tests of a module."""

from collections.abc import AsyncIterator

import pytest

from tests.proxies.fronts import Front, front
from tests.support.database import Cluster
from tests.support.proxies import PROXIES
from tests.support.service import Service, service

LEASE = {"lease_length": "5s"}
BY_ENVOY = "envoy, answered by an Envoy of the sidecar's"


@pytest.fixture(scope="module", name="hub")
async def _hub(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **LEASE) as started:
        yield started


@pytest.fixture(scope="module", name="sidecars_token")
async def _sidecars_token(hub: Service) -> str:
    token = (await hub.person("sidecar", "authenticator")).token
    assert token is not None
    return token


@pytest.fixture(scope="module", name="through", params=[*PROXIES, BY_ENVOY])
async def _through(
    request: pytest.FixtureRequest,
    hub: Service,
    sidecars_token: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Front]:
    directory = tmp_path_factory.mktemp("proxy")
    name, by = ("envoy", "envoy") if request.param == BY_ENVOY else (request.param, "grpc")
    async with front(name, hub, sidecars_token, directory, answered_by=by) as started:
        yield started

"""Each front, and each client program, built and run once for all tests of a module."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.clients.building import CLIENTS, command
from tests.clients.client import Client, client
from tests.clients.fronts import FRONTS, Front
from tests.support.database import Cluster
from tests.support.service import Service, service

OPEN_AT_ONCE = 50


@pytest.fixture(scope="module", name="front", params=FRONTS, ids=str)
def _front(request: pytest.FixtureRequest) -> Front:
    return request.param


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster, front: Front) -> AsyncIterator[Service]:
    """A server of which a connection may ask no more than so much at once."""
    few = {"max_concurrent_streams": str(OPEN_AT_ONCE)}
    async with service(await cluster.migrated(), front=front.name, **few) as running:
        yield running


@pytest.fixture(scope="module", name="client", params=CLIENTS)
async def _client(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Client]:
    argv = await asyncio.to_thread(command, request.param)
    async with client([*argv, service.uri]) as running:
        yield running

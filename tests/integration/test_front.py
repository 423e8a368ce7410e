"""`keywright serve --front envoy`: the same port, the same answers, with Envoy in front."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Cluster
from tests.support.service import Service, service

ENVOY = {"front": "envoy", "shutdown_grace": "2s"}


@pytest.fixture(scope="module", name="front")
async def _front(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **ENVOY) as running:
        yield running


async def test_a_generated_client_gets_every_kind_of_answer_from_one_port(front: Service) -> None:
    created = await front.admin.create_key()
    answer = await front.admin.authenticate(created.token)
    assert answer.credential.name == created.key.name

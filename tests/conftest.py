"""The parts that tests of several kinds need. A database is never shared between test modules."""

import os
import signal
from collections.abc import AsyncIterator

import hypothesis
import pytest

from tests.support.database import Cluster, cluster
from tests.support.service import Service, service
from tests.support.unprivileged import directory_others_may_enter


def pytest_configure() -> None:
    """What holds for all tests."""
    # Tests interrupt their programs, also where they run in the background of a shell: there SIGINT
    # is ignored, and every program that is started inherits it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Nor may a file of whoever runs them say where their clients call.
    os.environ["KEYWRIGHT_CLIENT_CONFIG"] = os.devnull
    # How long an example takes says more of the machine than of the program.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", name="cluster")
async def _cluster() -> AsyncIterator[Cluster]:
    """A PostgreSQL server for this test process."""
    with directory_others_may_enter() as directory:
        async with cluster(directory / "postgres") as running:
            yield running


@pytest.fixture(name="database")
async def _database(cluster: Cluster) -> str:
    """The DSN of a migrated database of this test's own."""
    return await cluster.migrated()


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    """A `keywright serve` process on a database of this module's own."""
    async with service(await cluster.migrated()) as running:
        yield running

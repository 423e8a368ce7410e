"""Metrics for Prometheus: what an operator watches, in series that nobody outside can multiply."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.request import urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from keywright.domain.errors import Reason, Status
from keywright.wire.methods import UNKNOWN, methods
from tests.support.database import Cluster
from tests.support.service import RefusedError, Service, service

METRICS = {"metrics_listen": "127.0.0.1:0"}
PLACES = 32  # so many connections are served at a time
METHODS = {f"{method.service}/{method.name}" for method in [*methods(), UNKNOWN]}


@pytest.fixture(scope="module", name="watched")
async def _watched(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **METRICS) as running:
        yield running


async def _scrape(watched: Service) -> dict[str, Metric]:
    address = (await watched.process.logged("serving metrics"))["listen"]

    def get() -> str:
        with urlopen(f"http://{address}/metrics", timeout=10) as reply:
            return str(reply.read().decode())

    found = text_string_to_metric_families(await asyncio.to_thread(get))
    return {metric.name: metric for metric in found}


def _count(metrics: dict[str, Metric], **labels: str) -> float:
    return sum(
        sample.value
        for sample in metrics["keywright_calls"].samples
        if sample.name == "keywright_calls_total" and labels.items() <= sample.labels.items()
    )


async def test_calls_are_counted_by_method_and_code_with_how_long_they_took(
    watched: Service,
) -> None:
    before = await _scrape(watched)
    await watched.admin.authenticate(watched.admin_token)
    with suppress(RefusedError):
        await watched.admin.authenticate("not a token")
    after = await _scrape(watched)

    def more(**labels: str) -> float:
        return _count(after, **labels) - _count(before, **labels)

    authenticate = "AuthService/Authenticate"
    assert more(method=authenticate) == 2
    assert more(method=authenticate, code="OK", reason="") == 1
    assert more(method=authenticate, code="UNAUTHENTICATED", reason="TOKEN_MALFORMED") == 1
    took = {
        sample.name: sample.value
        for sample in after["keywright_call_duration_seconds"].samples
        if sample.labels.get("method") == authenticate and "le" not in sample.labels
    }
    assert took["keywright_call_duration_seconds_count"] >= 2
    assert took["keywright_call_duration_seconds_sum"] > 0
    assert [sample.value for sample in after["keywright_calls_in_flight"].samples] == [0]


async def test_nothing_that_a_caller_sends_makes_a_new_series(watched: Service) -> None:
    garbage = "/keywright.v1.KeyService/" + "Garbage" * 10
    for caller in (watched.admin, watched.as_caller("garbage"), watched.as_caller(None)):
        for path in (garbage, "/garbage/Garbage", "/keywright.v1.KeyService/ListKeys"):
            with suppress(RefusedError):
                await caller.send(path, b"\xff garbage")
    metrics = await _scrape(watched)
    for sample in metrics["keywright_calls"].samples:
        assert sample.labels["method"] in METHODS
        assert sample.labels["code"] in {"OK", *Status}
        assert sample.labels["reason"] in {"", *Reason}
    ours = [metric for name, metric in metrics.items() if name.startswith("keywright_")]
    assert len(ours) >= 3
    labels = {label for metric in ours for sample in metric.samples for label in sample.labels}
    assert labels == {"method", "code", "reason", "le"}


async def test_an_operator_sees_how_full_each_bounded_pool_is(watched: Service) -> None:
    await watched.admin.authenticate(watched.admin_token)
    metrics = await _scrape(watched)

    def value(name: str) -> float:
        (sample,) = metrics[name].samples
        return sample.value

    assert value("keywright_argon2_started") >= 1
    assert value("keywright_argon2_rejected") == 0
    assert value("keywright_argon2_in_flight") <= value("keywright_argon2_threads") == 1
    assert value("keywright_argon2_waiting") <= value("keywright_argon2_max_waiting")
    open_connections = value("keywright_database_connections")
    assert 1 <= open_connections <= value("keywright_database_connections_max")
    assert value("keywright_database_connections_idle") <= open_connections


@asynccontextmanager
async def _silent(watched: Service) -> "AsyncIterator[asyncio.Task[bytes]]":
    """A connection that says nothing; what it is told, once it is closed."""
    address = (await watched.process.logged("serving metrics"))["listen"]
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))

    async def told() -> bytes:
        with suppress(ConnectionError):
            return await reader.read()
        return b""

    telling = asyncio.create_task(told())
    try:
        yield telling
    finally:
        telling.cancel()
        writer.close()


async def silent_connections(watched: Service) -> None:
    async with AsyncExitStack() as open_:
        # They are taken in the order in which they come.
        first = [await open_.enter_async_context(_silent(watched)) for _ in range(PLACES)]
        late = await open_.enter_async_context(_silent(watched))
        ended, _ = await asyncio.wait([*first, late], timeout=20, return_when="FIRST_COMPLETED")
        assert ended == {late}, "all places are taken: whoever comes is turned away at once"
        _, held = await asyncio.wait(first, timeout=20)
        assert not held, "who says nothing holds its place for no more than some seconds"
        assert _count(await _scrape(watched)) >= 0


@pytest.mark.slow
async def test_connections_that_say_nothing_are_bounded_and_then_a_scrape_is_answered(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), **METRICS) as running:
        await silent_connections(running)

"""Attacks on HTTP/2 itself: the server lives, others are answered, and all is released.

Each runs beside a good client on a connection of its own, which is answered all the time and as it
should be. `test_planted_connection_bugs` shows that the guards which are ours are needed.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.support import attacks
from tests.support.attacks import Attack, Outcome
from tests.support.database import Cluster
from tests.support.http2 import Connection, connection
from tests.support.service import Service, service

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
# More than any attack below is allowed to take, and half of what the bomb inflates to.
MOST_MEMORY = 128 * MEBIBYTE
IDLE_CONNECTIONS = 5_000
_DESCRIPTORS = IDLE_CONNECTIONS + 500  # of this process: one for each connection, and the rest
_PATIENCE = 30
_DEAF_SECONDS = 3  # in which ten times as much is read of who listens
_POLL_SECONDS = 0.02


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    """A server that ends what does not speak after a second, and what is idle after a while."""
    settings = {"handshake_timeout": "1s", "max_connection_idle": "15s"}
    async with service(await cluster.migrated(), **settings) as running:
        yield running


@contextmanager
def soft_limit_of_descriptors(limit: int) -> Iterator[None]:
    """The limit of this process, and of those that it starts in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit <= hard, "ulimit -Hn says how many connections can be tested"
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def survived(of: Service) -> AsyncIterator[None]:
    """The block does the server no harm.

    A good client is answered all the time; memory grows by no more than `MOST_MEMORY`; and
    after the block the server has no more connections open than before.
    """
    process = of.answering
    await of.admin.authenticate(of.admin_token)
    memory, before, over = process.memory_info().rss, connections_of(of), asyncio.Event()

    async def be_a_good_client() -> int:
        answers = 0
        while not over.is_set():
            answer = await of.admin.authenticate(of.admin_token)
            assert answer.user.email == "admin@localhost"
            answers += 1
        return answers

    async def weigh() -> int:
        most = 0
        while not over.is_set():
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(_POLL_SECONDS)
        return most

    answers, most = asyncio.create_task(be_a_good_client()), asyncio.create_task(weigh())
    try:
        yield
        await until(lambda: connections_of(of) <= before, "all is released")
    finally:
        over.set()
        await asyncio.wait([answers, most])
    assert answers.result() > 0
    assert most.result() - memory < MOST_MEMORY


def connections_of(of: Service) -> int:
    """How many sockets of its port the server has open."""
    port = int(of.uri.rpartition(":")[2])
    sockets = of.answering.net_connections("tcp")
    return sum(each.laddr.port == port for each in sockets)


async def until(holds: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> None:
    """Wait for what nobody tells of."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(_POLL_SECONDS)


async def all_ended(connections: list[Connection], seconds: float = _PATIENCE) -> None:
    """Wait until the server has ended all of them."""
    await until(lambda: all(each.over.is_set() for each in connections), "ended", seconds)


@pytest.mark.parametrize("attack", [attacks.rapid_reset(20_000), attacks.rapid_reset(1000, 20)])
async def test_calls_that_are_reset_at_once_are_refused_before_they_cost_anything(
    service: Service, attack: Attack
) -> None:
    async with survived(service):
        outcome = await attack.run(service.uri)
    calls = attack.frames // 3 * attack.connections
    assert outcome.received["RST_STREAM"] > calls // 2
    assert outcome.received["HEADERS"] < calls // 10


async def test_a_flood_of_pings_takes_no_memory(service: Service) -> None:
    await a_flood_of_pings_takes_no_memory(service)


async def a_flood_of_pings_takes_no_memory(service: Service) -> None:
    async with survived(service):
        await attacks.pings(50_000, 4).run(service.uri)


async def test_a_flood_of_settings_takes_no_memory(service: Service) -> None:
    async with survived(service):
        await attacks.settings(100_000, 4).run(service.uri)


@pytest.mark.parametrize("attack", [attacks.pings(1_000_000), attacks.settings(4_000_000)])
async def test_who_does_not_read_the_answers_is_read_no_more(
    service: Service, attack: Attack
) -> None:
    async with survived(service), connection(service.uri, reads=False) as deaf:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(_DEAF_SECONDS):
                await deaf.send(attack.content)


@pytest.mark.parametrize(
    "attack", [attacks.continuations(3_000), attacks.empty_continuations(200_000)]
)
async def test_headers_without_an_end_are_not_kept(service: Service, attack: Attack) -> None:
    async with survived(service):
        outcome = await attack.run(service.uri)
    assert outcome.ended == 1


async def test_a_slow_preface_is_ended(service: Service) -> None:
    await slow_prefaces_are_ended(service)


async def slow_prefaces_are_ended(service: Service) -> None:
    async with survived(service), attacks.slow_preface(300).connected(service.uri) as slow:
        await all_ended(slow, 10)


async def test_a_compressed_request_is_refused_and_not_inflated(service: Service) -> None:
    await a_compression_bomb_is_not_inflated(service)


async def a_compression_bomb_is_not_inflated(service: Service) -> None:
    bomb = attacks.compression_bomb(256)
    async with survived(service):
        for _ in range(4):
            outcome: Outcome = await bomb.run(service.uri)
            assert outcome.received["RST_STREAM"] == 1


async def test_a_client_that_compresses_is_told_that_this_is_not_supported(
    service: Service,
) -> None:
    call: Any = service.channel.unary_unary(attacks.AUTHENTICATE)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"x" * 1000, compression=grpc.Compression.Gzip)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "gzip" in (refused.value.details() or "")


async def test_calls_beyond_those_of_one_connection_are_refused(service: Service) -> None:
    await calls_of_one_connection_have_a_bound(service)


async def calls_of_one_connection_have_a_bound(service: Service) -> None:
    calls = attacks.open_calls(2_000)
    async with survived(service), calls.connected(service.uri) as (one,):
        await one.send(calls.content)
        await until(lambda: one.received["RST_STREAM"] == 1_900, "refused", 10)


async def test_five_thousand_idle_connections_disturb_nobody_and_are_closed(
    service: Service,
) -> None:
    with soft_limit_of_descriptors(_DESCRIPTORS):
        idle = attacks.idle(IDLE_CONNECTIONS)
        async with survived(service), idle.connected(service.uri) as connections:
            await until(lambda: connections_of(service) > IDLE_CONNECTIONS, "all are taken")
            assert not any(each.over.is_set() for each in connections)
            await all_ended(connections)


async def idle_connections_are_closed(service: Service) -> None:
    async with attacks.idle(20).connected(service.uri) as connections:
        await all_ended(connections, 10)


async def test_a_client_that_has_gone_without_a_word_is_given_up(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **A_SHORT_KEEPALIVE) as attentive:
        await a_silent_client_is_given_up(attentive)


A_SHORT_KEEPALIVE = {"keepalive_time": "1s", "keepalive_timeout": "1s"}


async def a_silent_client_is_given_up(attentive: Service) -> None:
    async with connection(attentive.uri, answers=False) as silent:
        await all_ended([silent], 10)
    assert silent.received["PING"] > 0


async def test_an_old_connection_is_ended_whatever_is_open_on_it(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **A_SHORT_LIFE) as brisk:
        await calls_without_a_message_end_with_the_connection(brisk)


A_SHORT_LIFE = {"max_connection_age": "2s", "max_connection_age_grace": "1s"}


async def calls_without_a_message_end_with_the_connection(brisk: Service) -> None:
    calls = attacks.open_calls(50)
    async with calls.connected(brisk.uri) as (one,):
        await one.send(calls.content)
        await all_ended([one], 10)
    assert one.received["GOAWAY"] > 0


async def test_a_connection_too_many_is_closed_until_another_ends(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **A_BOUND_OF_CONNECTIONS) as few:
        await connections_have_a_bound(few)


A_BOUND_OF_CONNECTIONS = {"max_connections": "50", "handshake_timeout": "1s"}


async def connections_have_a_bound(few: Service) -> None:
    """The 51st is closed, and there is room again whichever way others end."""
    before = connections_of(few)
    for attack in (attacks.idle(60), attacks.slow_preface(60), attacks.idle(60)):
        async with attack.connected(few.uri) as connections:
            await until(lambda: sum(each.over.is_set() for each in connections) >= 11, "closed", 10)
            await few.admin.authenticate(few.admin_token)
        await until(lambda: connections_of(few) <= before, "released")
    async with attacks.idle(49).connected(few.uri) as connections:
        await few.admin.authenticate(few.admin_token)
        assert not any(each.over.is_set() for each in connections)


async def test_a_low_soft_limit_of_descriptors_does_not_limit_connections(
    cluster: Cluster,
) -> None:
    with soft_limit_of_descriptors(LOW_SOFT_LIMIT):
        async with service(await cluster.migrated()) as low:
            await more_connections_than_the_soft_limit(low)


LOW_SOFT_LIMIT = 256


async def more_connections_than_the_soft_limit(low: Service) -> None:
    before = connections_of(low)
    try:
        with soft_limit_of_descriptors(_DESCRIPTORS):
            async with attacks.idle(LOW_SOFT_LIMIT).connected(low.uri):
                await until(lambda: connections_of(low) > LOW_SOFT_LIMIT, "all are taken", 10)
    finally:
        await until(lambda: connections_of(low) <= before, "released")
        await low.becomes(health_pb2.HealthCheckResponse.SERVING)

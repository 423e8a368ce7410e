"""What a connection may do at the front: attacks that gRPC has to survive, too, and its end by age.

The attacks are those of `tests/adversity`; what differs is how Envoy ends them.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.adversity.test_http2_attacks import (
    A_BOUND_OF_CONNECTIONS,
    A_SHORT_KEEPALIVE,
    A_SHORT_LIFE,
    a_silent_client_is_given_up,
    all_ended,
    connections_have_a_bound,
    connections_of,
    idle_connections_are_closed,
    slow_prefaces_are_ended,
    soft_limit_of_descriptors,
    survived,
    until,
)
from tests.support import attacks
from tests.support.attacks import Attack
from tests.support.database import Cluster
from tests.support.front import ENVOY, http
from tests.support.http2 import connection
from tests.support.planted import Bug, assert_noticed
from tests.support.service import Service, refusal, service

pytestmark = pytest.mark.slow

LIST_KEYS = "/keywright.v1.KeyService/ListKeys"
IDLE_CONNECTIONS = 2_000
# The bound of both together is 288 MiB, of which an idle server takes half.
LITTLE_MEMORY = {"max_memory_bytes": "256MiB", "cache_bytes": "16MiB"}
HALF_MESSAGES = attacks.half_messages(15, 800)  # 750 MiB


@pytest.fixture(scope="module", name="front")
async def _front(cluster: Cluster) -> AsyncIterator[Service]:
    """A server that ends what does not speak after a second, and what is idle after a while."""
    settings = {"handshake_timeout": "1s", "max_connection_idle": "15s", **ENVOY}
    async with service(await cluster.migrated(), **settings) as running:
        yield running


@pytest.mark.parametrize("attack", [attacks.rapid_reset(20_000), attacks.rapid_reset(1000, 20)])
async def test_who_resets_its_calls_at_once_is_sent_away(front: Service, attack: Attack) -> None:
    await who_resets_its_calls_is_sent_away(front, attack)


async def who_resets_its_calls_is_sent_away(front: Service, attack: Attack) -> None:
    async with survived(front):
        outcome = await attack.run(front.uri)
    assert outcome.ended == attack.connections


@pytest.mark.parametrize(
    "attack",
    [
        attacks.pings(50_000, 4),
        attacks.settings(100_000, 4),
        attacks.continuations(3_000),
        attacks.empty_continuations(200_000),
    ],
    ids=lambda attack: attack.name,
)
async def test_a_flood_takes_no_memory(front: Service, attack: Attack) -> None:
    async with survived(front):
        await attack.run(front.uri)


@pytest.mark.parametrize("attack", [attacks.pings(1_000_000), attacks.settings(4_000_000)])
async def test_who_does_not_read_the_answers_is_sent_away(front: Service, attack: Attack) -> None:
    await front.admin.authenticate(front.admin_token)
    before = connections_of(front)
    async with survived(front), connection(front.uri, reads=False) as deaf:
        await deaf.send(attack.content)  # ends with the connection
        await until(lambda: connections_of(front) <= before, "ended")


async def test_a_slow_preface_is_ended(front: Service) -> None:
    await slow_prefaces_are_ended(front)


async def test_a_connection_that_says_nothing_is_ended(front: Service) -> None:
    await a_connection_that_says_nothing_is_ended(front)


async def a_connection_that_says_nothing_is_ended(front: Service) -> None:
    async with survived(front), connection(front.uri, first=b"") as silent:
        await all_ended([silent], 10)


async def test_half_a_request_is_ended(front: Service) -> None:
    half = b"POST /v1:authenticate HTTP/1.1\r\nhost: a\r\n"
    async with survived(front), connection(front.uri, first=half) as slow:
        await all_ended([slow], 10)


async def test_a_compressed_request_is_refused_and_not_inflated(front: Service) -> None:
    bomb = attacks.compression_bomb(256)
    async with survived(front):
        for _ in range(4):
            await bomb.run(front.uri)


async def test_calls_beyond_those_of_one_connection_are_refused(front: Service) -> None:
    await calls_of_one_connection_have_a_bound(front)


async def calls_of_one_connection_have_a_bound(front: Service) -> None:
    calls = attacks.open_calls(300)
    async with survived(front), calls.connected(front.uri) as (one,):
        await one.send(calls.content)
        await until(lambda: one.received["RST_STREAM"] == 200 or one.over.is_set(), "refused", 10)


async def test_many_idle_connections_disturb_nobody_and_are_closed(front: Service) -> None:
    with soft_limit_of_descriptors(IDLE_CONNECTIONS + 500):
        idle = attacks.idle(IDLE_CONNECTIONS)
        async with survived(front), idle.connected(front.uri) as connections:
            await until(lambda: connections_of(front) > IDLE_CONNECTIONS, "all are taken")
            await all_ended(connections, 60)


async def test_a_connection_too_many_is_closed_until_another_ends(cluster: Cluster) -> None:
    settings = {**A_BOUND_OF_CONNECTIONS, **ENVOY}
    async with service(await cluster.migrated(), **settings) as few:
        await connections_have_a_bound(few)


async def test_a_client_that_has_gone_without_a_word_is_given_up(cluster: Cluster) -> None:
    settings = {**A_SHORT_KEEPALIVE, **ENVOY}
    async with service(await cluster.migrated(), **settings) as attentive:
        await a_silent_client_is_given_up(attentive)


async def test_messages_that_never_end_do_not_fill_the_memory(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **LITTLE_MEMORY, **ENVOY) as small:
        await messages_that_never_end_do_not_fill_the_memory(small)
        await small.admin.authenticate(small.admin_token)


async def messages_that_never_end_do_not_fill_the_memory(small: Service) -> None:
    """Who sends them is sent away, sooner or later."""
    outcome = await HALF_MESSAGES.run(small.uri)
    assert outcome.ended > HALF_MESSAGES.connections / 4


YOUNG_AND_SHORT = {"max_connection_age": "1s", "max_request_bytes": "4KiB"}
FOR_SOME_CONNECTIONS_SECONDS = 3.0


async def test_what_is_too_long_is_told_so_by_whichever_connection_it_goes_on(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), **YOUNG_AND_SHORT, **ENVOY) as short:
        await what_is_too_long_is_told_so(short)


async def what_is_too_long_is_told_so(short: Service) -> None:
    """Also where it is the first that the server is told on a connection of Envoy's."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FOR_SOME_CONNECTIONS_SECONDS
    while loop.time() < end:
        refused = await refusal(short.admin.send(LIST_KEYS, b"x" * 100_000))
        if "connection termination" not in str(refused):  # of its age, at that very moment
            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED, refused


# So that it is not their deadline that ends calls.
PATIENT = {"default_deadline": "1m"}


@pytest.fixture(scope="module", name="brisk")
async def _brisk(cluster: Cluster) -> AsyncIterator[Service]:
    """A server whose connections live for two seconds, and their calls for one more."""
    async with service(await cluster.migrated(), **A_SHORT_LIFE, **PATIENT, **ENVOY) as running:
        yield running


async def test_old_connections_end_without_a_failed_call(brisk: Service) -> None:
    await old_connections_end_without_a_failed_call(brisk)


async def old_connections_end_without_a_failed_call(brisk: Service) -> None:
    """Calls of either half, of gRPC and of HTTP/1.1, while connections end under them."""
    over = asyncio.Event()

    async def call() -> None:
        while not over.is_set():
            await brisk.admin.authenticate(brisk.admin_token)
            await brisk.admin.list_keys()

    async def post() -> None:
        async with http(brisk) as client:
            while not over.is_set():
                answered = await client.post("/v1:authenticate", json={"token": brisk.admin_token})
                assert answered.status_code == 200

    calls = [asyncio.create_task(each) for each in (call(), call(), call(), post())]
    try:
        async with asyncio.timeout(60):
            for _ in range(3):
                await brisk.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
                while brisk.channel.get_state(try_to_connect=True) is not (
                    grpc.ChannelConnectivity.READY
                ):
                    assert not any(each.done() for each in calls)
                    await brisk.channel.wait_for_state_change(brisk.channel.get_state())
    finally:
        over.set()
        await asyncio.gather(*calls)


async def test_a_stream_that_is_old_ends_with_a_word_to_try_again(brisk: Service) -> None:
    stream = brisk.admin.open("Watch")
    try:
        async with asyncio.timeout(20):
            await stream.code()
    finally:
        stream.cancel()
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_old_connection_is_ended_whatever_is_open_on_it(brisk: Service) -> None:
    await calls_without_a_message_end_with_the_connection(brisk)


async def calls_without_a_message_end_with_the_connection(brisk: Service) -> None:
    calls = attacks.open_calls(50)
    async with calls.connected(brisk.uri) as (one,):
        await one.send(calls.content)
        await all_ended([one], 20)
    assert one.received["GOAWAY"] > 0


async def test_a_silent_stream_lives_longer_than_a_connection_may_be_idle(
    cluster: Cluster,
) -> None:
    settings = {"max_connection_idle": "1s", "keepalive_time": "1s", **ENVOY}
    async with service(await cluster.migrated(), **settings) as running:
        stub: Any = health_pb2_grpc.HealthStub(running.channel)
        stream = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
        async with connection(running.uri) as idle:  # as long as that takes
            await all_ended([idle])
        assert not stream.done()
        stream.cancel()


async def test_metadata_beyond_the_limit_is_refused_and_the_server_lives(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), max_metadata_bytes="4KiB", **ENVOY) as small:
        for size in (6_000, 60_000):
            long = small.as_caller(small.admin_token, ("x-long", "x" * size))
            with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED|INTERNAL"):
                await long.list_keys()
            async with http(small) as client:
                answered = await client.post("/v1:authenticate", headers={"x-long": "x" * 60_000})
                assert answered.status_code == 431
                assert answered.json()["message"]
        await small.admin.authenticate(small.admin_token)


BUGS = {
    "who fills the memory is waited for": (
        Bug(
            "front/envoy.py",
            guard='{"name": each, "triggers": triggers} for each in _SHEDDING',
            instead="",
            scenario=messages_that_never_end_do_not_fill_the_memory,
        ),
        LITTLE_MEMORY,
    ),
    "who says nothing is waited for": (
        Bug(
            "app/front/envoy.py",
            guard='"listener_filters": [] if config.tls else [_first_words()],',
            instead="",
            scenario=a_connection_that_says_nothing_is_ended,
        ),
        {"handshake_timeout": "1s"},
    ),
    "a connection may be idle as long as it likes": (
        Bug(
            "app/front/envoy.py",
            guard='"idle_timeout": seconds(config.max_connection_idle),',
            instead="",
            scenario=idle_connections_are_closed,
        ),
        {"max_connection_idle": "1s"},
    ),
    "a client that has gone is waited for": (
        Bug(
            "app/front/envoy.py",
            guard='"timeout": seconds(config.keepalive_timeout),',
            instead='"timeout": "600s",',
            scenario=a_silent_client_is_given_up,
        ),
        A_SHORT_KEEPALIVE,
    ),
    "calls on an old connection may go on for ever": (
        Bug(
            "app/front/calls.py",
            guard="1.2 * config.max_connection_age",
            instead="1000 * config.max_connection_age",
            scenario=calls_without_a_message_end_with_the_connection,
        ),
        A_SHORT_LIFE | PATIENT,
    ),
    "headers are not kept because Envoy says so": (
        Bug(
            "app/front/envoy.py",
            guard='{"http2_protocol_options": streams}',
            instead='{"http2_protocol_options": {"hpack_table_size": 0} | streams}',
            scenario=what_is_too_long_is_told_so,
        ),
        YOUNG_AND_SHORT,
    ),
    "any number of connections": (
        Bug(
            "front/envoy.py",
            guard="[connected, taken]",
            instead="[taken]",
            scenario=connections_have_a_bound,
        ),
        A_BOUND_OF_CONNECTIONS,
    ),
    "any number of calls on a connection": (
        Bug(
            "app/front/envoy.py",
            guard='"max_concurrent_streams": config.max_concurrent_streams,',
            instead="",
            scenario=calls_of_one_connection_have_a_bound,
        ),
        {},
    ),
}


@pytest.mark.parametrize(("bug", "settings"), BUGS.values(), ids=BUGS)
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, settings: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path, **settings, **ENVOY)

"""Tokens that are nobody's are looked up in moderation; keys that are remembered do not notice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import grpc
import pytest

from keywright.domain.errors import Denied
from keywright.domain.keys import parse_address
from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from keywright.security.entropy import system_entropy
from keywright.service.authenticate import NOTHING
from keywright.v1 import auth_service_pb2
from tests.architecture.test_hot_path import remembered
from tests.integration.test_imported_limits import count
from tests.support.database import Cluster
from tests.support.service import Caller, RefusedError, Service, refusal, service
from tests.support.waiting import locked_table

LIMITS = {
    "metrics_listen": "127.0.0.1:0",
    "failures_per_address": "1",
    "failures_per_caller": "4",
}
OF_AN_ADDRESS, OF_A_CALLER = 10, 40
"""What there is at once: ten times as much as in a second."""


@pytest.fixture(name="limited")
async def _limited(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(await cluster.migrated(), **LIMITS) as running:
        yield running


def forged() -> str:
    """A well-formed token that is nobody's."""
    made = TokenFormat()
    return made.render(made.mint("live", system_entropy)).reveal()


async def told(caller: Caller, address: str = "", times: int = 1) -> list[str]:
    """Why so many forged tokens are refused, each another one."""
    reasons = []
    for _ in range(times):
        refused = await refusal(caller.authenticate(forged(), client_address=address))
        reasons.append(refused.reason)
    return reasons


async def queries(running: Service) -> float:
    """How often the database was asked for prefixes."""
    return await count(running, "keywright_look_ups_queries_total")


async def an_address_that_guesses(running: Service) -> None:
    """Who presents what is nobody's has some of it looked up, and is then refused from memory."""
    kept = (await running.admin.create_key()).token
    await running.admin.authenticate(kept)
    reasons = await told(running.admin, "192.0.2.1", times=OF_AN_ADDRESS + 5)
    assert reasons[:OF_AN_ADDRESS] == ["TOKEN_UNKNOWN"] * OF_AN_ADDRESS
    before, began = await queries(running), asyncio.get_running_loop().time()
    for _ in range(50):
        refused = await refusal(running.admin.authenticate(forged(), client_address="192.0.2.1"))
        if refused.reason != "TOKEN_UNKNOWN":  # as long as that takes, a second gives one more
            break
    assert refused.reason == "FAILURES_LIMITED"
    assert (refused.code, refused.retry_delay) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)
    seconds = asyncio.get_running_loop().time() - began
    assert await queries(running) - before <= seconds + 2
    # A key that is remembered is good from there as well, and others are not limited.
    await running.admin.authenticate(kept, client_address="192.0.2.1")
    assert await told(running.admin, "192.0.2.2") == ["TOKEN_UNKNOWN"]
    assert await count(running, "keywright_failures_limited_by_address_total") > 0


async def test_an_address_that_guesses_is_refused_from_memory(limited: Service) -> None:
    await an_address_that_guesses(limited)


async def test_addresses_of_one_site_share_what_there_is(limited: Service) -> None:
    for number in range(OF_AN_ADDRESS):
        assert await told(limited.admin, f"2001:db8:0:{number}::1") == ["TOKEN_UNKNOWN"]
    while await told(limited.admin, "2001:db8:0:ffff::2") != ["FAILURES_LIMITED"]:
        pass  # a second gives one more
    assert await told(limited.admin, "2001:db8:1::1") == ["TOKEN_UNKNOWN"]


async def test_a_caller_is_limited_whatever_addresses_it_names_and_others_are_not(
    limited: Service,
) -> None:
    addresses = (f"198.51.100.{number}" for number in range(256))  # a second gives four more
    while await told(limited.admin, next(addresses)) != ["FAILURES_LIMITED"]:
        pass
    assert await count(limited, "keywright_failures_limited_by_caller_total") > 0
    second = await limited.admin.create_key()
    assert await told(limited.as_caller(second.token), "203.0.113.1") == ["TOKEN_UNKNOWN"]


async def test_in_batches_and_on_streams_an_item_is_refused_and_no_other(limited: Service) -> None:
    kept = (await limited.admin.create_key()).token
    await limited.admin.authenticate(kept)
    stream = limited.admin.open("AuthenticateStream")

    def asked() -> list[auth_service_pb2.AuthenticateRequest]:
        return [
            auth_service_pb2.AuthenticateRequest(token=token, client_address="192.0.2.1")
            for token in (forged(), kept)
        ]

    async def by_batch() -> Sequence[auth_service_pb2.AuthenticateResult]:
        return (await limited.admin.do("BatchAuthenticate", requests=asked())).results

    async def by_stream() -> Sequence[auth_service_pb2.AuthenticateResult]:
        for each in asked():
            await stream.write(auth_service_pb2.AuthenticateStreamRequest(request=each))
        return [(await stream.read()).result for _ in range(2)]

    for answers in (by_batch, by_stream):
        refused, allowed = await answers()
        while not refused.denied.HasField("retry_delay"):  # a second gives one more
            refused, allowed = await answers()
        assert refused.denied.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert refused.denied.retry_delay.seconds == 1
        assert allowed.WhichOneof("outcome") == "allowed"
    stream.cancel()


async def test_who_guesses_credentials_to_call_with_is_refused_by_its_address(
    limited: Service,
) -> None:
    user = "workspaces/default/users/admin@localhost"
    await limited.admin.get_user(user)
    reasons = set()
    while "FAILURES_LIMITED" not in reasons:
        refused = await refusal(limited.as_caller(forged()).get_user(user))
        reasons.add(refused.reason)
    assert reasons == {"CALLER_CREDENTIAL_INVALID", "FAILURES_LIMITED"}
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await limited.admin.get_user(user)  # of the same address, but remembered


async def test_a_token_that_is_refused_again_and_again_leaves_nothing_in_memory(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), lease_length="60s") as running:
        services = await remembered(running, [running.admin_token])
        kept, address = services.authenticate.memory, parse_address("192.0.2.1")
        made = TokenFormat()
        wrong = made.render(
            replace(made.parse(running.admin_token), secret=Secret(b"x" * 32))
        ).reveal()
        for _ in range(3):
            with pytest.raises(Denied):
                await services.authenticate.caller(wrong, address)
            with pytest.raises(Denied):
                await services.authenticate(wrong, NOTHING)
        told = kept.of(wrong, None)
        assert isinstance(told, Denied)
        assert told.__traceback__ is None  # it would have hold of every call that it ended


async def tokens_that_nobody_waits_for(running: Service) -> None:
    """What was given up while it waited is not asked for once the database answers again."""
    await running.admin.authenticate(running.admin_token)
    before = await queries(running)
    async with locked_table(running.dsn, "keywright.key_secret") as table:
        under_way: list[asyncio.Task[RefusedError]] = []
        for waiting in (1, 2):  # as many queries as there are at once
            call = running.admin.authenticate(forged())
            under_way.append(asyncio.create_task(refusal(call)))
            await table.waited_for(waiting)
        given_up = [asyncio.create_task(running.admin.authenticate(forged())) for _ in range(20)]
        async with asyncio.timeout(20):
            while await count(running, "keywright_look_ups_waiting") < len(given_up) + 2:
                pass
        for each in given_up:
            each.cancel()
        async with asyncio.timeout(20):
            while await count(running, "keywright_calls_in_flight") > 2:
                pass
        left = await count(running, "keywright_look_ups_waiting")
        await table.let_go()
        for task in under_way:
            assert (await task).reason == "TOKEN_UNKNOWN"
    assert left == 2
    assert await queries(running) - before == 2


async def test_what_nobody_waits_for_any_more_is_not_looked_up(limited: Service) -> None:
    await tokens_that_nobody_waits_for(limited)


async def test_a_token_that_others_wait_for_is_looked_up_though_who_began_has_left(
    limited: Service,
) -> None:
    key = await limited.admin.create_key()
    async with locked_table(limited.dsn, "keywright.key_secret") as table:
        first = asyncio.create_task(limited.admin.authenticate(key.token))
        await table.waited_for(1)
        second = asyncio.create_task(limited.admin.authenticate(key.token))
        async with asyncio.timeout(20):
            while await count(limited, "keywright_calls_in_flight") < 2:
                pass
        first.cancel()
        async with asyncio.timeout(20):
            while await count(limited, "keywright_calls_in_flight") > 1:
                pass
        await table.let_go()
        assert (await second).credential.name == key.key.name


@pytest.mark.parametrize("setting", ["failures_per_address", "failures_per_caller"])
async def test_a_limit_of_nothing_would_refuse_everybody(cluster: Cluster, setting: str) -> None:
    with pytest.raises(AssertionError, match="must be a whole number from 1 to 1000000"):
        async with service(await cluster.migrated(), **{setting: "0"}):
            pass

"""What a connection and a call may take: settings that take effect on the wire."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.support.database import Cluster
from tests.support.service import TOO_LONG_METADATA, Service, refusal, service
from tests.support.waiting import held_key


@pytest.fixture(scope="module", name="limited")
async def _limited(cluster: Cluster) -> AsyncIterator[Service]:
    async with service(
        await cluster.migrated(),
        max_connection_age="1s",
        max_metadata_bytes="4KiB",
        max_request_bytes="4KiB",
        default_deadline="1s",
        max_deadline="4s",
        database_statement_timeout="1m",
    ) as running:
        yield running


async def test_an_old_connection_is_closed_without_breaking_a_call_in_flight(
    limited: Service,
) -> None:
    name = (await limited.admin.create_key()).key.name
    async with held_key(limited.dsn, name) as row:
        revoking = asyncio.create_task(limited.admin.revoke_key(name))
        await row.waited_for()
        async with asyncio.timeout(20):
            await limited.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await row.let_go()
        assert (await revoking).key.name == name
    await limited.admin.authenticate(limited.admin_token)  # over a new connection


async def test_metadata_beyond_the_limit_is_refused_and_the_server_lives(limited: Service) -> None:
    refused = await refusal(
        limited.as_caller(limited.admin_token, ("x-long", "x" * 12_000)).list_keys()
    )
    assert refused.code is TOO_LONG_METADATA
    await limited.admin.authenticate(limited.admin_token)


@pytest.mark.parametrize("size", [5_000, 100_000])
async def test_a_request_beyond_the_limit_is_refused_and_the_server_lives(
    limited: Service, size: int
) -> None:
    path = "/keywright.v1.KeyService/ListKeys"
    refused = await refusal(limited.admin.send(path, b"x" * size))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await limited.admin.authenticate(limited.admin_token)


@pytest.mark.parametrize("timeout", [None, 3600], ids=["without-deadline", "far-deadline"])
async def test_no_call_lasts_longer_than_the_server_lets_it(
    limited: Service, timeout: float | None
) -> None:
    name = (await limited.admin.create_key()).key.name
    async with held_key(limited.dsn, name):
        caller = limited.as_caller(limited.admin_token)
        body = b"\n" + bytes([len(name)]) + name.encode()  # RevokeKeyRequest.name
        async with asyncio.timeout(20):
            ended = await _send(limited, body, caller._metadata(), timeout)
    assert ended is grpc.StatusCode.DEADLINE_EXCEEDED
    refused = await refusal(limited.admin.get_key("workspaces/default/keys/no-such-key"))
    assert refused.code is grpc.StatusCode.NOT_FOUND


async def _send(
    running: Service,
    body: bytes,
    metadata: tuple[tuple[str, str], ...],
    timeout: float | None,
) -> grpc.StatusCode:
    channel: Any = running.channel
    try:
        await channel.unary_unary("/keywright.v1.KeyService/RevokeKey")(
            body, metadata=metadata, timeout=timeout
        )
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK

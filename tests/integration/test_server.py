"""`keywright serve` begins to serve when it can, says what it waits for, and never guesses."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.security.pepper import PepperRing
from keywright.storage import migrate
from tests.support.database import TIMEOUT, Cluster
from tests.support.proxy import proxy
from tests.support.service import (
    PATIENCE_SECONDS,
    Caller,
    Process,
    first_admin,
    refusal,
    serve,
)

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING
PEPPERS = [base64.b64encode(bytes([number]) * 32).decode() for number in range(2)]
ANY_TOKEN = "kw_live_" + "0" * 61


@asynccontextmanager
async def _channel(process: Process) -> AsyncIterator[grpc.aio.Channel]:
    target = (await process.logged("listening"))["listen"]
    async with grpc.aio.insecure_channel(target) as channel:
        yield channel


async def _health(channel: grpc.aio.Channel) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest())).status


async def _serves(channel: grpc.aio.Channel) -> None:
    """Wait until the server says by itself that it serves."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for update in stub.Watch(health_pb2.HealthCheckRequest()):
            if update.status == SERVING:
                return


async def _waits(process: Process, channel: grpc.aio.Channel, why: str) -> None:
    """The server waits, says so and why, and answers everybody that it is unavailable."""
    line = await process.logged("not ready yet")
    assert line["level"] == "warning"
    assert why in line["error"]
    assert line["attempt"] == 1
    assert line["retry_in"] > 0
    assert await _health(channel) == NOT_SERVING
    caller = Caller(channel, ANY_TOKEN)
    for call in (caller.authenticate(ANY_TOKEN), caller.list_keys()):
        refused = await refusal(call)
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SERVER_UNAVAILABLE"
    assert process.process.returncode is None


async def _ended(process: Process) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.ended()
    status = process.process.returncode
    assert status is not None
    told = "\n".join(line for line in process.raw if not line.startswith("{"))
    assert "Traceback" not in told
    return status, told


async def _run(dsn: str, *statements: str) -> Sequence[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetch(statements[-1])
    finally:
        await connection.close()


async def test_a_database_that_is_down_at_the_start_is_waited_for(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    token = await first_admin(dsn)
    async with (
        proxy(dsn) as door,
        serve(door.dsn) as process,
        _channel(process) as channel,
    ):
        await _waits(process, channel, "No such file or directory")
        await door.accept()
        await _serves(channel)
        await Caller(channel, token).authenticate(token)


@pytest.mark.parametrize(
    ("part", "why"),
    [("password", "password authentication failed"), ("database", "does not exist")],
)
async def test_what_the_database_refuses_at_the_start_is_said(
    cluster: Cluster, part: str, why: str
) -> None:
    parts = urlsplit(await cluster.migrated())
    wrong = {
        "password": parts._replace(netloc=parts.netloc.replace(parts.password or "", "no")),
        "database": parts._replace(path="/no_such_database"),
    }[part]
    async with serve(urlunsplit(wrong)) as process, _channel(process) as channel:
        await _waits(process, channel, why)


async def test_pending_migrations_are_waited_for_and_the_command_is_told(
    cluster: Cluster,
) -> None:
    dsn = await cluster.empty()
    async with serve(dsn) as process, _channel(process) as channel:
        await _waits(process, channel, "run `keywright db migrate`")
        await migrate.migrate(dsn, migrate.load(), timeout=TIMEOUT)
        await _serves(channel)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "INSERT INTO keywright.schema_migration VALUES (9999, 'from_the_future', 'x')",
            "newer keywright",
        ),
        ("UPDATE keywright.schema_migration SET checksum = 'x' WHERE number = 1", "edited"),
    ],
)
async def test_a_database_that_does_not_fit_the_program_ends_it(
    cluster: Cluster, change: str, why: str
) -> None:
    dsn = await cluster.migrated()
    await _run(dsn, change, "SELECT")
    async with serve(dsn) as process:
        status, told = await _ended(process)
    assert status == 1
    assert why in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "peppers", ["", f"1:{PEPPERS[1]}", f"2:{PEPPERS[0]}"], ids=["missing", "differs", "renumbered"]
)
async def test_without_the_right_pepper_nobody_is_judged(cluster: Cluster, peppers: str) -> None:
    dsn = await cluster.migrated()
    parts = await Parts.open(Config(peppers=PepperRing.parse(f"1:{PEPPERS[0]}", None)), dsn)
    bootstrap = await parts.bootstrap()
    await bootstrap.first_admin("default", "admin@localhost")
    await parts.close()
    async with serve(dsn, peppers=peppers) as process, _channel(process) as channel:
        await _waits(process, channel, "pepper")


async def test_a_pepper_that_no_hash_needs_may_go(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    one, two = (f"{number + 1}:{pepper}" for number, pepper in enumerate(PEPPERS))
    for peppers in (one, f"{one},{two}", two):
        parts = await Parts.open(Config(peppers=PepperRing.parse(peppers, None)), dsn)
        await parts.bootstrap()  # agrees on peppers, or raises
        await parts.close()


async def test_an_address_in_use_is_named_with_the_setting_to_change(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    async with serve(dsn, metrics_listen="127.0.0.1:0") as first:
        listen = (await first.logged("listening"))["listen"]
        metrics = (await first.logged("serving metrics"))["listen"]
        for setting, address in (("listen", listen), ("metrics_listen", metrics)):
            async with serve(dsn, **{setting: address}) as second:
                status, told = await _ended(second)
            assert status == 1
            assert address in told
            assert f"KEYWRIGHT_{setting.upper()}" in told


async def test_plain_text_on_all_networks_needs_to_be_allowed(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    async with serve(dsn, listen="0.0.0.0:0") as process:
        status, told = await _ended(process)
    assert status == 78
    assert "KEYWRIGHT_ALLOW_PLAINTEXT" in told
    async with serve(dsn, listen="0.0.0.0:0", allow_plaintext="true") as process:
        assert (await process.logged("listening"))["listen"].startswith("0.0.0.0:")


async def test_a_unix_socket_can_be_listened_on(cluster: Cluster, tmp_path: Path) -> None:
    dsn = await cluster.migrated()
    token = await first_admin(dsn)
    address = f"unix:{tmp_path}/keywright.sock"
    async with serve(dsn, listen=address) as process, _channel(process) as channel:
        await _serves(channel)
        await Caller(channel, token).list_keys()
        assert (await process.logged("call"))["peer"] == ""
        assert (await process.logged("listening"))["listen"] == address


async def test_what_is_logged_before_and_after_serving_is_json_only(cluster: Cluster) -> None:
    async with serve(await cluster.migrated()) as process, _channel(process) as channel:
        await _serves(channel)
        assert await process.stop() == 0
        await process.ended()
    assert [json.loads(line)["event"] for line in process.raw][-2:] == ["stopping", "stopped"]
    assert process.printed == []

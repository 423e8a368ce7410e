"""The commands of who runs a server: what they print, and how they end."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.database import Cluster
from tests.support.service import Caller, running, serve

KEYWRIGHT = [sys.executable, "-m", "keywright"]


@dataclass(frozen=True)
class Ended:
    """What a command that ended by itself left."""

    status: int
    printed: str
    told: str


async def run(*argv: str, cwd: Path | None = None, **settings: str) -> Ended:
    """Run `keywright` with settings as in KEYWRIGHT_... variables, lower-case."""
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")},
        **{f"KEYWRIGHT_{key.upper()}": value for key, value in settings.items()},
        "COLUMNS": "200",
    }
    async with running([*KEYWRIGHT, *argv], environ, cwd) as process:
        await process.process.wait()
        await process.ended()
    status = process.process.returncode
    assert status is not None
    told = "\n".join(process.raw)
    assert "Traceback" not in told
    return Ended(status, "\n".join(process.printed), told)


async def authenticates(dsn: str, *tokens: str) -> list[str]:
    """Who the tokens are, asked of a server on the database."""
    async with serve(dsn) as process:
        target = (await process.logged("listening"))["listen"]
        async with grpc.aio.insecure_channel(target) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            async for update in stub.Watch(health_pb2.HealthCheckRequest()):
                if update.status == health_pb2.HealthCheckResponse.SERVING:
                    break
            return [
                (await Caller(channel, token).authenticate(token)).user.email for token in tokens
            ]


async def test_serve_without_a_database_says_what_to_set_and_starts_none(tmp_path: Path) -> None:
    ended = await run("serve", cwd=tmp_path)
    assert ended.status == 78
    assert "KEYWRIGHT_DATABASE_URL" in ended.told
    assert "keywright dev" in ended.told
    assert list(tmp_path.iterdir()) == []


async def test_every_mistake_in_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keywright.toml"
    file.write_text('listne = "127.0.0.1:1"\nshutdown_grace = "soon"\n')
    ended = await run(
        "serve", "--config", str(file), database_pool_sise="5", log_level="loud", listen="nowhere"
    )
    assert ended.status == 78
    for mistake in (
        "listne",
        "KEYWRIGHT_SHUTDOWN_GRACE",
        "KEYWRIGHT_DATABASE_POOL_SISE",
        "KEYWRIGHT_LOG_LEVEL",
        "KEYWRIGHT_LISTEN",
    ):
        assert mistake in ended.told
    assert "did you mean" in ended.told


@pytest.mark.slow
async def test_a_database_is_prepared_and_its_first_admin_made_by_commands(
    cluster: Cluster,
) -> None:
    dsn = await cluster.empty()
    status = await run("db", "status", database_url=dsn)
    assert status.status == 1
    assert "0001" in status.printed
    assert "pending" in status.printed
    listed = json.loads((await run("db", "status", "-o", "json", database_url=dsn)).printed)
    assert listed[0] == {"number": 1, "title": "initial", "apply_time": None}

    migrated = await run("db", "migrate", database_url=dsn)
    assert migrated.status == 0
    assert migrated.printed == ""
    assert "0001" in migrated.told
    assert "up to date" in migrated.told
    again = await run("db", "migrate", "-o", "json", database_url=dsn)
    assert again.status == 0
    assert json.loads(again.printed) == {"applied": []}
    listed = json.loads((await run("db", "status", "-o", "json", database_url=dsn)).printed)
    assert listed[0]["apply_time"] is not None

    status = await run("db", "status", database_url=dsn)
    assert status.status == 0
    assert "pending" not in status.printed

    you = "you@acme.example"
    first = await run("db", "bootstrap", "--workspace", "acme", "--admin", you, database_url=dsn)
    assert first.status == 0
    assert first.printed.startswith("kw_live_")  # alone on stdout: ADMIN=$(...) works
    assert first.printed not in first.told
    second = await run("db", "bootstrap", "--workspace", "acme", database_url=dsn)
    assert second.status == 1
    assert second.printed == ""
    assert "admin-token" in second.told

    replaced = await run(
        "db", "admin-token", "--workspace", "acme", "--user", you, database_url=dsn
    )
    assert replaced.status == 0
    assert replaced.printed != first.printed
    assert await authenticates(dsn, first.printed, replaced.printed) == [you, you]


@pytest.mark.parametrize("command", ["migrate", "status", "bootstrap", "admin-token"])
async def test_a_database_that_is_not_there_is_told_with_the_reason(command: str) -> None:
    ended = await run(
        "db", command, database_url="postgresql://keywright:secret-word@127.0.0.1:1/keywright"
    )
    assert ended.status == 1
    assert ended.printed == ""
    assert "cannot be reached" in ended.told
    assert "refused" in ended.told.lower() or "connect" in ended.told.lower()
    assert "secret-word" not in ended.told


async def test_a_token_for_nobody_is_refused(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    ended = await run("db", "admin-token", "--user", "nobody@x.example", database_url=dsn)
    assert ended.status == 1
    assert ended.printed == ""
    assert "nobody@x.example" in ended.told

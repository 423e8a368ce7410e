"""Several server processes on one database, each of which a test may stop, kill and cut off."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from keywright.wire.sealing import Seal
from tests.support.database import Cluster
from tests.support.proxy import Proxy, proxy
from tests.support.service import Caller, Service, another, first_admin, service

LEASE = timedelta(seconds=1)
"""L of the servers, unless a test says otherwise; their default."""


@dataclass
class Replica:
    """One process. `door` is its way to the database, if the test holds that in its hand."""

    number: int
    service: Service
    door: Proxy | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.service.process.process.pid

    def pause(self) -> None:
        """Let it stand still, as a machine does that swaps or is migrated."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """End it without a word."""
        await self.service.process.stop(signal.SIGKILL)


@dataclass
class Fleet:
    """All processes of an installation; `operator` is a token that may see all workspaces."""

    replicas: Sequence[Replica]
    operator: str
    lease: timedelta
    seal: Seal

    @property
    def first(self) -> Service:
        """The service of the first process: its first admin is the admin of all."""
        return self.replicas[0].service

    def admin(self, number: int = 0) -> Caller:
        """The admin of the workspace `default`, at one of the processes."""
        replica = self.replicas[number].service
        return replica.as_caller(self.first.admin_token)

    def revision(self, sealed: str) -> int | None:
        """The number in an opaque revision; None if the reply had none."""
        return self.seal.position(sealed, "revision").revision if sealed else None

    async def move_on(self, change: str, key_id: str) -> None:
        """Change a key behind the servers' backs, as a change of authority that all learn of.

        `change` is SQL, what to SET of `keywright.key`.
        """
        async with self.first.connection() as connection, connection.transaction():
            internal_id = await connection.fetchval(
                f"UPDATE keywright.key SET {change} WHERE key_id = $1 RETURNING id", key_id
            )
            await _advance(connection, internal_id)


async def _advance(connection: "asyncpg.Connection[asyncpg.Record]", key: int) -> UUID:
    tag: UUID = await connection.fetchval(
        """
        WITH moved AS (
            UPDATE keywright.authority_revision
            SET revision = revision + 1, tag = gen_random_uuid() RETURNING revision, tag
        ), changed AS (
            INSERT INTO keywright.authority_change (revision, tag, kind, changed)
            SELECT revision, tag, 'key', $1 FROM moved
        )
        SELECT tag FROM moved
        """,
        key,
    )
    return tag


@asynccontextmanager
async def fleet(
    cluster: Cluster,
    *,
    count: int = 3,
    lease: timedelta = LEASE,
    proxied: bool = False,
    build: Path | None = None,
    paths: Mapping[int, Path] | None = None,
    **settings: str,
) -> AsyncIterator[Fleet]:
    """Run `count` processes on a database of their own, ready to serve.

    `build` is a directory that Python takes `keywright` from, for all of them; `paths` are such
    directories for single ones. `proxied` puts a door between each process and the database.
    """
    dsn = await cluster.migrated()
    operator = await first_admin(dsn, "system")
    settings = {"lease_length": f"{lease // timedelta(milliseconds=1)}ms", **settings}
    async with AsyncExitStack() as stack:
        replicas: list[Replica] = []

        async def start(number: int, of: Service | None) -> Replica:
            door = None
            if proxied:
                door = await stack.enter_async_context(proxy(dsn))
                await door.accept()
            given = {"database_url": dsn if door is None else door.dsn, **settings}
            with pytest.MonkeyPatch.context() as patch:
                path = (paths or {}).get(number, build)
                if path is not None:
                    patch.setenv("PYTHONPATH", str(path))
                running = service(dsn, **given) if of is None else another(of, **given)
                replica = Replica(number, await stack.enter_async_context(running), door)
            # A process that stands still cannot end in good order.
            stack.callback(_let_run, replica)
            return replica

        replicas.append(await start(0, None))
        for number in range(1, count):
            replicas.append(await start(number, replicas[0].service))
        async with replicas[0].service.connection() as connection:
            signing_key = await connection.fetchval(
                "SELECT signing_key FROM keywright.installation"
            )
        yield Fleet(replicas, operator, lease, Seal(signing_key))


def _let_run(replica: Replica) -> None:
    if replica.service.process.process.returncode is None:
        replica.go_on()


async def eventually_serving(replica: Replica) -> None:
    """Wait until a process answers calls again."""
    async with asyncio.timeout(30):
        await replica.service.becomes(1)

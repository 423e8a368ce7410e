"""After a start, the keys that were used most of late are known before they are asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from tests.integration.test_imported_limits import count
from tests.support.database import Cluster
from tests.support.service import Service, another, refusal, service
from tests.support.waiting import locked_table

COUNTED = {"usage_interval": "1s"}
MEASURED = {"metrics_listen": "127.0.0.1:0"}


async def used(running: Service, keys: int) -> None:
    """Wait until the usage of so many keys is in the database."""
    async with asyncio.timeout(20):
        while True:
            [row] = await running.quietly(
                "SELECT count(DISTINCT key_id) FROM keywright.key_usage WHERE outcome = 'ALLOWED'"
            )
            if row["count"] >= keys:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def started_again(running: Service, keys: int) -> AsyncIterator[Service]:
    """Another server, which has looked so many keys up by itself."""
    async with another(running, **MEASURED) as fresh:
        async with asyncio.timeout(20):
            while await count(fresh, "keywright_warm_up_keys") < keys:
                pass
        yield fresh


async def test_a_key_in_use_is_answered_without_the_database_at_its_first_call(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), **COUNTED) as running:
        keys = [await running.admin.create_key() for _ in range(3)]
        for key in keys:
            await running.admin.authenticate(key.token)
        unused = await running.admin.create_key()
        await used(running, len(keys) + 1)  # the admin's own is one
        async with started_again(running, len(keys) + 1) as fresh:
            await fresh.admin.authenticate(fresh.admin_token)
            async with locked_table(fresh.dsn, "keywright.key_secret") as table:
                for key in keys:
                    known = await fresh.admin.authenticate(key.token)
                    assert known.credential.name == key.key.name
                cold = asyncio.create_task(fresh.admin.authenticate(unused.token))
                await table.waited_for(1)
                await table.let_go()
                assert (await cold).credential.name == unused.key.name


async def test_what_falls_after_it_was_looked_up_ahead_is_dead(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **COUNTED) as running:
        key = await running.admin.create_key()
        await running.admin.authenticate(key.token)
        await used(running, 2)
        async with started_again(running, 2) as fresh:
            await running.admin.revoke_key(key.key.name)
            refused = await refusal(fresh.admin.authenticate(key.token))
            assert refused.reason == "KEY_REVOKED"


async def test_the_secret_has_to_be_right_all_the_same(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), **COUNTED) as running:
        key = await running.admin.create_key()
        await running.admin.authenticate(key.token)
        await used(running, 2)
        made = TokenFormat()
        other = replace(made.parse(key.token), secret=Secret(b"x" * 32))
        async with started_again(running, 2) as fresh:
            refused = await refusal(fresh.admin.authenticate(made.render(other).reveal()))
            assert refused.reason == "TOKEN_UNKNOWN"
            await fresh.admin.authenticate(key.token)

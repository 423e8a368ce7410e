"""A client that is given a name: all servers of that name take its calls, and it looks again."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from keywright.sdk import AsyncClient, DeadlineExceeded, Unavailable
from keywright.sdk.connection.address import Address
from tests.support.database import Cluster
from tests.support.names import Names, names
from tests.support.service import Service, another, service

pytestmark = pytest.mark.slow

GET_USER = "/keywright.v1.UserService/GetUser"
PATIENCE = 60
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture(name="dns")
async def _dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Names]:
    """The DNS server that clients ask, where it is usually that of the machine."""
    parse = Address.parse
    async with names(FIRST, SECOND) as server:

        def parsed(uri: str) -> Address:
            found = parse(uri)
            return replace(
                found, target=found.target.replace("dns:///", f"dns://{server.address}/")
            )

        monkeypatch.setattr(Address, "parse", parsed)
        yield server


async def took_a_call(server: Service) -> None:
    await server.process.each_logged("call", "method", [GET_USER])


async def test_servers_behind_one_name_share_the_calls_and_a_new_one_is_found(
    cluster: Cluster, dns: Names
) -> None:
    everything = {"access_log": "all"}
    async with service(await cluster.migrated(), listen=f"{FIRST}:0", **everything) as first:
        port = first.uri.rpartition(":")[2]
        client = AsyncClient(
            f"grpc://keys.test:{port}",
            first.admin_token,
            workspace="default",
            allow_plaintext=True,
        )
        async with client, another(first, listen=f"{SECOND}:{port}", **everything) as second:
            for _ in range(20):
                await client.users.get("admin")
            await took_a_call(first)
            await took_a_call(second)

            first.process.process.send_signal(signal.SIGKILL)
            for _ in range(20):
                await client.users.get("admin")

            async with another(first, listen=f"{THIRD}:{port}", **everything) as third:
                dns.addresses = [THIRD]
                await second.process.stop(signal.SIGKILL)
                await answered(client)
                await took_a_call(third)


async def answered(client: AsyncClient) -> None:
    """Ask until there is an answer: a name is looked up again within seconds, not at once."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(Unavailable, DeadlineExceeded):
                await client.users.get("admin")
                return

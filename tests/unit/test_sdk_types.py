"""What type checkers know of both clients: `make lint` fails if one of these is not so."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from keywright import AsyncClient, Client
from keywright.sdk import CreatedKey, ImportResult, Key, Principal, User
from keywright.sdk.connection.flow import AsyncItems, Items, Page


def of_who_blocks(client: Client) -> None:
    assert_type(client.whoami(), Principal)
    assert_type(client.keys.get("k"), Key)
    assert_type(client.keys.create(name="CI", ttl=timedelta(weeks=2)), CreatedKey)
    assert_type(client.keys.list(user="ann"), Items[Key])
    assert_type(next(client.keys.list()), Key)
    assert_type(client.keys.list().page("token"), Page[Key])
    with client as same:
        assert_type(same, Client)
    client.keys.create(ttl=2)  # type: ignore[arg-type]
    client.keys.get()  # type: ignore[call-arg]
    client.keys.list(usr="ann")  # type: ignore[call-arg]


async def of_who_awaits(client: AsyncClient) -> None:
    assert_type(await client.whoami(), Principal)
    assert_type(await client.users.create("ann@acme.example", role="member"), User)
    task = asyncio.create_task(client.keys.get("k"))
    assert_type(task, asyncio.Task[Key])
    await assert_type(client.keys.get("k"), Coroutine[Any, Any, Key])
    listed = client.keys.list(user="ann")
    assert_type(listed, AsyncItems[Key])
    assert_type(await listed.page(), Page[Key])
    assert_type([key async for key in listed], list[Key])
    async with client as same:
        assert_type(same, AsyncClient)
    await client.keys.get("k", wait=False)  # type: ignore[call-arg]
    list(client.keys.list())  # type: ignore[call-overload]


def imported(client: Client, awaiting: AsyncClient) -> None:
    assert_type(next(client.keys.import_keys(_FORMAT, [])), ImportResult)
    assert_type(awaiting.keys.import_keys(_FORMAT, []), AsyncIterator[ImportResult])


_FORMAT: Any = None


async def test_what_is_to_be_awaited_can_be() -> None:
    async with AsyncClient("127.0.0.1:1", "own") as client:
        getting = client.keys.get("k")
        assert inspect.iscoroutine(getting)
        getting.close()
        assert isinstance(client.keys.list(), AsyncIterator)

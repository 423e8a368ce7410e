"""What is denied or noticed is in the audit trail: at once, then once a minute, with a count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.domain.errors import Reason
from keywright.domain.keys import parse_address
from keywright.service.notices import DeniedCall, Notices
from keywright.storage.database import Database
from tests.support.credentials import credential, known, principal
from tests.support.database import TIMEOUT, Cluster
from tests.support.service import PARENT, Service, another, refusal, service

ROUNDS_OF_MINUTE = 60
LOOK_AGAIN = "SELECT pg_sleep(0.02)"


async def noticed(service: Service, **where: Any) -> list[dict[str, Any]]:
    """The events that were no mutations', oldest first, with these values."""
    rows = await service.sql(
        "SELECT * FROM keywright.audit_event WHERE outcome <> 'DONE' ORDER BY create_time, id"
    )
    return [dict(row) for row in rows if where.items() <= dict(row).items()]


async def until_noticed(service: Service, **where: Any) -> dict[str, Any]:
    """Wait for the first event with these values."""
    async with asyncio.timeout(20):
        while not (found := await noticed(service, **where)):
            await service.sql(LOOK_AGAIN)
    return found[0]


# --- tripwires --------------------------------------------------------------------------------


async def a_dead_token_trips(running: Service) -> None:
    """One is noticed by the next look at what is to be noticed."""
    created = await running.admin.create_key()
    await running.admin.revoke_key(created.key.name)
    await refusal(running.admin.authenticate(created.token))
    await refusal(running.admin.get_key(f"{PARENT}/keys/never"))
    await until_noticed(running, action="GetKey")
    found = await noticed(running, resource=created.key.name)
    assert [each["action"] for each in found] == ["RevokedTokenPresented"]


async def test_a_revoked_token_that_is_presented_again_is_noticed(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as running:
        await a_dead_token_trips(running)


async def dead_tokens_trip_together(running: Service, second: Service) -> None:
    """A revoked secret at two servers: an event at once, and one for the rest at the end."""
    created = await running.admin.create_key()
    name = created.key.name
    await running.admin.revoke_key(name)
    for address in ("192.0.2.1", "192.0.2.2"):
        await refusal(running.admin.authenticate(created.token, client_address=address))
    first = await until_noticed(running, resource=name)
    for server in (running, second, second):
        await refusal(server.admin.authenticate(created.token, client_address="192.0.2.3"))
    await refusal(second.as_caller(created.token).list_keys())
    for server in (running, second):
        await server.process.stop()

    found = await noticed(running, resource=name)
    assert found[0]["id"] == first["id"]
    assert sum(each["count"] for each in found) == 6
    assert len(found) <= 3
    for each in found:
        assert each["action"] == "RevokedTokenPresented"
        assert (each["outcome"], each["reason"]) == ("NOTICED", "KEY_REVOKED")
        assert (each["actor"], each["credential"]) == ("", "")
        assert (each["first_time"] is not None) == (each["count"] > 1)
    assert first["client_address"] in {"192.0.2.1", "192.0.2.2"}
    assert {each["client_address"] for each in found[1:]} == {"192.0.2.3", "127.0.0.1"}


async def test_a_revoked_token_that_is_presented_again_is_noticed_by_all_servers_together(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated()) as running, another(running) as second:
        await dead_tokens_trip_together(running, second)


async def test_a_retired_token_that_is_presented_again_is_noticed(service: Service) -> None:
    created = await service.admin.create_key()
    await service.admin.do("RotateKey", name=created.key.name)
    await refusal(service.admin.authenticate(created.token, client_address="2001:db8::7"))
    event = await until_noticed(service, resource=created.key.name)
    assert event["action"] == "RetiredTokenPresented"
    assert (event["outcome"], event["reason"]) == ("NOTICED", "TOKEN_RETIRED")
    assert (event["client_address"], event["count"]) == ("2001:db8::7", 1)
    assert event["first_time"] is None
    assert event["workspace_id"] == "default"


async def test_what_is_denied_otherwise_is_no_tripwire(service: Service) -> None:
    created = await service.admin.create_key()
    dead = await service.admin.create_key()
    await service.admin.revoke_key(dead.key.name)
    await service.admin.do("DisableKey", name=created.key.name)
    await refusal(service.admin.authenticate(created.token))
    await refusal(service.admin.authenticate(created.token[:-1] + "0"))
    await refusal(service.admin.authenticate(dead.token))
    await until_noticed(service, resource=dead.key.name)
    assert not await noticed(service, resource=created.key.name)


# --- denied calls -----------------------------------------------------------------------------


async def a_denied_call_is_told(running: Service) -> None:
    """It is noticed by the next look at what is to be noticed."""
    dead = await running.admin.create_key()
    await running.admin.revoke_key(dead.key.name)
    await refusal(running.admin.get_key(f"{PARENT}/keys/never"))
    await refusal(running.admin.authenticate(dead.token))
    await until_noticed(running, resource=dead.key.name)
    assert await noticed(running, action="GetKey")


async def denied_calls_are_noticed(running: Service) -> None:
    """By whom, with what, from where, why, and about what."""
    cat = await running.person("cat")
    (own,) = (await cat.list_keys()).keys
    key = (await running.admin.create_key()).key.name
    caller = running.as_caller(cat.token, ("x-request-id", "denied-call-1"))
    await refusal(caller.do("ListUsers", parent="workspaces/system"))
    await refusal(caller.do("RevokeKey", name=key))
    await refusal(caller.do("UpdateKey", key={"name": key, "display_name": "mine"}))
    await refusal(caller.do("CreateRole", parent=PARENT, role_id="r", role={}))

    for action, reason, resource in (
        ("ListUsers", "RESOURCE_NOT_FOUND", "workspaces/system"),
        ("RevokeKey", "RESOURCE_NOT_FOUND", key),
        ("UpdateKey", "RESOURCE_NOT_FOUND", key),
        ("CreateRole", "CALLER_PERMISSION_MISSING", PARENT),
    ):
        event = await until_noticed(running, action=action, actor=f"{PARENT}/users/cat")
        assert (event["outcome"], event["reason"]) == ("DENIED", reason)
        assert (event["resource"], event["workspace_id"]) == (resource, "default")
        assert (event["credential"], event["actor_email"]) == (own.name, "cat@example.com")
        assert (event["client_address"], event["call_id"]) == ("127.0.0.1", "denied-call-1")
        assert event["count"] == 1


async def test_a_denied_call_is_in_the_trail(service: Service) -> None:
    await denied_calls_are_noticed(service)


async def test_what_is_wrong_but_not_denied_is_not_noticed(service: Service) -> None:
    dee = await service.person("dee")
    await refusal(dee.do("GetKey", name="no name"))
    await refusal(dee.do("ListKeys", parent=PARENT, page_token="x"))
    await refusal(dee.authenticate(service.admin_token))
    await refusal(dee.do("ListUsers", parent=f"{PARENT}x"))
    actor = f"{PARENT}/users/dee"
    await until_noticed(service, actor=actor, action="ListUsers")
    assert len(await noticed(service, actor=actor)) == 1


async def a_flood_leaves_few_rows(running: Service) -> None:
    """Thousands of calls that guess names: some rows, whose counts add up."""
    eve = await running.person("eve")

    async def guess(numbers: range) -> None:
        for number in numbers:
            await refusal(eve.do("GetKey", name=f"{PARENT}/keys/guess-{number}"))

    await asyncio.gather(*(guess(range(first, 2000, 8)) for first in range(8)))
    await running.process.stop()
    found = await noticed(running, actor=f"{PARENT}/users/eve")
    assert sum(each["count"] for each in found) == 2000
    assert len(found) <= 2 * 22
    (folded, *_) = [each for each in found if each["resource"] == PARENT]
    assert folded["client_address"] == ""
    assert (folded["action"], folded["reason"]) == ("GetKey", "RESOURCE_NOT_FOUND")


async def test_a_flood_of_denied_calls_leaves_few_rows_whose_counts_add_up(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated()) as running:
        await a_flood_leaves_few_rows(running)


# --- the minute -------------------------------------------------------------------------------


@asynccontextmanager
async def noticing(database: str) -> AsyncIterator[Notices]:
    """The notices of a server, without one: their clock is how often they are written."""
    opened = await Database.open(database, size=2, connect_timeout=TIMEOUT,
                                 statement_timeout=TIMEOUT)  # fmt: skip
    try:
        yield Notices(opened)
    finally:
        await opened.close()


NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = known(replace(credential(), record=replace(credential().key, internal_id=7)))


def presents(notices: Notices, second: int, *, address: str = "192.0.2.1") -> None:
    now = NOW + timedelta(seconds=second)
    notices.token_denied(KEY, Reason.KEY_REVOKED, now.timestamp(), parse_address(address))


def is_denied(
    notices: Notices,
    number: int,
    *,
    of: str = "u1",
    key: str = "k1",
    reason: Reason = Reason.RESOURCE_NOT_FOUND,
) -> None:
    """A call of the user `of` with one of its keys."""
    caller = principal(credential())
    named = replace(
        caller.credential,
        record=replace(caller.credential.key, key_id=key),
        user=replace(caller.user, user_id=of),
    )
    resource = f"{PARENT}/keys/guess-{number}"
    notices.call_denied(
        DeniedCall(replace(caller, credential=named), "GetKey", reason, resource, None, "")
    )


async def told(notices: Notices) -> list[tuple[Any, ...]]:
    """Count, first time and address of all events, in their order."""
    rows = await notices.database.pool.fetch(
        "SELECT count, first_time, client_address FROM keywright.audit_event ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def a_minute_passes(notices: Notices, *, rounds: int = ROUNDS_OF_MINUTE) -> None:
    """On the database's clock, and on that of some servers."""
    await notices.database.pool.execute(
        "UPDATE keywright.notice SET notice_time = notice_time - interval '1 minute'"
    )
    for _ in range(rounds):
        await notices.write()


async def test_the_first_is_written_at_once_and_the_others_when_the_minute_is_over(
    database: str,
) -> None:
    async with noticing(database) as notices:
        presents(notices, 0)
        await notices.write()
        assert await told(notices) == [(1, None, "192.0.2.1")]
        presents(notices, 1)
        presents(notices, 2, address="192.0.2.2")
        for _ in range(ROUNDS_OF_MINUTE - 1):
            await notices.write()
        assert len(await told(notices)) == 1
        await a_minute_passes(notices)
        assert (await told(notices))[1:] == [(2, NOW + timedelta(seconds=1), "192.0.2.2")]
        await a_minute_passes(notices)
        assert notices.waiting == 0
        assert len(await told(notices)) == 2


async def test_two_servers_share_the_minute_of_a_key(database: str) -> None:
    async with noticing(database) as one, noticing(database) as other:
        presents(one, 0)
        presents(other, 0)
        await asyncio.gather(one.write(), other.write())
        assert len(await told(one)) == 1
        presents(one, 3)
        presents(other, 3)
        for _ in range(ROUNDS_OF_MINUTE + 1):
            await asyncio.gather(one.write(), other.write())
        assert len(await told(one)) == 1
        await a_minute_passes(one)
        await a_minute_passes(other, rounds=ROUNDS_OF_MINUTE)
        await a_minute_passes(one)
        assert sum(count for count, *_ in await told(one)) == 4
        assert len(await told(one)) <= 3


async def notices_that_cannot_be_written_are_kept(database: str) -> None:
    async with noticing(database) as notices:
        presents(notices, 0)
        await notices.database.pool.execute("ALTER TABLE keywright.notice RENAME TO hidden")
        with pytest.raises(Exception, match="notice"):
            await notices.write()
        presents(notices, 1)
        await notices.database.pool.execute("ALTER TABLE keywright.hidden RENAME TO notice")
        await notices.write()
        assert await told(notices) == [(2, NOW, "192.0.2.1")]


async def test_what_cannot_be_written_is_kept(database: str) -> None:
    await notices_that_cannot_be_written_are_kept(database)


async def test_what_one_credential_is_denied_is_told_apart_up_to_a_bound(database: str) -> None:
    async with noticing(database) as notices:
        for number in range(1000):
            is_denied(notices, number)
            is_denied(notices, number, reason=Reason.CALLER_PERMISSION_MISSING)
        is_denied(notices, 0, of="other")
        assert notices.waiting == 20 + 2 + 1
        await notices.write()
        assert sum(count for count, *_ in await told(notices)) == 2001
        await a_minute_passes(notices)
        assert notices.waiting == 0


async def test_a_flood_beyond_all_bounds_is_counted_as_dropped_and_slows_nobody(
    database: str,
) -> None:
    async with noticing(database) as notices:
        notices.max_count = 100
        for number in range(5000):
            is_denied(notices, number, of=f"u{number}")
        assert (notices.waiting, notices.dropped) == (100, 4900)
        await notices.write()
        assert len(await told(notices)) == 100


async def test_no_number_of_keys_and_users_of_one_workspace_hides_a_dead_token(
    database: str,
) -> None:
    async with noticing(database) as notices:
        for number in range(5000):
            is_denied(notices, number, key=f"k{number}")
        assert notices.waiting == 20 + 1
        for number in range(5000):
            is_denied(notices, number, of=f"u{number}")
        assert notices.waiting == 1000
        presents(notices, 0)
        assert notices.waiting == 1001


async def test_a_clock_that_goes_back_silences_nothing(database: str) -> None:
    async with noticing(database) as notices:
        presents(notices, 0)
        await notices.write()
        await notices.database.pool.execute(
            "UPDATE keywright.notice SET notice_time = now() + interval '1 day'"
        )
        for _ in range(ROUNDS_OF_MINUTE):
            await notices.write()
        presents(notices, 1)
        await notices.write()
        assert [count for count, *_ in await told(notices)] == [1, 1]


async def test_what_is_left_is_written_at_the_end_whosever_minute_it_is(database: str) -> None:
    async with noticing(database) as notices:
        presents(notices, 0)
        await notices.write()
        presents(notices, 1)
        await notices.finish()
        assert [count for count, *_ in await told(notices)] == [1, 1]


async def test_whose_minute_is_over_is_forgotten(database: str) -> None:
    async with noticing(database) as notices:
        presents(notices, 0)
        await notices.write()
        await a_minute_passes(notices, rounds=0)
        pruned = await notices.database.writing(lambda writes: writes.notices.prune(10))
        assert pruned == 1

"""What callers who must repeat a call rely on (AIP-155)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from keywright.service.retention import Retention
from keywright.storage.database import Database
from tests.support.database import TIMEOUT, Cluster
from tests.support.proxy import proxy
from tests.support.service import PARENT, Caller, Service, another, refusal, service

AT_ONCE = 12


@pytest.fixture(scope="module", name="second")
async def _second(service: Service) -> AsyncIterator[Service]:
    """Another server on the same database."""
    async with another(service) as running:
        yield running


async def keys_called(service: Service, name: str) -> int:
    (row,) = await service.sql("SELECT count(*) FROM keywright.key WHERE display_name = $1", name)
    return int(row[0])


async def create(caller: Caller, name: str, request_id: str) -> Any:
    return await caller.do(
        "CreateKey", parent=PARENT, key={"display_name": name}, request_id=request_id
    )


async def one_key_of_many_calls(first: Service, second: Service) -> None:
    """The same request by many at once, over two servers."""
    callers = [first.admin, second.admin] * (AT_ONCE // 2)
    replies = await asyncio.gather(*(create(each, "wanted-once", "at-once") for each in callers))
    assert await keys_called(first, "wanted-once") == 1
    assert len({reply.key.name for reply in replies}) == 1
    shown = [reply.token for reply in replies if reply.token]
    assert len(shown) == 1
    assert sum(not reply.replayed for reply in replies) == 1
    assert (await first.admin.authenticate(shown[0])).workspace == PARENT


async def test_of_the_same_request_at_once_over_two_servers_one_is_done_and_all_are_told(
    service: Service, second: Service
) -> None:
    await one_key_of_many_calls(service, second)


async def test_a_commit_whose_reply_was_lost_is_repeated_without_harm(cluster: Cluster) -> None:
    async with proxy(await cluster.migrated()) as door:
        await door.accept()
        async with service(door.dsn) as running:
            # Other work commits as well, now and then.
            door.when_answered("COMMIT", door.cut, after="INSERT INTO keywright.request_id")
            lost = await refusal(create(running.admin, "once", "lost-reply"))
            assert "request_id" in lost.message
            await running.becomes(1)
            again = await create(running.admin, "once", "lost-reply")
            assert again.replayed
            assert await keys_called(running, "once") == 1


async def test_a_call_that_failed_leaves_its_id_free(service: Service) -> None:
    parent = {"parent": PARENT, "key_id": "free-id", "request_id": "failed-first"}
    refused = await refusal(
        service.admin.do("CreateKey", key={"user": f"{PARENT}/users/nobody"}, **parent)
    )
    assert refused.reason == "RESOURCE_NOT_FOUND"
    created = await service.admin.do("CreateKey", key={}, **parent)
    assert created.token
    assert not created.replayed


async def test_anothers_id_is_another_id(service: Service) -> None:
    ann, ben = await service.person("ann-id"), await service.person("ben-id")
    first = await create(ann, "own", "shared")
    second = await create(ben, "own", "shared")
    assert not second.replayed
    assert second.token
    assert second.key.user != first.key.user


async def test_the_same_id_for_another_method_is_another_id(service: Service) -> None:
    created = await create(service.admin, "two methods", "of-both")
    name = created.key.name
    revoked = await service.admin.do("RevokeKey", name=name, request_id="of-both")
    assert not revoked.replayed


async def test_a_repetition_is_told_what_was_even_if_the_resource_is_gone(service: Service) -> None:
    created = await create(service.admin, "short-lived", "gone-since")
    await service.admin.delete_key(created.key.name)
    again = await create(service.admin, "short-lived", "gone-since")
    assert again.replayed
    assert again.key.name == created.key.name
    assert await keys_called(service, "short-lived") == 0


async def test_a_repetition_that_would_fail_by_now_is_told_what_was(service: Service) -> None:
    """The key was changed since, and then deleted: neither would be found as it is asked for."""
    ensured = {"parent": PARENT, "key_id": "ensured-once", "request_id": "ensured-once"}
    first = await service.admin.do("EnsureKey", key={"display_name": "as made"}, **ensured)
    rotated = {"name": first.key.name, "request_id": "rotated-once"}
    second = await service.admin.do("RotateKey", **rotated)
    await service.admin.do("UpdateKey", key={"name": first.key.name, "display_name": "changed"})
    again = await service.admin.do("EnsureKey", key={"display_name": "as made"}, **ensured)
    assert (again.replayed, again.created, again.token) == (True, True, "")
    assert again.key.display_name == "as made"
    await service.admin.delete_key(first.key.name)
    again = await service.admin.do("RotateKey", **rotated)
    assert (again.replayed, again.key.prefix) == (True, second.key.prefix)


async def test_another_key_of_the_user_is_not_told_what_the_first_one_did(service: Service) -> None:
    """It may be narrowed, and not see what it asks for."""
    narrow = service.as_caller((await service.admin.create_key(scopes=["datasets.read"])).token)
    made = await service.admin.create_key()
    request = {"name": made.key.name, "request_id": "by-the-wide-key"}
    await service.admin.do("RevokeKey", **request)
    refused = await refusal(narrow.do("RevokeKey", **request))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_the_audit_event_has_the_id(service: Service) -> None:
    created = await create(service.admin, "audited", "seen-in-the-trail")
    rows = await service.sql(
        "SELECT resource FROM keywright.audit_event WHERE request_id = 'seen-in-the-trail'"
    )
    assert [row["resource"] for row in rows] == [created.key.name]


async def test_after_24_hours_an_id_is_new_again(service: Service) -> None:
    await create(service.admin, "yesterday", "daily")
    assert (await create(service.admin, "yesterday", "daily")).replayed
    await service.sql(
        "UPDATE keywright.request_id SET create_time = create_time - interval '24 hours' "
        "WHERE request_id = 'daily'"
    )
    today = await create(service.admin, "yesterday", "daily")
    assert today.token
    assert await keys_called(service, "yesterday") == 2


async def test_old_ids_are_forgotten_and_young_ones_are_not(service: Service) -> None:
    await create(service.admin, "old", "old-id")
    await create(service.admin, "young", "young-id")
    await service.sql(
        "UPDATE keywright.request_id SET create_time = create_time - interval '25 hours' "
        "WHERE request_id = 'old-id'"
    )
    database = await Database.open(
        service.dsn, size=1, connect_timeout=TIMEOUT, statement_timeout=timedelta(seconds=10)
    )
    try:
        await Retention(database, timedelta(days=400)).forget()
    finally:
        await database.close()
    rows = await service.sql(
        "SELECT request_id FROM keywright.request_id WHERE request_id = ANY($1)",
        ["old-id", "young-id"],
    )
    assert [row["request_id"] for row in rows] == ["young-id"]


async def test_no_token_is_kept_with_the_reply(service: Service) -> None:
    created = await create(service.admin, "secret", "keeps-no-secret")
    (row,) = await service.sql(
        "SELECT reply FROM keywright.request_id WHERE request_id = 'keeps-no-secret'"
    )
    assert created.key.name.encode() in row["reply"]
    assert created.token.encode() not in row["reply"]

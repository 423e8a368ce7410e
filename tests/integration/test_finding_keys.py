"""Keys that are ensured, looked up, sorted and counted; and when they were last used."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from keywright.v1 import key_pb2
from tests.support.database import Cluster
from tests.support.service import PARENT, Caller, Service, refusal, service


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def ensure(caller: Caller, key_id: str, **key: Any) -> Any:
    return await caller.do("EnsureKey", parent=PARENT, key_id=key_id, key=key_pb2.Key(**key))


# --- ensure -----------------------------------------------------------------------------------


async def test_a_key_is_ensured_once_and_its_token_shown_once(service: Service) -> None:
    wanted = {"display_name": "CI", "scopes": ["a.*", "b.c"], "labels": {"x": "y"}}
    first = await ensure(service.admin, "ci", **wanted)
    assert first.created
    assert first.token.startswith("kw_live_")

    wanted["scopes"] = ["b.c", "a.*"]  # their order says nothing
    again = await ensure(service.admin, "ci", **wanted)
    assert not again.created
    assert again.token == ""
    assert again.key == first.key
    await service.admin.authenticate(first.token)


async def test_a_key_that_is_another_is_told_by_what_differs(service: Service) -> None:
    await service.admin.create_user("ensured")
    await ensure(service.admin, "other", scopes=["a.*"], allowed_networks=["192.0.2.0/24"])

    other: dict[str, dict[str, Any]] = {
        "display_name": {"display_name": "x"},
        "scopes": {"scopes": ["a.b"]},
        "user": {"user": user("ensured@example.com")},
        "resource": {"resource": "projects/a"},
        "environment": {"environment": "test"},
        "labels": {"labels": {"a": "b"}},
        "role": {"role": f"{PARENT}/roles/labeler"},
        "rate_limit": {"rate_limit": {"requests": 1, "period": Duration(seconds=1)}},
        "allowed_networks": {"allowed_networks": ["192.0.2.0/25"]},
    }
    for attribute, wanted in other.items():
        same = {"scopes": ["a.*"], "allowed_networks": ["192.0.2.0/24"]}
        refused = await refusal(ensure(service.admin, "other", **{**same, **wanted}))
        assert refused.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.reason == "RESOURCE_ALREADY_EXISTS"
        assert refused.info.metadata["differs"] == attribute
        assert attribute in refused.message


async def test_a_key_that_is_over_is_not_ensured(service: Service) -> None:
    made = await ensure(service.admin, "over")
    await service.sql("UPDATE keywright.key SET expire_time = now() WHERE key_id = 'over'")
    refused = await refusal(ensure(service.admin, "over"))
    assert (refused.reason, refused.fields) == ("RESOURCE_ALREADY_EXISTS", ["key_id"])
    assert "expired" in refused.message
    await service.admin.revoke_key(made.key.name)
    assert "revoked" in (await refusal(ensure(service.admin, "over"))).message
    await service.admin.delete_key(made.key.name)
    assert (await ensure(service.admin, "over")).created


async def test_somebody_elses_key_is_not_shown_by_ensuring_it(service: Service) -> None:
    await ensure(service.admin, "secret-plans", display_name="hidden")
    ann = await service.person("ann-ensures")
    ensured = await refusal(ensure(ann, "secret-plans", display_name="hidden"))
    created = await refusal(ann.create_key(key_id="secret-plans"))
    assert (ensured.reason, ensured.message) == (created.reason, created.message)
    assert "differs" not in ensured.info.metadata


async def test_of_calls_at_the_same_time_one_creates_the_key_and_all_have_it(
    service: Service,
) -> None:
    replies = await asyncio.gather(*(ensure(service.admin, "raced") for _ in range(8)))
    assert [each.created for each in replies].count(True) == 1
    assert [bool(each.token) for each in replies].count(True) == 1
    assert len({each.key.create_time.ToNanoseconds() for each in replies}) == 1


async def test_calls_at_the_same_time_all_have_the_key_also_where_it_is_the_last_one_allowed(
    service: Service,
) -> None:
    robot = await service.admin.create_user("limited")
    await service.admin.do(
        "UpdateWorkspace",
        workspace={"name": PARENT, "policy": {"max_keys_per_user": 1}},
        update_mask={"paths": ["policy.max_keys_per_user"]},
    )
    try:
        replies = await asyncio.gather(
            *(ensure(service.admin, "last", user=robot.name) for _ in range(8))
        )
    finally:
        await service.admin.do(
            "UpdateWorkspace",
            workspace={"name": PARENT},
            update_mask={"paths": ["policy.max_keys_per_user"]},
        )
    assert [each.created for each in replies].count(True) == 1


async def test_a_key_is_ensured_also_after_the_default_environment_is_another(
    service: Service,
) -> None:
    first = await ensure(service.admin, "of-live")
    environments = {"name": PARENT, "environments": ["test", "live"]}
    await service.admin.do("UpdateWorkspace", workspace=environments)
    try:
        assert (await ensure(service.admin, "of-live")).key == first.key
        refused = await refusal(ensure(service.admin, "of-live", environment="test"))
        assert refused.info.metadata["differs"] == "environment"
    finally:
        environments["environments"] = ["live", "test"]
        await service.admin.do("UpdateWorkspace", workspace=environments)


async def test_identical_creations_at_the_same_time_make_one_key(service: Service) -> None:
    outcomes = await asyncio.gather(
        *(service.admin.create_key(key_id="twin") for _ in range(8)), return_exceptions=True
    )
    failed = [each for each in outcomes if isinstance(each, Exception)]
    assert len(failed) == 7
    assert {getattr(each, "reason", each) for each in failed} == {"RESOURCE_ALREADY_EXISTS"}
    keys = (await service.admin.list_keys(page_size=1000)).keys
    assert [key.name for key in keys].count(f"{PARENT}/keys/twin") == 1


# --- look up ----------------------------------------------------------------------------------


async def test_a_key_is_found_by_the_prefix_of_any_of_its_tokens(service: Service) -> None:
    created = await service.admin.create_key()
    rotated = await service.admin.do("RotateKey", name=created.key.name)
    for prefix in (created.key.prefix, rotated.key.prefix):
        found = await service.admin.do("LookupKey", parent=PARENT, prefix=prefix)
        assert found.key.name == created.key.name
        assert found.key.prefix == rotated.key.prefix


async def test_a_prefix_that_is_not_ones_own_to_see_is_not_found(service: Service) -> None:
    created = await service.admin.create_key()
    ann = await service.person("ann-looks")
    hidden = await refusal(ann.do("LookupKey", parent=PARENT, prefix=created.key.prefix))
    missing = await refusal(ann.do("LookupKey", parent=PARENT, prefix="0" * 12))
    assert hidden.reason == missing.reason == "RESOURCE_NOT_FOUND"
    assert hidden.message.replace(created.key.prefix, "0" * 12) == missing.message


async def test_a_token_is_no_prefix_and_is_not_repeated(service: Service) -> None:
    created = await service.admin.create_key()
    for wrong in (created.token, created.key.prefix[:-1], created.key.prefix + "é", "%"):
        refused = await refusal(service.admin.do("LookupKey", parent=PARENT, prefix=wrong))
        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["prefix"])
        assert created.token not in refused.message + str(refused.status)


# --- lists ------------------------------------------------------------------------------------

PLACES = ["create_time", "display_name", "expire_time", "last_used_time", "rotate_time"]


@pytest.fixture(scope="module", name="shelf")
async def _shelf(service: Service) -> dict[str, key_pb2.Key]:
    """Keys whose order is another by each attribute, with equal and missing values."""
    now = datetime.now(UTC)
    names = ["Delta", "alpha", "", "Émile", "charlie", "alpha"]
    made = {}
    for number, name in enumerate(names):
        key_id = f"shelf-{number}"
        ttl = None if number % 2 else Duration(seconds=86400 * (7 - number // 2))
        created = await service.admin.create_key(
            key_id=key_id, display_name=name, labels={"shelf": "x"}, ttl=ttl
        )
        if number % 3:
            await service.sql(
                "UPDATE keywright.key SET last_used_time = $2 WHERE key_id = $1",
                key_id,
                now - timedelta(hours=number % 4),
            )
        made[key_id] = created.key
    for key_id in ("shelf-2", "shelf-0"):
        await service.admin.do("RotateKey", name=f"{PARENT}/keys/{key_id}")
    return made


async def listed(caller: Caller, order_by: str, page_size: int = 100) -> list[key_pb2.Key]:
    keys: list[key_pb2.Key] = []
    token = ""
    while True:
        page = await caller.list_keys(
            filter={"labels": {"shelf": "x"}},
            order_by=order_by,
            page_size=page_size,
            page_token=token,
        )
        keys += page.keys
        token = page.next_page_token
        if not token:
            return keys


def rank(place: str, key: key_pb2.Key) -> Any:
    """What a key is sorted by; a key that never expires is last, one never used first."""
    if place == "display_name":
        return key.display_name.lower().encode()
    if not key.HasField(place):  # type: ignore[arg-type]
        return float("inf") if place == "expire_time" else float("-inf")
    return getattr(key, place).ToMicroseconds()


@pytest.mark.parametrize("place", PLACES)
async def test_a_list_is_sorted_as_asked_over_all_its_pages(
    service: Service, shelf: dict[str, key_pb2.Key], place: str
) -> None:
    rising = await listed(service.admin, place)
    ranks = [rank(place, key) for key in rising]
    assert len(rising) == len(shelf)
    assert ranks == sorted(ranks)
    names = [key.name for key in rising]
    assert [key.name for key in await listed(service.admin, f"{place} desc")] == names[::-1]
    for page_size in (1, 2, 4):
        pages = await listed(service.admin, place, page_size)
        assert [key.name for key in pages] == names


async def test_a_list_is_newest_first_unless_asked_otherwise(
    service: Service, shelf: dict[str, key_pb2.Key]
) -> None:
    names = [key.name.rpartition("/")[2] for key in await listed(service.admin, "", 2)]
    assert names == sorted(shelf, reverse=True)


async def test_a_page_token_is_of_its_order(
    service: Service, shelf: dict[str, key_pb2.Key]
) -> None:
    page = await service.admin.list_keys(order_by="display_name", page_size=2)
    for other in ("", "display_name desc", "create_time"):
        refused = await refusal(
            service.admin.list_keys(order_by=other, page_size=2, page_token=page.next_page_token)
        )
        assert refused.reason == "PAGE_TOKEN_INVALID"


async def test_keys_are_counted_over_all_pages_if_asked(
    service: Service, shelf: dict[str, key_pb2.Key]
) -> None:
    of_shelf = {"labels": {"shelf": "x"}}
    page = await service.admin.list_keys(filter=of_shelf, page_size=2, include_total_size=True)
    assert (len(page.keys), page.total_size) == (2, len(shelf))
    assert (await service.admin.list_keys(filter=of_shelf)).total_size == 0
    ann = await service.person("ann-counts")
    assert (await ann.list_keys(include_total_size=True)).total_size == 1


async def test_lists_by_state_resource_and_expiry(service: Service) -> None:
    made = {
        state: await service.admin.create_key(resource="datasets/y", ttl=Duration(seconds=3600))
        for state in ("active", "disabled", "expired", "revoked")
    }
    await service.admin.do("DisableKey", name=made["disabled"].key.name)
    await service.admin.revoke_key(made["revoked"].key.name)
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() WHERE key_id = $1",
        made["expired"].key.name.rpartition("/")[2],
    )

    async def states(*numbers: int, **more: Any) -> set[str]:
        only = {"resource": "datasets/y", "states": numbers, **more}
        keys = (await service.admin.list_keys(filter=only)).keys
        return {state for state, each in made.items() if each.key.name in {k.name for k in keys}}

    assert await states() == {"active"}
    assert await states(3) == {"expired"}
    assert await states(4) == {"revoked"}
    assert await states(1, 2, 3) == {"active", "disabled", "expired"}
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert await states(1, 2, 3, expires_before=soon) == {"expired"}
    assert await states(1, 2, 3, expires_before=soon + timedelta(hours=1)) == {
        "active",
        "disabled",
        "expired",
    }


# --- last use ---------------------------------------------------------------------------------


async def test_when_and_whence_a_key_was_last_used_is_written_before_the_server_ends(
    cluster: Cluster,
) -> None:
    database = await cluster.migrated()
    async with service(database) as running:
        used = await running.admin.create_key()
        unused = await running.admin.create_key()
        denied = await running.admin.create_key(allowed_networks=["192.0.2.0/24"])
        began = datetime.now(UTC)
        await running.admin.authenticate(used.token, client_address="::ffff:192.0.2.9")
        await refusal(running.admin.authenticate(denied.token, client_address="198.51.100.1"))
        version = (await running.admin.get_key(used.key.name)).etag
        await running.process.stop()
        rows = await running.sql(
            "SELECT key_id, last_used_time, last_used_address, version FROM keywright.key"
        )
    by_id = {row["key_id"]: row for row in rows}
    found = by_id[used.key.name.rpartition("/")[2]]
    assert abs(found["last_used_time"] - began) < timedelta(minutes=1)
    assert str(found["last_used_address"]) == "192.0.2.9"
    assert version.startswith(f"v{found['version']}.")  # use is no change
    for other in (unused, denied):
        assert by_id[other.key.name.rpartition("/")[2]]["last_used_time"] is None
    (admin,) = [row for row in rows if row["last_used_address"] == by_id_address(rows)]
    assert admin["last_used_time"] is not None


def by_id_address(rows: Any) -> Any:
    """The address that the admin's own key called from."""
    (address,) = {row["last_used_address"] for row in rows if row["last_used_address"]} - {
        row["last_used_address"] for row in rows if str(row["last_used_address"]) == "192.0.2.9"
    }
    return address


async def test_the_last_use_is_shown_while_the_server_runs(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        created = await running.admin.create_key()
        await running.admin.authenticate(created.token)
        async with asyncio.timeout(20):
            while not (key := await running.admin.get_key(created.key.name)).HasField(
                "last_used_time"
            ):
                await running.admin.authenticate(created.token)
        assert key.last_used_address == ""
        unused = {"unused_since": key.last_used_time}
        names = [each.name for each in (await running.admin.list_keys(filter=unused)).keys]
        assert created.key.name not in names

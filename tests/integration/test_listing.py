"""Lists: which keys and users are in them, in which order, and page by page."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.v1 import key_pb2, user_pb2
from tests.support.service import ADMIN, PARENT, Caller, Service, refusal

State = key_pb2.KeyState


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def moment(ahead: timedelta) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime.now(UTC) + ahead)
    return message


async def listed(caller: Caller, **given: Any) -> list[str]:
    """The display names of the keys that match a filter."""
    found = await caller.list_keys(filter=key_pb2.KeyFilter(**given), page_size=1000)
    assert not found.next_page_token
    return [key.display_name for key in found.keys]


@pytest.fixture(scope="module", name="ann")
async def _ann(service: Service) -> Caller:
    """Somebody with a key of every sort, the newest named `plain`."""
    ann = await service.person("ann")
    admin, name = service.admin, user("ann")

    async def make(display_name: str, **given: Any) -> str:
        created = await admin.create_key(user=name, display_name=display_name, **given)
        return created.key.name

    await make("bound", resource="projects/a")
    await make("narrowed", role=f"{PARENT}/roles/labeler")
    await make("testing", environment="test")
    await make("labelled", labels={"team": "vision", "tier": "1"})
    await make("expiring", expire_time=moment(timedelta(hours=1)))
    await make("100% Real_Name\\")
    await admin.revoke_key(await make("revoked"))
    expired = await make("expired", expire_time=moment(timedelta(hours=1)))
    disabled = await make("disabled")
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() WHERE key_id = $1", expired.rpartition("/")[2]
    )
    await service.sql(
        "UPDATE keywright.key SET state = 'DISABLED' WHERE key_id = $1",
        disabled.rpartition("/")[2],
    )
    await ann.create_key(display_name="plain")
    return ann


ACTIVE = ["plain", "100% Real_Name\\", "expiring", "labelled", "testing", "narrowed", "bound", ""]


async def test_a_list_has_the_active_keys_newest_first(ann: Caller) -> None:
    assert await listed(ann) == ACTIVE


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.KEY_STATE_REVOKED], ["revoked"]),
        ([State.KEY_STATE_EXPIRED], ["expired"]),
        ([State.KEY_STATE_DISABLED], ["disabled"]),
        ([State.KEY_STATE_DISABLED, State.KEY_STATE_REVOKED], ["disabled", "revoked"]),
    ],
)
async def test_other_states_are_listed_when_asked_for(
    ann: Caller, states: list[int], expected: list[str]
) -> None:
    assert await listed(ann, states=states) == expected
    found = await ann.list_keys(filter=key_pb2.KeyFilter(states=states))  # type: ignore[arg-type]
    assert {key.state for key in found.keys} == set(states)


async def test_all_states_together_are_all_keys(ann: Caller) -> None:
    every = [value for value in State.values() if value]

    assert len(await listed(ann, states=every)) == len(ACTIVE) + 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"resource": "projects/a"}, ["bound"]),
        ({"resource": "projects"}, []),
        ({"role": f"{PARENT}/roles/LABELER"}, ["narrowed"]),
        ({"environment": "test"}, ["testing"]),
        ({"environment": "other"}, []),
        ({"labels": {"team": "vision"}}, ["labelled"]),
        ({"labels": {"team": "vision", "tier": "1"}}, ["labelled"]),
        ({"labels": {"team": "vision", "tier": "2"}}, []),
        ({"expires_before": moment(timedelta(hours=2))}, ["expiring"]),
        ({"expires_before": moment(timedelta(minutes=5))}, []),
        ({"creator": user("ann")}, ["plain"]),
        ({"creator": user("ANN@example.com"), "user": user("ann")}, ["plain"]),
        ({"unrotated_since": moment(timedelta(hours=1))}, ACTIVE),
        ({"unrotated_since": moment(timedelta(hours=-1))}, []),
        ({"search": "REAL_"}, ["100% Real_Name\\"]),
        ({"search": "100%"}, ["100% Real_Name\\"]),
        ({"search": "Name\\"}, ["100% Real_Name\\"]),
        ({"search": "a%l"}, []),
        ({"search": "_"}, ["100% Real_Name\\"]),
        ({"search": "ANN@example"}, ACTIVE),
        ({"environment": "live", "search": "lab"}, ["labelled"]),
    ],
)
async def test_a_filter_leaves_exactly_what_matches_it(
    ann: Caller, given: dict[str, Any], expected: list[str]
) -> None:
    assert await listed(ann, **given) == expected


async def test_a_key_is_found_by_part_of_its_prefix(ann: Caller) -> None:
    plain = (await ann.list_keys(page_size=1)).keys[0]

    for part in (plain.prefix, plain.prefix[:10], plain.prefix[2:].lower()):
        assert "plain" in await listed(ann, search=part)


async def test_an_admin_lists_everybody_s_keys_or_one_user_s(service: Service, ann: Caller) -> None:
    every = [key.user for key in (await service.admin.list_keys()).keys]

    assert {user("ann"), ADMIN} <= set(every)
    for named in (user("ann"), user("Ann@Example.com")):
        assert await listed(service.admin, user=named) == ACTIVE
    assert "plain" not in await listed(service.admin, user=ADMIN)


async def test_a_member_lists_its_own_keys_and_no_others(service: Service, ann: Caller) -> None:
    bea = await service.person("bea")

    assert [key.user for key in (await bea.list_keys()).keys] == [user("bea")]
    assert len(await listed(bea, user=user("bea@example.com"))) == 1
    error = await refusal(listed(bea, user=user("ann")))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.info.metadata["permission"] == "keys.any"
    assert await listed(bea, creator=user("ann")) == []


async def test_filters_by_what_is_not_there_are_not_found(service: Service) -> None:
    for given in (
        {"user": user("nobody")},
        {"creator": user("nobody")},
        {"role": f"{PARENT}/roles/no-such"},
        {"user": "workspaces/system/users/admin"},
        {"role": "workspaces/system/roles/admin"},
    ):
        error = await refusal(listed(service.admin, **given))
        assert error.reason == "RESOURCE_NOT_FOUND", given
    error = await refusal(service.admin.list_keys(parent="workspaces/system"))
    assert error.reason == "RESOURCE_NOT_FOUND"


# --- pages ------------------------------------------------------------------------------------


async def test_paging_sees_each_key_once_while_keys_come_and_go(service: Service) -> None:
    cem = await service.person("cem")
    for number in range(24):
        await cem.create_key(display_name=f"{number}")
    names = {key.display_name: key.name for key in (await cem.list_keys(page_size=100)).keys}

    seen: list[str] = []
    token = ""
    for page in itertools.count():
        found = await cem.list_keys(page_size=5, page_token=token)
        seen += [key.display_name for key in found.keys]
        assert len(found.keys) <= 5
        token = found.next_page_token
        if not token:
            break
        await cem.create_key(display_name=f"new {page}")  # before the beginning by now
        await cem.revoke_key(names.pop(seen[-1]))  # seen already
        if page == 1:
            await cem.revoke_key(names.pop("3"))  # not seen yet
            await cem.delete_key(names.pop("2"))

    assert len(seen) == len(set(seen))
    assert set(names) <= set(seen)
    assert not {"2", "3"} & set(seen)
    assert not any(name.startswith("new") for name in seen)
    assert seen == sorted(seen, key=lambda name: int(name or -1), reverse=True)


async def test_the_last_page_says_so_and_pages_may_change_their_size(service: Service) -> None:
    dan = await service.person("dan")
    for number in range(5):
        await dan.create_key(display_name=f"{number}")

    whole = await dan.list_keys(page_size=6)
    assert len(whole.keys) == 6
    assert whole.next_page_token == ""
    first = await dan.list_keys(page_size=1)
    rest = await dan.list_keys(page_size=100, page_token=first.next_page_token)
    assert [*first.keys, *rest.keys] == list(whole.keys)
    assert rest.next_page_token == ""


async def test_fifty_are_on_a_page_unless_asked_otherwise_and_never_more_than_a_thousand(
    service: Service,
) -> None:
    eve = await service.person("eve")
    await service.sql(
        """
        WITH made AS (
            INSERT INTO keywright.key
                (workspace, key_id, owner, owner_user_id, creator_user_id, environment)
            SELECT u.workspace, 'bulk-' || n, u.id, u.user_id, u.user_id, 'live'
            FROM keywright.user u, generate_series(1, 1100) n WHERE u.user_id = 'eve'
            RETURNING id
        )
        INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash)
        SELECT id, lpad(id::text, 12, '0'), '12345678'::bytea, '' FROM made
        """
    )

    assert len((await eve.list_keys()).keys) == 50
    assert len((await eve.list_keys(page_size=2_000_000)).keys) == 1000


async def test_a_page_token_is_good_for_its_caller_and_its_query_only(
    service: Service, ann: Caller
) -> None:
    fay = await service.person("fay", "admin")
    token = (await service.admin.list_keys(page_size=1)).next_page_token
    users_token = (await service.admin.list_users(page_size=1)).next_page_token
    assert token
    assert users_token
    live = key_pb2.KeyFilter(environment="live")

    for call in (
        fay.list_keys(page_token=token),
        service.admin.list_keys(page_token=token, filter=live),
        service.admin.list_keys(page_token=users_token),
        service.admin.list_users(page_token=token),
        service.admin.list_keys(page_token=token[:-2]),
        service.admin.list_keys(page_token="AAAA"),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("PAGE_TOKEN_INVALID", ["page_token"])
    error = await refusal(service.admin.list_keys(page_size=-1))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["page_size"])


# --- users ------------------------------------------------------------------------------------


async def users_listed(caller: Caller, **given: Any) -> list[str]:
    found = await caller.list_users(filter=user_pb2.UserFilter(**given), page_size=1000)
    return [each.name.rpartition("/")[2] for each in found.users]


@pytest.fixture(scope="module", name="crowd")
async def _crowd(service: Service) -> str:
    """Users whose names and labels begin with what is returned."""
    admin = service.admin
    await admin.create_user("crowd-1", "labeler", labels={"crowd": "1"}, display_name="One_of 100%")
    await admin.create_user("crowd-2", "member", labels={"crowd": "2"}, external_id="ext-2")
    await admin.create_user("crowd-3", "guest", kind=user_pb2.USER_KIND_SERVICE)
    await admin.disable_user(user("crowd-2"))
    return "crowd"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["crowd-3", "crowd-2", "crowd-1"]),
        ({"states": [user_pb2.USER_STATE_DISABLED]}, ["crowd-2"]),
        ({"states": [user_pb2.USER_STATE_ACTIVE]}, ["crowd-3", "crowd-1"]),
        ({"kinds": [user_pb2.USER_KIND_SERVICE]}, ["crowd-3"]),
        ({"role": f"{PARENT}/roles/Labeler"}, ["crowd-1"]),
        ({"external_id": "ext-2"}, ["crowd-2"]),
        ({"labels": {"crowd": "1"}}, ["crowd-1"]),
        ({"search": "one_"}, ["crowd-1"]),
        ({"search": "100%"}, ["crowd-1"]),
        ({"search": "CROWD-2@"}, ["crowd-2"]),
        ({"search": "crowd%3"}, []),
    ],
)
async def test_users_are_listed_newest_first_and_by_filter(
    service: Service, crowd: str, given: dict[str, Any], expected: list[str]
) -> None:
    found = await users_listed(service.admin, **given)

    assert [name for name in found if name.startswith(crowd)] == expected


async def test_paging_sees_each_user_once_while_users_come(service: Service, crowd: str) -> None:
    for number in range(12):
        await service.admin.create_user(f"page-{number}")
    before = await users_listed(service.admin)

    seen: list[str] = []
    token = ""
    for page in itertools.count():
        found = await service.admin.list_users(page_size=4, page_token=token)
        seen += [each.name.rpartition("/")[2] for each in found.users]
        token = found.next_page_token
        if not token:
            break
        await service.admin.create_user(f"page-new-{page}")
    assert seen == before

"""How much keys are used: every decision is counted, on whichever server, and people can ask."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from signal import SIGKILL
from typing import Any

import grpc
import pytest

from keywright.v1 import error_reason_pb2, usage_service_pb2
from tests.support.database import Cluster
from tests.support.service import ADMIN, PARENT, Caller, Service, another, refusal, service
from tests.support.waiting import held_key

HOUR = timedelta(hours=1)
_TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
# The Monday that the made-up usage begins at: over for long, and not so long that it is forgotten.
MONDAY = _TODAY - timedelta(weeks=26, days=_TODAY.weekday())


async def counts(service: Service, name: str) -> dict[str, int]:
    """What is written of a key, by outcome, over all hours."""
    rows = await service.sql(
        "SELECT outcome, sum(count)::bigint AS count FROM keywright.key_usage "
        "WHERE key_id = $1 GROUP BY 1",
        name.rpartition("/")[2],
    )
    return {row["outcome"]: row["count"] for row in rows}


async def used_at(service: Service, name: str) -> Any:
    (row,) = await service.sql(
        "SELECT last_used_time, last_used_address FROM keywright.key WHERE key_id = $1",
        name.rpartition("/")[2],
    )
    return row


async def until_used(service: Service, name: str) -> None:
    """Wait until the last use of a key is written."""
    async with asyncio.timeout(20):
        while (await used_at(service, name))["last_used_time"] is None:
            await service.sql("SELECT pg_sleep(0.05)")


# --- counting ---------------------------------------------------------------------------------


async def every_decision_is_counted(running: Service) -> None:
    """Allowed and denied ones by reason, those about callers, too; a stop loses none."""
    admin = running.admin
    bound = await admin.create_key(resource="projects/a", scopes=["datasets.read"])
    caller = running.as_caller((await admin.create_key(key_id="caller")).token)
    for _ in range(3):
        await caller.authenticate(bound.token, resource="projects/a")
    for asked in (
        {"resource": "projects/b"},
        {"resource": "projects/c"},
        {},
        {"resource": "projects/a", "required_permissions": ["datasets.write"]},
    ):
        await refusal(caller.authenticate(bound.token, **asked))
    await refusal(caller.authenticate(f"{bound.token[:-1]}x"))
    await admin.revoke_key(bound.key.name)
    await refusal(caller.authenticate(bound.token, resource="projects/a"))
    await refusal(running.as_caller(bound.token).list_keys())
    await running.process.stop()

    assert await counts(running, bound.key.name) == {
        "ALLOWED": 3,
        "RESOURCE_MISMATCH": 2,
        "RESOURCE_REQUIRED": 1,
        "PERMISSION_MISSING": 1,
        "KEY_REVOKED": 2,
    }
    assert await counts(running, "caller") == {"ALLOWED": 9}


async def test_every_decision_is_counted_by_its_outcome(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as running:
        await every_decision_is_counted(running)


async def counts_survive_a_failed_writing(running: Service) -> None:
    """While the table takes nothing, counts are kept."""
    created = await running.admin.create_key()
    await running.sql("ALTER TABLE keywright.key_usage RENAME TO hidden")
    before = len(running.process.log)
    await running.admin.authenticate(created.token)
    await running.process.logged("background work failed", after=before)
    await running.sql("ALTER TABLE keywright.hidden RENAME TO key_usage")
    await running.process.stop()
    assert await counts(running, created.key.name) == {"ALLOWED": 1}


async def test_what_cannot_be_written_is_written_later(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        await counts_survive_a_failed_writing(running)


async def test_two_servers_count_the_same_keys_without_losing_or_waiting_for_each_other(
    cluster: Cluster,
) -> None:
    async with AsyncExitStack() as open_:
        settings = {"usage_interval": "1s"}
        first = await open_.enter_async_context(service(await cluster.migrated(), **settings))
        second = await open_.enter_async_context(another(first, **settings))
        created = [await first.admin.create_key() for _ in range(8)]
        done: Counter[str] = Counter()

        async def use(running: Service, turns: Sequence[int]) -> None:
            for turn in turns:
                key = created[turn % len(created)]
                if turn % 3:
                    await running.admin.authenticate(key.token)
                    done[f"{key.key.name} ALLOWED"] += 1
                else:
                    await refusal(
                        running.admin.authenticate(key.token, required_environment="test")
                    )
                    done[f"{key.key.name} ENVIRONMENT_MISMATCH"] += 1

        # Long enough for both to write meanwhile, several times.
        end = asyncio.get_running_loop().time() + 2.5
        while asyncio.get_running_loop().time() < end:
            await asyncio.gather(
                use(first, range(40)), use(second, range(39, -1, -1)), use(second, range(17))
            )
        for running in (first, second):
            await running.process.stop()
        written = Counter(
            {
                f"{key.key.name} {outcome}": count
                for key in created
                for outcome, count in (await counts(first, key.key.name)).items()
            }
        )
    assert written == done


async def test_a_server_that_is_killed_loses_no_more_than_it_had_not_written(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        created = await running.admin.create_key()
        await running.admin.authenticate(created.token)
        async with asyncio.timeout(20):
            while not await counts(running, created.key.name):
                await running.sql("SELECT pg_sleep(0.05)")
        written = await counts(running, created.key.name)
        await running.admin.authenticate(created.token)
        await running.process.stop(SIGKILL)
        left = await counts(running, created.key.name)
    assert written == {"ALLOWED": 1}
    assert left["ALLOWED"] in {1, 2}


async def test_usage_that_is_too_old_is_forgotten(cluster: Cluster) -> None:
    database = await cluster.migrated()
    async with service(database, usage_retention="31d") as running:
        await made_up(running, {("old", -24 * 32, "ALLOWED"): 5, ("new", -24 * 30, "ALLOWED"): 7})
        parts = await _parts(running, usage_retention=timedelta(days=31))
        try:
            await parts.retention.forget()
        finally:
            await parts.close()
        assert await counts(running, "old") == {}
        assert await counts(running, "new") == {"ALLOWED": 7}


# --- last use ---------------------------------------------------------------------------------


async def the_last_use_outlasts_a_change(running: Service) -> None:
    """It is passed over while somebody changes the key, and written after that."""
    created, other = await running.admin.create_key(), await running.admin.create_key()
    async with held_key(running.dsn, created.key.name) as held:
        await running.admin.authenticate(created.token)
        await running.admin.authenticate(other.token)
        await until_used(running, other.key.name)
        assert (await used_at(running, created.key.name))["last_used_time"] is None
        await held.let_go()
    await running.process.stop()
    assert (await used_at(running, created.key.name))["last_used_time"] is not None


async def test_a_use_while_somebody_changes_the_key_is_written_later(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        await the_last_use_outlasts_a_change(running)


async def unused_is_exact_while_keys_change(running: Service, second: Service) -> None:
    """A key that is used at two servers while somebody changes it was used when it was last."""
    created = await running.admin.create_key()
    name = created.key.name
    async with held_key(running.dsn, name) as held:
        await running.admin.authenticate(created.token, client_address="192.0.2.1")
        (between,) = await running.sql("SELECT clock_timestamp() AS now")
        await second.admin.authenticate(created.token, client_address="192.0.2.2")
        other = await running.admin.create_key()
        await running.admin.authenticate(other.token)
        await until_used(running, other.key.name)
        assert (await used_at(running, name))["last_used_time"] is None
        await held.let_go()
    await second.process.stop()
    await running.process.stop()

    last = await used_at(running, name)
    assert last["last_used_time"] is not None
    assert last["last_used_time"] > between["now"]
    assert str(last["last_used_address"]) == "192.0.2.2"


async def test_the_last_use_is_exact_also_while_the_key_is_being_changed(
    cluster: Cluster,
) -> None:
    settings = {"usage_interval": "1s"}
    async with (
        service(await cluster.migrated(), **settings) as running,
        another(running, **settings) as second,
    ):
        await unused_is_exact_while_keys_change(running, second)


async def test_a_server_that_ends_waits_for_who_changes_a_key(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as running:
        created = await running.admin.create_key()
        await running.admin.authenticate(created.token)
        async with held_key(running.dsn, created.key.name) as held:
            stopping = asyncio.create_task(running.process.stop())
            await held.waited_for()
            await held.let_go()
            assert await stopping == 0
        assert (await used_at(running, created.key.name))["last_used_time"] is not None


# --- questions --------------------------------------------------------------------------------


async def made_up(service: Service, usage: dict[tuple[str, int, str], int]) -> None:
    """Usage of keys, which are made where there are none: by key, hours since Monday, outcome.

    Hours below zero are before now.
    """
    for (key_id, hour, outcome), count in usage.items():
        await service.sql(
            """
            INSERT INTO keywright.key_usage (key, hour, outcome, count, workspace, key_id)
            SELECT coalesce((SELECT id FROM keywright.key WHERE key_id = $1),
                            1000000 + ascii($1)),
                   CASE WHEN $2 < 0 THEN date_trunc('hour', now()) ELSE $3 END
                       + $2 * interval '1 hour',
                   $4, $5, id, $1
            FROM keywright.workspace WHERE workspace_id = 'default'
            """,
            key_id,
            hour,
            MONDAY,
            outcome,
            count,
        )


async def _parts(service: Service, **settings: Any) -> Any:
    from keywright.app.composition import Parts
    from keywright.app.config import Config

    return await Parts.open(Config(argon2_threads=1, **settings), service.dsn)


async def points(caller: Caller, start: Any, end: Any = None, **asked: Any) -> list[Any]:
    """All points, over all pages: key, hours since Monday, allowed, denied by reason."""
    found: list[Any] = []
    token = ""
    while True:
        reply: usage_service_pb2.QueryUsageResponse = await caller.do(
            "QueryUsage",
            parent=PARENT,
            start_time=start,
            **({} if end is None else {"end_time": end}),
            page_token=token,
            **asked,
        )
        for point in reply.points:
            hours = (point.start_time.ToDatetime(tzinfo=UTC) - MONDAY) / HOUR
            denied = {
                error_reason_pb2.ErrorReason.Name(each.reason)[13:]: each.count
                for each in point.denials
            }
            found.append((point.key.rpartition("/")[2], int(hours), point.allowed_count, denied))
        token = reply.next_page_token
        if not token:
            return found


USAGE = {
    ("a", 1, "ALLOWED"): 10,
    ("a", 1, "KEY_EXPIRED"): 2,
    ("a", 1, "PERMISSION_MISSING"): 3,
    ("b", 1, "ALLOWED"): 20,
    ("a", 3, "ALLOWED"): 40,
    ("gone", 3, "ALLOWED"): 80,
    ("anns", 25, "ALLOWED"): 160,
    ("a", 26, "KEY_EXPIRED"): 5,
}


@pytest.fixture(scope="module", name="ann")
async def _ann(service: Service) -> Caller:
    """A member with a key of her own, beside two of the admin's, and one that is deleted."""
    ann = await service.person("ann")
    for key_id in ("a", "b"):
        await service.admin.create_key(key_id=key_id)
    await ann.create_key(key_id="anns")
    await made_up(service, USAGE)
    return ann


pytestmark = pytest.mark.usefixtures("ann")


async def test_points_come_by_hour_and_key(service: Service) -> None:
    assert await points(service.admin, MONDAY, MONDAY + 48 * HOUR) == [
        ("a", 1, 10, {"KEY_EXPIRED": 2, "PERMISSION_MISSING": 3}),
        ("b", 1, 20, {}),
        ("a", 3, 40, {}),
        ("gone", 3, 80, {}),
        ("anns", 25, 160, {}),
        ("a", 26, 0, {"KEY_EXPIRED": 5}),
    ]


async def test_points_come_by_day_or_as_a_sum_of_all_keys(service: Service) -> None:
    span = (MONDAY, MONDAY + 48 * HOUR)
    daily = await points(service.admin, *span, interval="USAGE_INTERVAL_DAY")
    assert daily == [
        ("a", 0, 50, {"KEY_EXPIRED": 2, "PERMISSION_MISSING": 3}),
        ("b", 0, 20, {}),
        ("gone", 0, 80, {}),
        ("a", 24, 0, {"KEY_EXPIRED": 5}),
        ("anns", 24, 160, {}),
    ]
    total = await points(service.admin, *span, grouping="USAGE_GROUPING_TOTAL")
    assert total == [
        ("", 1, 30, {"KEY_EXPIRED": 2, "PERMISSION_MISSING": 3}),
        ("", 3, 120, {}),
        ("", 25, 160, {}),
        ("", 26, 0, {"KEY_EXPIRED": 5}),
    ]
    assert await points(
        service.admin, *span, interval="USAGE_INTERVAL_DAY", grouping="USAGE_GROUPING_TOTAL"
    ) == [
        ("", 0, 150, {"KEY_EXPIRED": 2, "PERMISSION_MISSING": 3}),
        ("", 24, 160, {"KEY_EXPIRED": 5}),
    ]


@pytest.mark.parametrize("asked", [{}, {"interval": "USAGE_INTERVAL_DAY"},
                                   {"grouping": "USAGE_GROUPING_TOTAL"}])  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 4])
async def test_pages_have_every_point_once(
    service: Service, asked: dict[str, str], size: int
) -> None:
    span = (MONDAY, MONDAY + 48 * HOUR)
    whole = await points(service.admin, *span, **asked)
    assert await points(service.admin, *span, page_size=size, **asked) == whole
    assert len(whole) > 3


async def test_whole_hours_are_taken(service: Service) -> None:
    minute = timedelta(minutes=1)
    begins, ends = MONDAY + HOUR + 59 * minute, MONDAY + 3 * HOUR + minute
    assert [each[:2] for each in await points(service.admin, begins, ends)] == [
        ("a", 1), ("b", 1), ("a", 3), ("gone", 3),
    ]  # fmt: skip
    assert await points(service.admin, MONDAY + 2 * HOUR, MONDAY + 3 * HOUR) == []


async def test_without_an_end_it_is_until_now(service: Service) -> None:
    await made_up(service, {("b", -1, "ALLOWED"): 7})
    begins, key = datetime.now(UTC) - 2 * HOUR, f"{PARENT}/keys/b"
    found = await points(service.admin, begins, keys=[key])  # others are in use at this hour
    assert [(key, allowed) for key, _, allowed, _ in found] == [("b", 7)]


async def test_the_usage_of_some_keys_or_of_a_user_s(service: Service) -> None:
    span = (MONDAY, MONDAY + 48 * HOUR)
    named = await points(service.admin, *span, keys=[f"{PARENT}/keys/b", f"{PARENT}/keys/gone"])
    assert [each[0] for each in named] == ["b", "gone"]
    for user in (f"{PARENT}/users/ann", f"{PARENT}/users/ann@example.com"):
        assert await points(service.admin, *span, user=user) == [("anns", 25, 160, {})]
    both = await points(service.admin, *span, user=ADMIN, keys=[f"{PARENT}/keys/b"])
    assert both == [("b", 1, 20, {})]


async def test_the_usage_of_a_deleted_key_stays(service: Service) -> None:
    created = await service.admin.create_key(key_id="short")
    await made_up(service, {("short", 30, "ALLOWED"): 3})
    await service.admin.delete_key(created.key.name)
    span = (MONDAY + 30 * HOUR, MONDAY + 31 * HOUR)
    assert await points(service.admin, *span) == [("short", 30, 3, {})]
    assert await points(service.admin, *span, keys=[created.key.name]) == [("short", 30, 3, {})]


async def test_without_usage_read_there_are_one_s_own_keys_only(
    service: Service, ann: Caller
) -> None:
    span = (MONDAY, MONDAY + 48 * HOUR)
    own: list[Any] = [("anns", 25, 160, {})]
    assert await points(ann, *span) == own
    assert await points(ann, *span, keys=[f"{PARENT}/keys/anns"]) == own
    assert await points(ann, *span, user=f"{PARENT}/users/ann") == own
    total = await points(ann, *span, grouping="USAGE_GROUPING_TOTAL")
    assert total == [("", 25, 160, {})]
    assert await points(ann, *span, user=ADMIN) == []  # a member may know of the admin
    for hidden in ("a", "gone", "never"):
        error = await refusal(points(ann, *span, keys=[f"{PARENT}/keys/{hidden}"]))
        assert error.reason == "RESOURCE_NOT_FOUND"


async def test_who_has_usage_read_sees_the_usage_of_all_keys(service: Service) -> None:
    await service.admin.do(
        "CreateRole",
        parent=PARENT,
        role_id="meter",
        role={"permissions": ["usage.read"], "may_hold_keys": True},
    )
    meter = await service.person("meter", "meter")
    assert len(await points(meter, MONDAY, MONDAY + 28 * HOUR)) == 6


@pytest.mark.parametrize(
    "asked",
    [
        {"keys": [f"{PARENT}/keys/never"]},
        {"keys": [f"{PARENT}/keys/a", f"{PARENT}/keys/never"]},
        {"keys": ["workspaces/system/keys/a"]},
        {"user": f"{PARENT}/users/nobody"},
        {"user": "workspaces/system/users/ann"},
        {"parent": "workspaces/system"},
    ],
)
async def test_what_is_not_there_or_foreign_is_not_found(
    service: Service, asked: dict[str, Any]
) -> None:
    given = {"parent": PARENT, "start_time": MONDAY, "end_time": MONDAY + HOUR, **asked}
    error = await refusal(service.admin.do("QueryUsage", **given))
    assert error.reason == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "start_time"),
        ({"start_time": MONDAY - timedelta(days=3650), "end_time": MONDAY}, "end_time"),
        ({"start_time": MONDAY - timedelta(days=3650)}, "end_time"),
        ({"start_time": MONDAY, "end_time": MONDAY + timedelta(days=400, hours=1)}, "end_time"),
        ({"start_time": MONDAY, "end_time": MONDAY}, "request"),
        ({"start_time": MONDAY, "keys": ["a"]}, "keys[0]"),
        ({"start_time": MONDAY, "keys": [f"{PARENT}/keys/a"] * 101}, "keys"),
        ({"start_time": MONDAY, "interval": 9}, "interval"),
    ],
)
async def test_a_bad_question_names_its_field(
    service: Service, asked: dict[str, Any], field: str
) -> None:
    error = await refusal(service.admin.do("QueryUsage", parent=PARENT, **asked))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields == [field]


async def test_four_hundred_days_are_not_too_many(service: Service) -> None:
    assert len(await points(service.admin, MONDAY, MONDAY + timedelta(days=400))) >= 6


async def test_a_page_token_is_of_its_question(service: Service) -> None:
    given = {"parent": PARENT, "start_time": MONDAY, "end_time": MONDAY + 48 * HOUR}
    token = (await service.admin.do("QueryUsage", page_size=1, **given)).next_page_token
    for other in ({"interval": "USAGE_INTERVAL_DAY"}, {"end_time": MONDAY + 47 * HOUR}):
        call = service.admin.do("QueryUsage", page_token=token, **{**given, **other})
        assert (await refusal(call)).reason == "PAGE_TOKEN_INVALID"

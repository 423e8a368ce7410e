"""Months of the audit trail: made ahead, and removed when they are too old, so that it shows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from keywright.service.audit_retention import AuditRetention
from keywright.storage.database import Database
from keywright.v1 import audit_service_pb2 as pb
from tests.support.audit import Trail, new_trail, opened, sealer
from tests.support.database import Cluster
from tests.support.service import PARENT, Service, serve, service

MONTH = timedelta(days=31)
# Wholly before the month that is 31 days ago, whatever the day.
OLD = datetime.now(UTC) - timedelta(days=100)
MONTH_AHEAD = "SELECT (date_trunc('month', now()) + interval '2 months')::date"
MONTHS_LOCK = 0x6B777061  # of `audit_partitions`
PARTITION = f"keywright.audit_event_{OLD:%Y_%m}"


@pytest.fixture(name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    """A server that keeps everything, on a database of this test's own.

    It has made the months, as it does when it starts: for the next hour the months are the test's.
    """
    dsn = await cluster.migrated()
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        ahead = f"keywright.audit_event_{await pool.fetchval(MONTH_AHEAD):%Y_%m}"
        await pool.execute(f"DROP TABLE {ahead}")
        async with service(dsn) as running:
            async with asyncio.timeout(20):
                while not await exists(running, ahead):
                    pass
            # What the server held meanwhile is let go after its work can be seen.
            await pool.execute("SELECT pg_advisory_xact_lock($1)", MONTHS_LOCK)
            yield running


@pytest.fixture(name="database")
async def _database(service: Service) -> AsyncIterator[Database]:
    async with opened(service.dsn) as database:
        yield database


@pytest.fixture(name="trail")
async def _trail(service: Service, database: Database) -> Trail:
    """A trail with two seals of an old month between newer ones."""
    await service.sql("SELECT keywright.add_audit_partition($1)", OLD.date().replace(day=1))
    trail = await new_trail(service, database, 3)
    await trail.add(4, at=OLD)
    await trail.add(5, at=OLD)
    await trail.add(2)
    return trail


def retention(
    database: Database,
    time: timedelta | None = MONTH,
    held: Callable[[str], None] = lambda _workspace: None,
) -> AuditRetention:
    return AuditRetention(database, time, held)


async def exists(service: Service, table: str) -> bool:
    return (await service.sql("SELECT to_regclass($1)", table))[0][0] is not None


async def of_removal(trail: Trail) -> list[Any]:
    reply = await trail.admin.do(
        "ListAuditEvents", parent=trail.parent, filter={"actions": ["RemoveAuditEvents"]}
    )
    return list(reply.audit_events)


async def old_events(trail: Trail) -> int:
    count: int = await trail.value(
        "SELECT count(*) FROM keywright.audit_event WHERE workspace_id = $1"
        " AND create_time < now() - interval '90 days'"
    )
    return count


async def test_a_month_too_old_is_dropped_and_the_trail_says_so_and_verifies(
    trail: Trail, database: Database
) -> None:
    before = (await trail.verify()).event_count
    await trail.insert(1, at=OLD - timedelta(days=400))  # of a clock gone astray
    await trail.seal()
    await retention(database).run()
    assert not await exists(trail.service, PARTITION)
    assert await old_events(trail) == 0

    (event,) = await of_removal(trail)
    assert event.actor == "retention"
    assert event.resource == trail.parent
    (change,) = event.changes
    kept = (datetime.now(UTC) - MONTH).date().replace(day=1)
    assert (change.field, change.after) == ("removed_before", f'"{kept}"')
    assert (await trail.verify()).intact  # not sealed yet, or sealed
    await trail.seal()
    verified = await trail.verify()
    assert verified.intact
    assert verified.event_count == before + 2
    await retention(database).run()
    assert len(await of_removal(trail)) == 1


async def test_who_lost_nothing_is_told_nothing(trail: Trail, database: Database) -> None:
    await retention(database).run()
    reply = await trail.service.admin.do(
        "ListAuditEvents", parent=PARENT, filter={"actions": ["RemoveAuditEvents"]}
    )
    assert not reply.audit_events


async def removed_by_hand(trail: Trail) -> None:
    """Removed without the event that says so."""
    await trail.sql(f"DROP TABLE {PARTITION}")
    verified = await trail.verify()
    assert not verified.intact
    assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_EVENT_MISSING
    assert verified.first_break.seal.endswith(
        f"/{int(verified.last_seal.name.rpartition('/')[2]) + 1}"
    )


async def test_a_removal_that_the_trail_does_not_tell_of_is_shown(trail: Trail) -> None:
    await removed_by_hand(trail)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM keywright.audit_event WHERE id = {event}",
        "UPDATE keywright.audit_event SET action = 'UpdateKey' WHERE id = {event}",
    ],
)
async def test_a_removal_whose_event_was_tampered_with_is_shown(
    trail: Trail, database: Database, tampering: str
) -> None:
    await retention(database).run()
    await trail.seal()
    (event,) = await of_removal(trail)
    await trail.sql(tampering.format(event=event.name.rpartition("/")[2]))
    verified = await trail.verify()
    assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_EVENT_MISSING


async def test_an_event_made_into_one_of_a_removal_removes_nothing(trail: Trail) -> None:
    """Also for who verifies only what is newer than that event."""
    seals = await trail.seals()
    await trail.sql(
        "UPDATE keywright.audit_event SET action = 'RemoveAuditEvents',"
        """ change = '{"after": {"removed_before": "2999-01-01"}}' WHERE id ="""
        " (SELECT min(id) FROM keywright.audit_event WHERE workspace_id = $1)"
    )
    await trail.sql(f"DROP TABLE {PARTITION}")
    verified = await trail.verify(from_seal=seals[1])
    assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_EVENT_MISSING


async def test_a_removal_says_nothing_of_months_to_come(trail: Trail) -> None:
    await trail.sql(
        "INSERT INTO keywright.audit_event (workspace_id, action, resource, actor, credential,"
        " change) VALUES ($1, 'RemoveAuditEvents', '', 'retention', '',"
        """ '{"after": {"removed_before": "2999-01-01"}}')"""
    )
    await trail.seal()
    await trail.add(3)
    await trail.sql(f"DROP TABLE {PARTITION}")
    assert (await trail.verify()).intact
    await trail.sql(
        "DELETE FROM keywright.audit_event WHERE workspace_id = $1 AND seal ="
        " (SELECT max(number) FROM keywright.audit_seal WHERE workspace_id = $1)"
    )
    verified = await trail.verify()
    assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_EVENT_MISSING


async def test_what_remains_of_a_month_that_was_removed_must_still_be_whole(
    trail: Trail, database: Database
) -> None:
    await retention(database).run()
    await trail.add(3, at=OLD)  # of a clock that went back
    assert (await trail.verify()).intact
    await trail.sql(
        "DELETE FROM keywright.audit_event WHERE id = (SELECT min(id) FROM keywright.audit_event"
        " WHERE workspace_id = $1 AND create_time < now() - interval '90 days')"
    )
    verified = await trail.verify()
    assert verified.first_break.kind == pb.AUDIT_BREAK_KIND_EVENT_MISSING


async def test_what_is_not_sealed_is_not_removed(
    service: Service, trail: Trail, database: Database
) -> None:
    await trail.sql("DELETE FROM keywright.audit_chain WHERE workspace_id = $1")  # is not sealed
    await trail.insert(1, at=OLD)
    await sealer(database).run()
    told: list[str] = []
    await retention(database, held=told.append).run()
    assert await old_events(trail) == 10
    assert await exists(service, PARTITION)
    assert told == [trail.workspace_id]

    async with serve(trail.service.dsn, audit_retention="31d") as other:
        line = await other.logged("nothing is removed: old events are not sealed")
    assert (line["level"], line["workspace"]) == ("warning", trail.workspace_id)


async def test_a_removal_waits_for_nobody_and_comes_another_time(
    trail: Trail, database: Database
) -> None:
    reader = await asyncpg.connect(trail.service.dsn)
    try:
        await reader.execute("BEGIN; SELECT FROM keywright.audit_event LIMIT 1")
        with pytest.raises(Exception, match="try again"):
            await retention(database).run()
        assert await old_events(trail) == 9
        await reader.execute("ROLLBACK")
    finally:
        await reader.close()
    await retention(database).run()
    assert await old_events(trail) == 0


async def test_the_months_ahead_are_made_and_what_came_before_them_moves_in(
    trail: Trail, database: Database
) -> None:
    """A server that was away for months finds its first events in the default partition."""
    ahead = await trail.value(MONTH_AHEAD)
    partition = f"keywright.audit_event_{ahead:%Y_%m}"
    await trail.sql(f"DROP TABLE {partition}")
    await trail.add(3, at=datetime(ahead.year, ahead.month, 2, tzinfo=UTC))
    await retention(database, None).run()
    assert await trail.value(f"SELECT count(*) FROM {partition}") == 3
    assert await trail.value("SELECT count(*) FROM keywright.audit_event_default") == 0
    assert (await trail.verify()).intact


async def test_two_servers_remove_once(trail: Trail, database: Database) -> None:
    await asyncio.gather(retention(database).run(), retention(database).run())
    await retention(database).run()
    assert len(await of_removal(trail)) == 1


async def test_a_server_removes_what_is_older_than_its_setting_says(trail: Trail) -> None:
    async with serve(trail.service.dsn, audit_retention="31d"), asyncio.timeout(20):
        while await old_events(trail):  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.05)

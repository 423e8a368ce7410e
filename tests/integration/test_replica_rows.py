"""What a process reads of the history and says of itself, when something is wrong with either."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from keywright.domain.errors import Unavailable
from keywright.domain.position import Position
from keywright.storage.replicas import CHANGES_MAX_COUNT, ReplicaRows, replica_rows

A_LONG_TIME = timedelta(seconds=30)
LEASE = timedelta(seconds=1)  # as the first migration has it


@pytest.fixture(name="rows")
async def _rows(database: str) -> AsyncIterator[ReplicaRows]:
    async with replica_rows(database, patience=A_LONG_TIME, on_change=lambda: None) as rows:
        yield rows


@pytest.fixture(name="connection")
async def _connection(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def revision(
    connection: "asyncpg.Connection[asyncpg.Record]", changes: int = 1, *, steps: int = 1
) -> Position:
    """Move the history on by so many steps, the last of which has so many changes."""
    row = await connection.fetchrow(
        """
        WITH moved AS (
            UPDATE keywright.authority_revision
            SET revision = revision + $2, tag = gen_random_uuid() RETURNING revision, tag
        ), changed AS (
            INSERT INTO keywright.authority_change (revision, tag, kind, changed)
            SELECT revision, tag, 'key', number FROM moved, generate_series(1, $1) AS number
        )
        SELECT revision, tag FROM moved
        """,
        changes,
        steps,
    )
    assert row is not None
    return Position(row["revision"], row["tag"])


async def test_who_lacks_very_many_changes_begins_anew_rather_than_never_be_done(
    rows: ReplicaRows, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """What cannot be read within a server's patience would be asked for again without end."""
    first = await revision(connection)
    large = await revision(connection, CHANGES_MAX_COUNT)
    told = await rows.since(first, large)
    assert told is not None
    assert [len(each.changed) for each in told] == [CHANGES_MAX_COUNT]

    last = await revision(connection)
    assert await rows.since(first, last) is None
    told = await rows.since(large, last)  # it does not read the large one again
    assert told is not None
    assert [each.position for each in told] == [last]


async def test_a_history_with_a_gap_or_another_beginning_tells_nothing(
    rows: ReplicaRows, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first, second = await revision(connection), await revision(connection)
    assert await rows.since(first, second) is not None

    lost = Position(first.revision, uuid.uuid4())  # a failover gave its number again
    assert await rows.since(lost, second) is None
    ahead = Position(second.revision + 1, uuid.uuid4())
    assert await rows.since(ahead, second) is None
    behind_a_gap = await revision(connection, steps=2)
    assert await rows.since(second, behind_a_gap) is None


async def test_a_renewal_with_a_warning_is_none(
    rows: ReplicaRows, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """So says PostgreSQL that it has not waited for its standby: nobody else may know of it."""
    here, replica = await revision(connection), uuid.uuid4()
    assert await rows.register(replica, LEASE) == here
    renewed = await rows.renew(replica, here)
    assert renewed is not None
    assert renewed.position == here

    await connection.execute(
        """
        CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$;
        CREATE TRIGGER warn AFTER UPDATE ON keywright.replica
        FOR EACH STATEMENT EXECUTE FUNCTION warn();
        """
    )
    for _ in range(2):  # nor does this connection tell anything any more
        with pytest.raises(Unavailable):
            await rows.renew(replica, here)


async def test_a_row_is_removed_by_others_only_as_long_as_it_stands_still(
    rows: ReplicaRows, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    here, replica = await revision(connection), uuid.uuid4()
    await rows.register(replica, LEASE)
    seen = (await rows.counters())[replica]
    await rows.renew(replica, here)

    assert not await rows.remove(replica, seen)
    assert await rows.remove(replica, seen + 1)
    assert await rows.renew(replica, here) is None

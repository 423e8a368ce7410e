"""Migrations: what is refused before anything is changed, and what a failure leaves behind."""

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from keywright.domain.roles import BUILT_IN, Role
from keywright.domain.sessions import SessionState
from keywright.storage import migrate
from keywright.storage.database import Database
from keywright.storage.failures import UnexpectedDatabaseError
from keywright.storage.migrate import Migration, MigrationError
from tests.support.database import Cluster

TIMEOUT = timedelta(seconds=20)

FIRST = Migration(1, "first", "CREATE TABLE public.one (n integer); INSERT INTO one VALUES (1);")
SECOND = Migration(2, "second", "INSERT INTO public.one VALUES (2);")
BROKEN = Migration(2, "broken", "INSERT INTO public.one VALUES (2); SELECT 1 / 0;")


async def rows(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def run(dsn: str, *migrations: Migration) -> list[int]:
    """Migrate; returns the numbers of what was applied."""
    return [each.number for each in await migrate.migrate(dsn, migrations, timeout=TIMEOUT)]


async def numbers(dsn: str) -> list[int]:
    return [row[0] for row in await rows(dsn, "SELECT n FROM public.one ORDER BY n")]


@pytest.fixture(name="empty")
async def _empty(cluster: Cluster) -> str:
    """The DSN of an empty database of this test's own."""
    return await cluster.empty()


# --- files ------------------------------------------------------------------------------------


def test_the_program_s_own_migrations_are_numbered_and_end_as_they_should() -> None:
    own = migrate.load()

    assert [each.number for each in own] == list(range(1, len(own) + 1))
    assert own[0].title == "initial"
    assert own[0].checksum == hashlib.sha256(own[0].sql.encode()).hexdigest()


@pytest.mark.parametrize(
    "names",
    [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["0000_a.sql"]],
)
def test_a_gap_or_a_number_that_is_there_twice_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")

    with pytest.raises(MigrationError, match="without gaps"):
        migrate.load(tmp_path)


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "a.sql", "00001_a.sql"])
def test_a_name_of_another_form_is_refused_naming_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1")

    with pytest.raises(MigrationError, match=name):
        migrate.load(tmp_path)


def test_other_files_beside_the_migrations_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "__pycache__").mkdir()

    assert [each.title for each in migrate.load(tmp_path)] == ["a"]


# --- applying ---------------------------------------------------------------------------------


async def test_what_is_pending_is_applied_once_and_in_order(empty: str) -> None:
    assert await run(empty, FIRST) == [1]
    assert await run(empty, FIRST, SECOND) == [2]
    assert await run(empty, FIRST, SECOND) == []
    assert await numbers(empty) == [1, 2]


async def test_the_program_s_own_migrations_run_on_an_empty_database_and_once(empty: str) -> None:
    own = migrate.load()

    assert await run(empty, *own) == [each.number for each in own]
    assert await run(empty, *own) == []


async def test_a_migration_that_fails_leaves_nothing_half_done(empty: str) -> None:
    with pytest.raises(UnexpectedDatabaseError, match="division by zero"):
        await run(empty, FIRST, BROKEN)

    assert await numbers(empty) == [1]
    status = await migrate.status(empty, [FIRST, SECOND], timeout=TIMEOUT)
    assert [each.number for each in status.applied] == [1]
    assert await run(empty, FIRST, SECOND) == [2]
    assert await numbers(empty) == [1, 2]


async def test_of_two_migrators_at_once_one_applies_and_both_succeed(empty: str) -> None:
    slow = Migration(2, "slow", "SELECT pg_sleep(0.2); INSERT INTO public.one VALUES (2);")
    applied = await asyncio.gather(*(run(empty, FIRST, slow) for _ in range(4)))

    assert sorted(applied) == [[], [], [], [1, 2]]
    assert await numbers(empty) == [1, 2]


async def test_a_migration_waits_neither_long_for_locks_nor_for_ever(empty: str) -> None:
    settings = Migration(
        1,
        "settings",
        "CREATE TABLE public.seen AS SELECT current_setting('lock_timeout') AS lock_timeout, "
        "current_setting('statement_timeout') AS statement_timeout",
    )
    await run(empty, settings)

    assert [tuple(row) for row in await rows(empty, "SELECT * FROM public.seen")] == [
        ("5s", "10min")
    ]


# --- what is refused --------------------------------------------------------------------------


async def test_an_edited_file_is_refused_and_nothing_is_applied(empty: str) -> None:
    await run(empty, FIRST)
    edited = Migration(1, "first", f"{FIRST.sql} -- and more")

    with pytest.raises(MigrationError, match=r"0001 \(first\) was edited"):
        await run(empty, edited, SECOND)
    with pytest.raises(MigrationError, match="was edited"):
        await migrate.status(empty, [edited, SECOND], timeout=TIMEOUT)
    assert await numbers(empty) == [1]


async def test_a_database_newer_than_the_program_is_refused(empty: str) -> None:
    await run(empty, FIRST, SECOND)

    with pytest.raises(MigrationError, match=r"0002 \(second\).*newer keywright"):
        await run(empty, FIRST)
    with pytest.raises(MigrationError, match="newer keywright"):
        await migrate.status(empty, [FIRST], timeout=TIMEOUT)


async def test_status_lists_what_is_applied_and_what_is_pending(empty: str) -> None:
    before = await migrate.status(empty, [FIRST, SECOND], timeout=TIMEOUT)
    assert (list(before.applied), before.pending) == ([], [FIRST, SECOND])
    assert await rows(empty, "SELECT FROM pg_namespace WHERE nspname = 'keywright'") == []

    await run(empty, FIRST)
    after = await migrate.status(empty, [FIRST, SECOND], timeout=TIMEOUT)
    assert [(each.number, each.title, each.checksum) for each in after.applied] == [
        (1, "first", FIRST.checksum)
    ]
    assert after.pending == [SECOND]


# --- what they make ---------------------------------------------------------------------------


async def test_the_built_in_roles_are_those_that_the_program_knows(database: str) -> None:
    opened = await Database.open(
        database, size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT
    )
    try:
        async with opened.reading() as reads:
            stored = await reads.roles.built_in()
    finally:
        await opened.close()

    def plain(role: Role) -> tuple[object, ...]:
        return role.role_id, role.permissions, role.may_hold_keys, role.built_in

    assert [plain(role) for role in stored] == [plain(role) for role in BUILT_IN]


async def test_the_operators_have_their_workspace_from_the_start(database: str) -> None:
    found = await rows(database, "SELECT workspace_id, state FROM keywright.workspace")

    assert [tuple(row) for row in found] == [("system", "ACTIVE")]


async def test_each_installation_has_a_signing_key_of_its_own(cluster: Cluster) -> None:
    keys = set()
    for _ in range(2):
        dsn = await cluster.empty()
        await run(dsn, *migrate.load())
        found = await rows(dsn, "SELECT signing_key FROM keywright.installation")
        keys.add(found[0][0])
    assert len(keys) == 2
    assert all(len(key) >= 32 for key in keys)


async def test_events_that_were_there_before_months_move_into_theirs(empty: str) -> None:
    own = migrate.load()
    (months,) = [each for each in own if each.title == "audit_trail"]
    await run(empty, *own[: months.number - 1])
    await rows(
        empty,
        """
        INSERT INTO keywright.audit_event
            (create_time, workspace_id, action, resource, actor, credential)
        SELECT at, 'w', 'CreateKey', 'workspaces/w/keys/k', '', '' FROM unnest(ARRAY[
            now(), now() - interval '70 days', '2025-01-31T23:59:59Z', '2025-02-01T00:00:00Z',
            now() + interval '10 years'
        ]::timestamptz[]) AS at
        """,
    )
    await run(empty, *own)
    kept = await rows(
        empty,
        "SELECT tableoid::regclass::text, create_time, seal FROM keywright.audit_event ORDER BY id",
    )
    partitions = [row[0].rpartition("audit_event_")[2] for row in kept]
    assert partitions == [f"{row['create_time']:%Y_%m}" for row in kept[:4]] + ["default"]
    assert {row["seal"] for row in kept} == {None}
    (ahead,) = await rows(
        empty,
        "SELECT to_regclass('keywright.audit_event_' || to_char(now() + interval '2 months',"
        " 'YYYY_MM')) IS NOT NULL",
    )
    assert ahead[0]


async def test_sessions_that_keys_opened_before_they_were_known_to_are_over(empty: str) -> None:
    own = migrate.load()
    (joined,) = [each for each in own if each.title == "sessions_of_keys"]
    await run(empty, *own[: joined.number - 1])
    await rows(
        empty,
        """
        WITH w AS (
            INSERT INTO keywright.workspace (workspace_id, environments)
            VALUES ('w', '{live}') RETURNING id
        ), u AS (
            INSERT INTO keywright.user
                (workspace, user_id, kind, email, email_key, role, role_scope)
            SELECT w.id, 'ann', 'HUMAN', 'a@b.example', 'a@b.example', r.id, r.scope
            FROM w, keywright.role r WHERE r.role_id = 'member' RETURNING id, workspace
        )
        INSERT INTO keywright.session
            (workspace, session_id, "user", method, idle_timeout, create_time, expire_time,
             last_used_time)
        SELECT workspace, lower(method), id, method, '1 hour', now(), now() + interval '1 day',
               now()
        FROM u, unnest(ARRAY['KEY', 'LINK']) AS method
        """,
    )
    await run(empty, *own)
    opened = await Database.open(empty, size=1, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT)
    try:
        async with opened.reading() as reads:
            found = {each: await reads.sessions.get("w", each) for each in ("key", "link")}
    finally:
        await opened.close()
    states = {name: each and each.state for name, each in found.items()}
    assert states == {"key": SessionState.REVOKED, "link": SessionState.ACTIVE}

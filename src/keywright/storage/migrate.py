"""Migrations: numbered SQL files, forward only, each in a transaction of its own.

A file that was applied is never edited (its SHA-256 is kept), and a database that has migrations
this program does not know is left alone: both are refused before anything is changed. Changes are
made to expand first and contract later, so that two versions of the program can run side by side.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg

from keywright.storage.failures import translated

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_ADVISORY_LOCK = 0x6B657977  # "keyw": one migrator at a time
MIN_SERVER_VERSION = 150000

# A migration that waits long for a lock would stop everybody who comes after it.
_LOCK_TIMEOUT = "5s"
_STATEMENT_TIMEOUT = "10min"


class MigrationError(Exception):
    """The database and the migrations of this program do not fit; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_initial.sql`."""

    number: int
    title: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """What the database says of a migration."""

    number: int
    title: str
    checksum: str
    apply_time: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """Where a database stands."""

    applied: Sequence[Applied]
    pending: Sequence[Migration]


def load(directory: Traversable | None = None) -> list[Migration]:
    """The migrations in `directory` (default: the program's), in order.

    Raises:
        MigrationError: a file's name is wrong, or a number is missing or there twice.
    """
    folder = directory or resources.files("keywright.storage") / "migrations"
    migrations = []
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationError(f"{file.name}: a migration is named like 0001_what_it_does.sql")
        migrations.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MigrationError(f"migrations must be numbered 1, 2, 3, ... without gaps: {numbers}")
    return migrations


async def status(dsn: str, migrations: Sequence[Migration], *, timeout: timedelta) -> Status:
    """What is applied and what is pending.

    Raises:
        MigrationError: an applied file was edited, or the database is newer than the program.
        Unavailable: the database cannot be reached.
    """
    async with _connected(dsn, timeout) as connection:
        return _compare(await _applied(connection), migrations)


async def migrate(
    dsn: str, migrations: Sequence[Migration], *, timeout: timedelta
) -> list[Migration]:
    """Apply what is pending, and return it. Two at once are one after the other.

    Raises:
        MigrationError: an applied file was edited, the database is newer than the program, or its
            server is older than PostgreSQL 15.
        Unavailable: the database cannot be reached.
    """
    async with _connected(dsn, timeout) as connection:
        # For as long as the connection lives, so that a killed migrator leaves no lock behind.
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(
            """
            CREATE SCHEMA IF NOT EXISTS keywright;
            CREATE TABLE IF NOT EXISTS keywright.schema_migration (
                number      integer     NOT NULL,
                title       text        NOT NULL,
                checksum    text        NOT NULL,
                apply_time  timestamptz NOT NULL DEFAULT now(),
                CONSTRAINT schema_migration_pkey PRIMARY KEY (number)
            )
            """
        )
        pending = _compare(await _applied(connection), migrations).pending
        for migration in pending:
            async with connection.transaction():
                await connection.execute(
                    f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}';"
                    f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'"
                )
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO keywright.schema_migration (number, title, checksum) "
                    "VALUES ($1, $2, $3)",
                    migration.number,
                    migration.title,
                    migration.checksum,
                )
        return list(pending)


@asynccontextmanager
async def _connected(
    dsn: str, timeout: timedelta
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    with translated():
        connection = await asyncpg.connect(
            dsn,
            timeout=timeout.total_seconds(),
            server_settings={"application_name": "keywright migrate", "timezone": "UTC"},
        )
        try:
            version = int(await connection.fetchval("SHOW server_version_num"))
            if version < MIN_SERVER_VERSION:
                raise MigrationError(
                    f"the server is PostgreSQL {version // 10000}; keywright needs 15 or newer"
                )
            yield connection
        finally:
            await connection.close(timeout=5)


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Applied]:
    if not await connection.fetchval(
        "SELECT to_regclass('keywright.schema_migration') IS NOT NULL"
    ):
        return []
    rows = await connection.fetch(
        "SELECT number, title, checksum, apply_time FROM keywright.schema_migration ORDER BY number"
    )
    return [Applied(**row) for row in rows]


def _compare(applied: Sequence[Applied], migrations: Sequence[Migration]) -> Status:
    known = {migration.number: migration for migration in migrations}
    for one in applied:
        ours = known.pop(one.number, None)
        if ours is None:
            raise MigrationError(
                f"the database has migration {one.number:04} ({one.title}), which this program "
                "does not know: it was migrated by a newer keywright; run that version or newer"
            )
        if ours.checksum != one.checksum:
            raise MigrationError(
                f"migration {one.number:04} ({ours.title}) was edited after it had been applied; "
                "restore the file and put the change into a new migration"
            )
    return Status(applied, list(known.values()))

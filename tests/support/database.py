"""A real PostgreSQL for each test process, and a freshly migrated database for each that asks."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from keywright.app.embedded import EmbeddedPostgres, locate_binaries
from keywright.storage import migrate

TIMEOUT = timedelta(seconds=20)
_TEMPLATE = "keywright_template"


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL server of our own."""

    dsn: str

    def of(self, database: str) -> str:
        """The DSN of one of its databases."""
        parts = urlsplit(self.dsn)
        return urlunsplit(parts._replace(path=f"/{database}"))

    async def run(self, statement: str) -> None:
        """Run a statement on the maintenance database."""
        connection = await asyncpg.connect(self.of("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def empty(self) -> str:
        """A new, empty database; returns its DSN."""
        name = f"test_{uuid.uuid4().hex}"
        await self.run(f"CREATE DATABASE {name}")
        return self.of(name)

    async def migrated(self) -> str:
        """A new database with the current schema, copied from a template; returns its DSN."""
        name = f"test_{uuid.uuid4().hex}"
        await self.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.of(name)


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """Run a server in `directory`, with a migrated template. Not durable: nothing outlives it."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    server = EmbeddedPostgres(directory, locate_binaries(os.environ), settings=settings)
    async with server as dsn:
        running = Cluster(dsn)
        await running.run(f"CREATE DATABASE {_TEMPLATE}")
        await migrate.migrate(running.of(_TEMPLATE), migrate.load(), timeout=TIMEOUT)
        yield running

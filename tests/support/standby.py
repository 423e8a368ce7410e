"""A real primary and a real standby of it, which takes the primary's place behind one door."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from keywright.app.embedded import EmbeddedPostgres, locate_binaries
from keywright.app.embedded.home import Home, find_home, make_home
from keywright.app.embedded.postmaster import PidFile
from keywright.app.embedded.private_copy import usable_by
from keywright.storage import migrate
from tests.support.database import TIMEOUT
from tests.support.proxy import Proxy, proxy
from tests.support.unprivileged import directory_others_may_enter

_BINARIES = locate_binaries(os.environ)
# `wal_level` and what else a standby needs is PostgreSQL's default. Nothing outlives these servers.
_SETTINGS = {"fsync": "off"}
_SUPERUSER = "local all,replication postgres trust\n"
_POLL_SECONDS = 0.05


@dataclass
class Pair:
    """Two servers, of which one is reached by `door`."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    door: Proxy
    _primary_home: Home
    _standby_home: Home

    async def standby_ends(self) -> None:
        """Stop the standby, once it has all that the primary has: it gets no more."""
        written = await _ask(self._primary_home, "SELECT pg_current_wal_flush_lsn()::text")
        shown = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
        while not await _ask(self._standby_home, shown, written):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(_POLL_SECONDS)
        await self.standby.stop()

    async def synchronous(self) -> None:
        """From now on a COMMIT waits for the standby."""
        await _ask(self._primary_home, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await _ask(self._primary_home, "SELECT pg_reload_conf()")
        state = "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication"
        while not await _ask(self._primary_home, state):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(_POLL_SECONDS)

    async def primary_dies(self) -> None:
        """End the primary as a machine ends that loses its power."""
        self.door.refuse()
        running = PidFile.read(self._primary_home.data)
        assert running is not None
        os.kill(running.pid, signal.SIGQUIT)
        await self.primary.stop()

    async def promote(self) -> str:
        """Have the standby take the primary's place, with what it has; returns its DSN."""
        if PidFile.read(self._standby_home.data) is None:
            await self.standby.start()
        assert await _ask(self._standby_home, "SELECT pg_promote()")
        here, there = (self._primary_home, self._standby_home)
        return self.door.direct.replace(str(here.socket_directory()), str(there.socket_directory()))

    async def found(self) -> None:
        """Have who comes by the door find the standby there."""
        self.door.leads_to(self._standby_home.socket_directory())
        await self.door.accept()


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """Run both, with the current schema; the door is open and leads to the primary."""
    with directory_others_may_enter() as directory:
        primary, standby = (
            EmbeddedPostgres(directory / name, _BINARIES, settings=_SETTINGS)
            for name in ("primary", "standby")
        )
        await primary.start()  # makes the data
        await primary.stop()
        of_primary = find_home(directory / "primary")
        assert of_primary is not None
        rules = of_primary.access_rules
        rules.write_text(_SUPERUSER + rules.read_text())
        async with primary as dsn:
            await migrate.migrate(dsn, migrate.load(), timeout=TIMEOUT)
            of_standby = await _copy(of_primary, directory / "standby")
            async with standby, proxy(dsn) as door:
                await door.accept()
                yield Pair(primary, standby, door, of_primary, of_standby)


async def _copy(primary: Home, place: Path) -> Home:
    """What a standby of `primary` begins with."""
    home = make_home(place)
    home.instance.mkdir()
    home.instance.chmod(0o711)
    for file in (primary.password_file, primary.access_rules):
        shutil.copy(file, home.instance)
    os.chown(home.access_rules, -1, home.account.gid)
    home.data.mkdir(0o700)
    os.chown(home.data, home.account.uid, home.account.gid)
    binaries = await usable_by(home.account, _BINARIES)
    await home.account.run(
        *(binaries.directory / "pg_basebackup", "-D", home.data, "-d", _dsn(primary)),
        *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
    )
    return home


def _dsn(home: Home) -> str:
    return f"postgresql://postgres@/keywright?host={home.socket_directory()}"


async def _ask(home: Home, statement: str, *arguments: object) -> object:
    connection = await asyncpg.connect(_dsn(home))
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()

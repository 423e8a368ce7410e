"""`keywright dev`: everything for a first run, on this machine and for this machine only."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.embedded import EmbeddedPostgres, locate_binaries, running_dsn
from keywright.app.server import Listening, listening, until_signalled
from keywright.domain.names import UserName
from keywright.domain.secret import Secret
from keywright.storage import migrate

WORKSPACE = "default"
ADMIN = "admin@localhost"

Announce = Callable[[str, Secret[str] | None], None]


async def dev(config: Config, data_dir: Path, announce: Announce) -> None:
    """Start a database (or use the configured one), migrate, bootstrap, serve; in one process.

    `announce` is called once the server is ready, with its address and, at the first run only, the
    admin's token.
    """
    async with _database(config, data_dir) as dsn:
        await migrate.migrate(dsn, migrate.load(), timeout=config.database_connect_timeout)
        alone = config.model_copy(update={"workers": 1})
        async with listening(alone, dsn) as server:
            first_run = asyncio.create_task(_first_run(config, dsn, server, announce))
            first_run.add_done_callback(lambda task: _stop_if_failed(task, server))
            await until_signalled(server.stopped)
            first_run.cancel()
            await asyncio.wait([first_run])
        if not first_run.cancelled():
            first_run.result()


async def new_admin_token(config: Config, data_dir: Path, user: UserName) -> Secret[str]:
    """A new key for `user`, on the database that `dev` uses, whether or not it runs.

    Raises:
        NotFound: there is no such user.
    """
    running = None if config.database_url else await running_dsn(data_dir)
    if running is not None:
        return await admin_token(config, running, user)
    async with _database(config, data_dir) as dsn:
        return await admin_token(config, dsn, user)


async def admin_token(config: Config, dsn: str, user: UserName) -> Secret[str]:
    """A new key for `user`, made on the database itself.

    Raises:
        NotFound: there is no such user.
    """
    parts = await Parts.open(config, dsn)
    try:
        bootstrap = await parts.bootstrap()
        return await bootstrap.admin_key(user)
    finally:
        await parts.close()


async def _first_run(config: Config, dsn: str, server: Listening, announce: Announce) -> None:
    # Not before the server can be used: a token that is made and not shown is lost.
    await server.ready.wait()
    parts = await Parts.open(config, dsn)
    try:
        bootstrap = await parts.bootstrap()
        token = await bootstrap.first_admin(WORKSPACE, ADMIN)
        announce(server.target, token)
    finally:
        await parts.close()


def _stop_if_failed(first_run: "asyncio.Task[None]", server: Listening) -> None:
    if not first_run.cancelled() and first_run.exception() is not None:
        server.stopped.set()


@asynccontextmanager
async def _database(config: Config, data_dir: Path) -> AsyncIterator[str]:
    if config.database_url is not None:
        yield config.database_url.reveal()
        return
    async with EmbeddedPostgres(data_dir, locate_binaries(os.environ)) as dsn:
        yield dsn

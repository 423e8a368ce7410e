"""`keywright dev`: everything for a first run, on this machine and for this machine only."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.console_program import ConsoleProgram, console_beside
from keywright.app.embedded import EmbeddedPostgres, locate_binaries, running_dsn
from keywright.app.server import Listening, listening, until_signalled
from keywright.domain.errors import ServiceError
from keywright.domain.names import UserName
from keywright.domain.secret import Secret
from keywright.service.bootstrap import Bootstrap
from keywright.storage import migrate

WORKSPACE = "default"
ADMIN = "admin@localhost"


@dataclass(frozen=True, slots=True)
class Started:
    """What a newcomer is told once the server is ready.

    Attributes:
        target: the server's address.
        token: the admin's, at the first run only.
        console: where the console is; None if there is none.
        sign_in: what signs the admin in there, once; None if that is nobody's to say.
    """

    target: str
    token: Secret[str] | None
    console: str | None
    sign_in: Secret[str] | None


Announce = Callable[[Started], None]


async def dev(config: Config, data_dir: Path, console_listen: str, announce: Announce) -> None:
    """Start a database (or use the configured one), migrate, bootstrap, serve; in one process.

    A console is a process beside it, unless `console_listen` is empty.
    """
    async with _database(config, data_dir) as dsn:
        await migrate.migrate(dsn, migrate.load(), timeout=config.database_connect_timeout)
        alone = config.model_copy(update={"workers": 1})
        async with (
            listening(alone, dsn) as server,
            # It would need to know who may have signed the server's certificate.
            console_beside(server.target, "" if config.tls else console_listen) as console,
        ):
            first_run = asyncio.create_task(_first_run(config, dsn, server, console, announce))
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


async def _first_run(
    config: Config, dsn: str, server: Listening, console: ConsoleProgram, announce: Announce
) -> None:
    # Not before the server can be used: a token that is made and not shown is lost.
    await server.ready.wait()
    url = await console.url
    parts = await Parts.open(config, dsn)
    try:
        bootstrap = await parts.bootstrap()
        token = await bootstrap.first_admin(WORKSPACE, ADMIN)
        sign_in = None if url is None else await _sign_in(bootstrap)
        announce(Started(server.target, token, url, sign_in))
    finally:
        await parts.close()


async def _sign_in(bootstrap: Bootstrap) -> Secret[str] | None:
    try:
        return await bootstrap.sign_in_link(UserName(WORKSPACE, ADMIN))
    except ServiceError:  # the first admin is gone
        return None


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

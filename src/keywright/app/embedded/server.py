"""The embedded server as its callers see it: start, stop, and where to reach it."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from keywright.app.embedded.binaries import Binaries
from keywright.app.embedded.cluster import (
    DATABASE,
    ROLE,
    check_version,
    create_cluster,
    read_password,
)
from keywright.app.embedded.errors import EmbeddedPostgresError
from keywright.app.embedded.home import SOCKET_NAME, find_home, make_home
from keywright.app.embedded.postmaster import PidFile, Postmaster, stop_orphan
from keywright.app.embedded.private_copy import usable_by

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgres:
    """A PostgreSQL server of our own on a data directory, made there at the first start.

    Args:
        data_dir: belongs to this server alone; made if it does not exist.
        binaries: from `locate_binaries`.
        settings: PostgreSQL settings over ours; not those that say who may connect and where.
            Tests set `fsync` to `off`, which then holds for the making of the data, too.
    """

    def __init__(
        self, data_dir: Path, binaries: Binaries, *, settings: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        self._data_dir = data_dir
        self._binaries = binaries
        self._settings = settings
        self._postmaster: Postmaster | None = None
        self._lock = contextlib.ExitStack()

    async def start(self) -> str:
        """Start the server and return the DSN of its database, password included.

        The first start makes the data (1-2 s). A server that outlived its keywright is stopped.

        Raises:
            EmbeddedPostgresError: the directory is in use, of another user or of another major
                version, its path is too long, or the server does not come up.
        """
        with _explained(self._data_dir), contextlib.ExitStack() as lock:
            home = find_home(self._data_dir) or make_home(self._data_dir)
            lock.enter_context(home.locked())
            binaries = await usable_by(home.account, self._binaries)
            if not home.data.exists():
                durable = self._settings.get("fsync") != "off"
                await create_cluster(home, binaries, durable=durable)
            check_version(home, binaries)
            password = read_password(home)
            await stop_orphan(home)
            self._postmaster = await Postmaster.launch(home, binaries, self._settings)
            self._lock = lock.pop_all()
        return _dsn(home.socket_directory(), password)

    async def stop(self) -> None:
        """Stop the server, if it runs, and give the directory free.

        Raises:
            EmbeddedPostgresError: it does not stop.
        """
        if self._postmaster is not None:
            await self._postmaster.stop()
            self._postmaster = None
        self._lock.close()

    async def __aenter__(self) -> str:
        """Start; gives the DSN."""
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()


async def running_dsn(data_dir: Path) -> str | None:
    """Return the DSN of the server that runs on `data_dir`, started by whichever process.

    Returns:
        None if no server runs there.

    Raises:
        EmbeddedPostgresError: the directory is another user's.
    """
    with _explained(data_dir):
        home = find_home(data_dir)
    found = PidFile.read(home.data) if home else None
    socket_directory = home.existing_socket_directory() if home else None
    if home is None or found is None or not found.ready or socket_directory is None:
        return None
    try:
        _, writer = await asyncio.open_unix_connection(socket_directory / SOCKET_NAME)
    except OSError:  # what a killed server left behind
        return None
    writer.close()
    await writer.wait_closed()
    return _dsn(socket_directory, read_password(home))


@contextlib.contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL cannot use {data_dir}: {error}. It needs a data directory "
            "that you may write to."
        ) from error


def _dsn(socket_directory: Path, password: str) -> str:
    host = urllib.parse.quote(str(socket_directory), safe="/")
    return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={host}&port=5432"

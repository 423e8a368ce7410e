"""Make the data of a new server, and check that existing data fits the programs."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from keywright.app.embedded.binaries import Binaries
from keywright.app.embedded.errors import EmbeddedPostgresError
from keywright.app.embedded.home import Home, read_untrusted

ROLE = "keywright"
DATABASE = "keywright"
BUILTIN_LOCALES_SINCE = 17

# The role owns its database and may make others (tests clone theirs from a template), no more: a
# superuser could run programs through SQL. `postgres`, who is one, cannot log in at all.
ACCESS_RULES = f"""\
local all {ROLE} scram-sha-256
local all all    reject
"""
FIRST_STATEMENTS = """\
CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{password}'
CREATE DATABASE {database} OWNER {role}
"""


async def create_cluster(home: Home, binaries: Binaries, *, durable: bool) -> None:
    """Make `home.instance`: a data directory with the role and the database, and its password.

    It is made under another name and renamed at the end, so that a crash leaves nothing half-done.
    `durable=False` does not wait for the disk.

    Raises:
        EmbeddedPostgresError: a program of PostgreSQL failed.
    """
    unfinished = _begin(home)
    data = unfinished / home.data.name
    locale = ["--locale=C"]
    if binaries.major >= BUILTIN_LOCALES_SINCE:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    password = secrets.token_urlsafe(32)
    statements = FIRST_STATEMENTS.format(role=ROLE, database=DATABASE, password=password)
    try:
        await home.account.run(
            *(binaries.initdb, "-D", data, "--username=postgres", "--auth=reject"),
            *("--encoding=UTF8", *locale, "--data-checksums", "--no-instructions"),
            *(() if durable else ("--no-sync",)),
        )
        # The single-user server reads from its standard input: no log-in, and no password in a
        # command line. It goes on after an error unless told so.
        await home.account.run(
            *(binaries.postgres, "--single", "-D", data, "-c", "exit_on_error=on"),
            *(() if durable else ("-F",)),
            "template1",
            stdin=statements,
        )
        _finish(home, unfinished, password, durable=durable)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def check_version(home: Home, binaries: Binaries) -> None:
    """Refuse data of another major version.

    Raises:
        EmbeddedPostgresError: the message names both versions.
    """
    found = (read_untrusted(home.data / "PG_VERSION") or "").strip()
    if found != str(binaries.major):
        raise EmbeddedPostgresError(
            f"The database in {home.path} was made by PostgreSQL {found or '(unknown)'}, but the "
            f"programs in {binaries.directory} are PostgreSQL {binaries.major}. Install PostgreSQL "
            f"{found or 'of the right version'} again to go on with it (pg_dump takes the data to "
            "a newer one); or, to begin with an empty database, move that directory away."
        )


def read_password(home: Home) -> str:
    """Return the password of the role `keywright`.

    Raises:
        EmbeddedPostgresError: the file cannot be read.
    """
    try:
        return home.password_file.read_text().strip()
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The database's password cannot be read: {error}. Restore that file; or, to begin "
            f"with an empty database, move {home.instance} away."
        ) from error


def _begin(home: Home) -> Path:
    for leftover in home.path.glob("instance.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="instance.new-", dir=home.path))
    os.chown(unfinished, -1, home.account.gid)
    unfinished.chmod(0o710)
    data = unfinished / home.data.name
    data.mkdir(0o700)
    os.chown(data, home.account.uid, home.account.gid)
    return unfinished


def _finish(home: Home, unfinished: Path, password: str, *, durable: bool) -> None:
    _write(unfinished / home.password_file.name, f"{password}\n", 0o600, durable=durable)
    rules = unfinished / home.access_rules.name
    _write(rules, ACCESS_RULES, 0o640, durable=durable)
    os.chown(rules, -1, home.account.gid)
    if durable:
        _sync(unfinished)
    unfinished.rename(home.instance)
    if durable:
        _sync(home.path)


def _write(path: Path, text: str, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        if durable:
            os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

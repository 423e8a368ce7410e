"""Where an embedded server lives: the directories, who owns them, and the lock on them.

The operator owns every directory that we write to or rename in, so that the server's account,
which `nobody` may share with other programs, cannot lead us anywhere through a symbolic link.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keywright.app.embedded.account import Account
from keywright.app.embedded.errors import EmbeddedPostgresError

SHARED_STATE = Path("/var/lib/keywright-embedded")
HOMES = SHARED_STATE / "homes"

SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its final NUL
LONGEST_DATA_PATH_BYTES = 900  # PostgreSQL's MAXPGPATH is 1024, names inside included


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one embedded server, and the account the server runs as."""

    path: Path
    account: Account

    @property
    def instance(self) -> Path:
        """Everything that makes up the server; there, and then complete, or absent."""
        return self.path / "instance"

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.instance / "data"

    @property
    def password_file(self) -> Path:
        """The password of the role `keywright`, for the operator's eyes only."""
        return self.instance / "password"

    @property
    def access_rules(self) -> Path:
        """PostgreSQL's `pg_hba.conf`."""
        return self.instance / "pg_hba.conf"

    @property
    def log(self) -> Path:
        """What the server of the current run printed."""
        return self.instance / "server.log"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one keywright process; the lock ends with the process at the latest.

        Raises:
            EmbeddedPostgresError: another process holds it.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise EmbeddedPostgresError(
                    f"The database in {self.path} is already in use by another keywright, process "
                    f"{lock.read().strip() or 'unknown'}. Stop that one, or choose another data "
                    "directory."
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def existing_socket_directory(self) -> Path | None:
        """Return the directory of the socket, if it is there and only the server may write it."""
        try:
            directory = (self.instance / "socket").resolve(strict=True)
            status = directory.lstat()
        except OSError:
            return None
        # A directory below /tmp may be gone, and another's have taken its name since.
        private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
        ours = private and status.st_uid == self.account.uid
        return directory if ours and _can_hold_a_socket(directory) else None

    def socket_directory(self) -> Path:
        """Return the directory for the socket, made if needed. Only under the lock."""
        if existing := self.existing_socket_directory():
            return existing
        place = self.instance / "socket"
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        if _can_hold_a_socket(place):
            place.mkdir()
        else:
            place.symlink_to(tempfile.mkdtemp(prefix="keywright-", dir="/tmp"))
        directory = place.resolve()
        os.chown(directory, self.account.uid, self.account.gid)
        directory.chmod(stat.S_IRWXU)
        return directory


def find_home(data_dir: Path) -> Home | None:
    """Return the home that was made for `data_dir` earlier, if any.

    Raises:
        EmbeddedPostgresError: it belongs to another user, or cannot be reached.
    """
    path = data_dir.resolve()
    if not path.is_dir():
        return None
    _verify_ours(path)
    link = path / "relocated"
    if link.is_symlink():
        path = link.readlink()
        if not path.is_dir():
            raise EmbeddedPostgresError(
                f"{link} says that the database is in {path}, which does not exist. Restore that "
                "directory; or, to begin with an empty database, remove the link."
            )
        _verify_ours(path)
    data = path / "instance" / "data"
    if not data.is_dir():
        return Home(path, Account.for_new_data()) if link.is_symlink() else None
    home = Home(path, Account.owning(data))
    if not home.account.may_enter(path):
        raise EmbeddedPostgresError(
            f"{home.account.name}, who owns the database in {path}, may no longer enter that "
            "directory. Give the directories above it back their permission x for others."
        )
    return home


def make_home(data_dir: Path) -> Home:
    """Make a home for `data_dir`: there, or elsewhere if the server's account cannot go there.

    Raises:
        EmbeddedPostgresError: the directory belongs to another user, or its path is too long.
        OSError: it cannot be made.
    """
    account = Account.for_new_data()
    path = data_dir.resolve()
    if len(os.fsencode(path)) > LONGEST_DATA_PATH_BYTES:
        raise EmbeddedPostgresError(
            f"The path of the data directory is too long for PostgreSQL: {path} has "
            f"{len(os.fsencode(path))} bytes, {LONGEST_DATA_PATH_BYTES} are allowed. Choose a "
            "shorter one."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    own_directory(path, 0o700 if account.uid == os.geteuid() else 0o711)
    if account.may_enter(path):
        return Home(path, account)
    own_directory(SHARED_STATE, 0o755)
    own_directory(HOMES, 0o711)
    # A random name, not one made of the path: who removes the data directory to start afresh must
    # not get the old data back. The words in it are for a person who looks for what to remove.
    words = re.sub(r"[^A-Za-z0-9]+", "-", str(path))[-20:].strip("-")
    elsewhere = Path(tempfile.mkdtemp(prefix=f"{words}-", dir=HOMES))
    elsewhere.chmod(0o711)
    try:
        (path / "relocated").symlink_to(elsewhere)
    except FileExistsError:  # another start was faster; the lock will tell it from us
        elsewhere.rmdir()
        elsewhere = (path / "relocated").readlink()
    return Home(elsewhere, account)


def own_directory(path: Path, mode: int) -> None:
    """Make a directory of ours, or verify that an existing one is.

    Raises:
        EmbeddedPostgresError: another user owns it, or may write to it and it is not empty.
    """
    path.mkdir(mode, exist_ok=True)
    _verify_owner(path)
    if any(path.iterdir()):
        _verify_ours(path)
    else:
        path.chmod(mode)  # whatever the umask was


def read_untrusted(path: Path) -> str | None:
    """Return the start of a file that the server's account may have replaced by anything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(4096).decode(errors="replace")


def _can_hold_a_socket(directory: Path) -> bool:
    # A comma separates hosts in a connection string, however it is quoted.
    path = os.fsencode(directory / SOCKET_NAME)
    return len(path) <= LONGEST_SOCKET_PATH_BYTES and b"," not in path


def _verify_ours(path: Path) -> None:
    _verify_owner(path)
    if path.lstat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EmbeddedPostgresError(
            f"Other users may write to {path}. Take that from them (chmod go-w), or choose another "
            "data directory."
        )


def _verify_owner(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedPostgresError(
            f"{path} is not a directory of the user who runs keywright "
            f"({Account(os.geteuid(), 0).name}), but of {Account.owning(path).name}. Run keywright "
            "as that user, or choose another data directory."
        )

"""The private directory of one process, and what is in it.

Whoever needs one has a lock on it (flock(2)), which ends with the process, however that ends. So a
directory without any is one that was left behind, and the next start removes it; and whoever tidies
up among temporary files leaves the others alone (tmpfiles.d(5)).
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keywright.listening import UNIX_PATH_MAX_BYTES

_PREFIX = "keywright-envoy-"
TOO_LONG = (
    "makes UNIX sockets in the directory for temporary files, whose path is too long for that: name"
    f" a shorter one by TMPDIR (a socket's whole path has at most {UNIX_PATH_MAX_BYTES} bytes)"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where each thing is, of those that a process has."""

    directory: Path

    @property
    def bootstrap(self) -> Path:
        """Envoy's configuration."""
        return self.directory / "envoy.json"

    @property
    def certificate(self) -> Path:
        """The part of it that names the files with the certificate and its key."""
        return self.directory / "certificate.json"

    @property
    def client_ca(self) -> Path:
        """The part of it that names the file with the authority of clients."""
        return self.directory / "client_ca.json"

    @property
    def renewals(self) -> Path:
        """The directory that Envoy watches: a file that is moved here has it read those again."""
        return self.directory / "renewals"

    @property
    def descriptors(self) -> Path:
        """The contract, for JSON."""
        return self.directory / "contract.binpb"

    @property
    def admin(self) -> Path:
        """The UNIX socket of Envoy's administration."""
        return self.directory / "admin.sock"

    @property
    def grpc_aio(self) -> Path:
        """The UNIX socket of grpc.aio."""
        return self.directory / "grpc.sock"


def fit() -> bool:
    """Whether the sockets' paths are not too long, in the directory for what is temporary."""
    longest = Places(_temporary("12345678")).admin
    return len(os.fsencode(longest)) <= UNIX_PATH_MAX_BYTES


@contextmanager
def private() -> Iterator[Places]:
    """A directory (0700) as long as the block runs."""
    ours, lock = _made()
    try:
        yield ours
    finally:
        shutil.rmtree(ours.directory, ignore_errors=True)
        os.close(lock)


def left() -> Places:
    """A directory (0700) that is left to what this process becomes: it removes it (`life`)."""
    ours, lock = _made()
    os.set_inheritable(lock, True)
    return ours


def here() -> Places:
    """The one that this process was started in, and has from now on."""
    _locked(".")
    return Places(Path.cwd())


def _made() -> tuple[Places, int]:
    """A new one, and the lock on it."""
    _remove_left_behind()
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):
            lock = _locked(directory)
            if directory.exists():
                return Places(directory), lock
            os.close(lock)
        # Another start has taken it for one that was left behind.


def _locked(directory: Path | str) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _remove_left_behind() -> None:
    """Remove those of this user's processes that have ended without doing so, by SIGKILL say."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody has it; or is faster
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(directory)
            finally:
                os.close(descriptor)


def shown() -> Places:
    """Places that stand for those of a process, which has others at each start."""
    return Places(_temporary("private"))


def _temporary(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{name}"

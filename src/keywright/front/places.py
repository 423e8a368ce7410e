"""The private directory of one process, and what is in it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "keywright-"
_SOCKET_MAX_BYTES = 107  # `sun_path` of unix(7) on Linux, less the byte that ends it
TOO_LONG = (
    "makes UNIX sockets in the directory for temporary files, whose path is too long for that: name"
    f" a shorter one by TMPDIR (a socket's whole path has at most {_SOCKET_MAX_BYTES} bytes)"
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
    return len(os.fsencode(longest)) <= _SOCKET_MAX_BYTES


@contextmanager
def private() -> Iterator[Places]:
    """A directory (0700) as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        yield Places(Path(name))


def left() -> Places:
    """A directory (0700) that is left to whoever runs there: it removes it (`life`)."""
    return Places(Path(tempfile.mkdtemp(prefix=_PREFIX)))


def shown() -> Places:
    """Places that stand for those of a process, which has others at each start."""
    return Places(_temporary("private"))


def _temporary(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{name}"

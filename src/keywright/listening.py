"""Where a program listens, whichever it is: server, sidecar or console. It knows none of them.

How an address is written is each one's own: the server takes names, too.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

UNIX_SCHEME = "unix:"
UNIX_PATH_MAX_BYTES = 107
"""`sun_path` of unix(7) on Linux, less the byte that ends it."""
PORT_MAX = 65_535
_LOOPBACK_NAME = "localhost"  # RFC 6761, section 6.3


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host, an IP address or a name, and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written, and as gRPC takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def stays_here(self) -> bool:
        """Whether only this machine (or pod) can connect, so that nothing crosses a network."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # any other name may come to mean any address
            return self.host.lower() == _LOOPBACK_NAME


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A UNIX socket's absolute path; the permissions of its directory say who can connect."""

    path: Path

    def __str__(self) -> str:
        """As it is written, and as gRPC takes it."""
        return f"{UNIX_SCHEME}{self.path}"

    @property
    def stays_here(self) -> bool:
        """Whether only this machine can connect: always."""
        return True


ListenAddress = TcpAddress | UnixAddress

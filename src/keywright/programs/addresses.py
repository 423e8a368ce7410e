"""Where a program listens: `127.0.0.1:7710`, `[::1]:7710` or `unix:/run/keywright/sidecar.sock`.

Only IP addresses: what a name stands for may change, and with it who can ask.
"""

import re
import socket
from dataclasses import dataclass
from errno import EADDRINUSE
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from keywright.sdk.connection.address import UNIX_PATH_MAX_BYTES

_UNIX = "unix:"
_TCP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})")
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An IP address and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def stays_here(self) -> bool:
        """Whether only this machine (or pod) can connect."""
        return ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A UNIX socket's absolute path; whoever may write to the socket can connect.

    That is its owner, unless the program's umask lets its group, or others.
    """

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"

    @property
    def stays_here(self) -> bool:
        """Whether only this machine can connect: always."""
        return True


Address = TcpAddress | UnixAddress


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address also where a socket for both kinds tells it as `::ffff:192.0.2.1`."""
    return getattr(address, "ipv4_mapped", None) or address


def parse_address(text: str) -> Address:
    """The address that `text` says.

    Raises:
        ValueError: it says none; the message says what would be right.
    """
    if text.startswith(_UNIX):
        path = Path(text.removeprefix(_UNIX))
        if not path.is_absolute() or len(bytes(path)) > UNIX_PATH_MAX_BYTES or "\0" in text:
            raise ValueError(
                f"a UNIX socket is written unix:/path, with {UNIX_PATH_MAX_BYTES} bytes at most"
            )
        return UnixAddress(path)
    match = _TCP.fullmatch(text)
    try:
        if match is None or int(match["port"]) > _PORT_MAX:
            raise ValueError  # noqa: TRY301  told below, as the other
        return TcpAddress(str(ip_address(match["v6"] or match["v4"])), int(match["port"]))
    except ValueError:
        raise ValueError("an address is written 127.0.0.1:7710, [::1]:7710 or unix:/path") from None


def listening_socket(address: Address) -> socket.socket:
    """A socket that listens there. One that was left behind is replaced.

    Raises:
        OSError: it cannot be listened on.
    """
    if isinstance(address, UnixAddress):
        remove_left_behind(address.path)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = str(address.path)
    else:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        target = (address.host, address.port)
    try:
        found.bind(target)
        found.listen(1024)
    except OSError:
        found.close()
        raise
    found.setblocking(False)
    return found


def remove_left_behind(path: Path) -> None:
    """Remove a socket that nobody listens on any more.

    Raises:
        OSError: somebody does.
    """
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(EADDRINUSE, "it is in use")

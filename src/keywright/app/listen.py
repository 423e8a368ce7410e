"""Addresses to listen on: `127.0.0.1:7700`, `[::1]:7700`, `localhost:7700`, `unix:/run/kw.sock`."""

import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from keywright.listening import (
    PORT_MAX,
    UNIX_PATH_MAX_BYTES,
    UNIX_SCHEME,
    ListenAddress,
    TcpAddress,
    UnixAddress,
)

_TCP = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")
_IPV6_CHARACTERS = re.compile(r"[0-9A-Fa-f:.]+")
_LABEL = r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?"
# A name that ends in a number is an IPv4 address with a mistake in it (WHATWG URL, section 3.5).
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}", re.IGNORECASE)
_HOST_NAME_MAX_LENGTH = 253


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why."""


def in_use(address: ListenAddress) -> ListenError:
    """What is told of an address that calls cannot be listened for on."""
    return ListenError(
        f"{address} cannot be listened on: it is in use, or not an address of this machine; "
        "choose another with KEYWRIGHT_LISTEN"
    )


def parse_listen_address(text: str) -> ListenAddress:
    """The address that `text` says.

    Raises:
        ValueError: it says none; the message says what would be right.
    """
    if text.startswith(UNIX_SCHEME):
        return _parse_unix(text.removeprefix(UNIX_SCHEME))
    return parse_tcp_address(text)


def parse_tcp_address(text: str) -> TcpAddress:
    """The address that `text` says, where a UNIX socket would be of no use.

    Raises:
        ValueError: it says none; the message says what would be right.
    """
    match = _TCP.fullmatch(text)
    if match is None:
        raise ValueError(_what_is_wrong(text))
    host, port = match["v6"] or match["host"], int(match["port"])
    if port > PORT_MAX:
        raise ValueError(f"has a port above {PORT_MAX}")
    if match["v6"] and not _is_ipv6(host):
        raise ValueError("has no IPv6 address between its brackets, as [::1]:7700 has")
    if match["host"] and not _is_ipv4_or_name(host):
        raise ValueError("has a host that is neither an IP address nor a name")
    return TcpAddress(host, port)


def _parse_unix(path: str) -> UnixAddress:
    if not path.startswith("/") or "\0" in path or path.endswith("/"):
        raise ValueError("must give the socket's absolute path, as in unix:/run/keywright.sock")
    if len(path.encode()) > UNIX_PATH_MAX_BYTES:
        raise ValueError(f"has a socket path of more than {UNIX_PATH_MAX_BYTES} bytes")
    return UnixAddress(Path(path))


def _what_is_wrong(text: str) -> str:
    if text.count(":") > 1 and _IPV6_CHARACTERS.fullmatch(text):
        return "must have an IPv6 address in brackets, as in [::1]:7700"
    if text.startswith(":"):
        return "needs a host: 127.0.0.1 for this machine only, 0.0.0.0 or [::] for all networks"
    return "must be <host>:<port>, as in 127.0.0.1:7700 or [::1]:7700"


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_ipv4_or_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return len(host) <= _HOST_NAME_MAX_LENGTH and _HOST_NAME.fullmatch(host) is not None
    return True

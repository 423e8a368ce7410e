"""Who is at the other end, as the proxy in front of a private socket tells it.

The proxy writes the keys over whatever a client has sent. So they are believed over that socket,
which nobody else can reach, and read nowhere else.
"""

from collections.abc import Iterable
from functools import lru_cache

from keywright.domain.keys import Address, parse_address
from keywright.wire.json_body import PATH_KEY

ADDRESS_KEY = "x-keywright-peer"
CERTIFIED_KEY = "x-keywright-certified"
CERTIFIED = "true"


@lru_cache(maxsize=4096)  # the same for all calls over one connection
def address_of(host: str) -> Address | None:
    """The IP address that `host` says, without its zone; None if it says none."""
    try:
        return parse_address(host.partition("%")[0])
    except ValueError:
        return None


def told_address(metadata: Iterable[tuple[str, str | bytes]]) -> Address | None:
    """The client's address; None if none is told, or not exactly one."""
    told = _told(metadata, ADDRESS_KEY)
    return address_of(told) if told else None


def told_certified(metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Whether the proxy has verified a certificate of the client's."""
    return _told(metadata, CERTIFIED_KEY) == CERTIFIED


def told_json_path(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The path of what was JSON, and the proxy has made a call of; empty if it was none."""
    return _told(metadata, PATH_KEY)


def _told(metadata: Iterable[tuple[str, str | bytes]], key: str) -> str:
    values = [value for name, value in metadata if name == key]
    return str(values[0]) if len(values) == 1 else ""

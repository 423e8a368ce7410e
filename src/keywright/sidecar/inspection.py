"""What the headers of a request say, and which of them make it one to refuse.

Applications read headers in more ways than one: CGI and WSGI take `X_Keywright_User` for
`X-Keywright-User`, frameworks take the method or the path from headers of their own, and a proxy
removes whatever `Connection` lists, or makes a tunnel of a connection that is upgraded. A request
that uses any of these against what is decided here is refused.
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from keywright.sidecar.headers import IdentityHeaders

Name = TypeVar("Name", str, bytes)

# An application that honours them does something else than what was decided about. SCRIPT_NAME
# tells gunicorn where it is mounted: with /public, it serves /public/admin as /admin.
_OVERRIDES = frozenset(
    {
        "script-name",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    }
)
_CONNECTION = "connection"
_UPGRADE = "upgrade"
_WEBSOCKET = "websocket"
# What is in a name that an application may take for another one: CGI has `_` for each of these.
_ODD = re.compile(r"[^a-z0-9-]")


class RefusedHeader(Exception):
    """A header that would undo the decision; the message names it."""


class HeaderInspection:
    """Looks for headers that would undo a decision.

    Args:
        identity: what the headers that tell who asks are called.
        key_headers: those that a key may be in, in lower case.
        told: those that a proxy tells the original request in, in lower case.
    """

    def __init__(
        self, identity: IdentityHeaders, key_headers: Collection[str], told: Collection[str] = ()
    ) -> None:
        self._protected = frozenset((*identity.names, *key_headers, *told))
        self._key_headers = frozenset(key_headers)
        self._of_interest = frozenset((*told, *_OVERRIDES, _CONNECTION, _UPGRADE))

    def may_have_key(self, name: str) -> bool | None:
        """Whether a key may be in a header of this name; None if it makes no difference at all.

        Proxies tell names in lower case. Any other that is not plain makes a difference: it may
        stand for one that does. What begins with a colon is none of a client's (HTTP/2).
        """
        if name.lower() in self._key_headers:
            return True
        if name in self._of_interest or (_ODD.search(name) and not name.startswith(":")):
            return False
        return None

    def check(self, headers: Iterable[tuple[str, str]]) -> None:
        """Do nothing if all is well.

        Raises:
            RefusedHeader: one of them, its name in any case, would undo the decision.
        """
        upgrades = 0
        for given, value in headers:
            name = given.lower()
            if name == _CONNECTION:
                self._refuse_to_hide(value)
            elif name == _UPGRADE:
                upgrades += 1
                self._refuse_to_tunnel(value, upgrades)
            elif name in _OVERRIDES or _ODD.search(name):
                self._refuse_other_spelling(name)

    def _refuse_other_spelling(self, name: str) -> None:
        spelt = _ODD.sub("-", name)
        if spelt in _OVERRIDES:
            raise RefusedHeader(f"the header {spelt} would change what was decided about")
        if spelt in self._protected:
            raise RefusedHeader(f"a header stands for {spelt} in another spelling")

    @staticmethod
    def _refuse_to_tunnel(value: str, count: int) -> None:
        # What is sent after it is not asked about: h2c would be any request to the application.
        if count > 1 or value.strip(" \t").lower() != _WEBSOCKET:
            raise RefusedHeader("Upgrade asks for something else than a WebSocket")

    def _refuse_to_hide(self, value: str) -> None:
        for option in value.lower().split(","):
            name = _ODD.sub("-", option.strip(" \t"))
            if name in self._protected or name in _OVERRIDES:
                raise RefusedHeader(f"Connection lists {name}, which is no matter of a connection")


class NameTable(dict[Name, bool | None]):
    """What is known of headers by their names, as they are on the wire: looked up at each request.

    Clients choose names, so only so many are remembered, and none that is long.

    Args:
        find: tells of a name that is not remembered.
    """

    MAX_COUNT = 1_000
    MAX_LENGTH = 100

    def __init__(self, find: Callable[[Name], bool | None]) -> None:
        super().__init__()
        self._find: Callable[[Name], bool | None] = find

    def __missing__(self, name: Name) -> bool | None:
        found = self._find(name)
        if len(self) < self.MAX_COUNT and len(name) <= self.MAX_LENGTH:
            self[name] = found
        return found

"""The credential that a request presents: one, or none."""

from collections.abc import Iterable
from urllib.parse import unquote

from keywright.sdk.connection.credentials import Secret
from keywright.sdk.errors import InvalidArgument

AUTHORIZATION = "authorization"


def presented(headers: Iterable[tuple[str, str]], api_key_header: str | None) -> Secret | None:
    """The token in `Authorization: Bearer <token>`, or in the header of that (lower-case) name.

    Never that of a query string, which is in logs and histories. None if there is none; another
    scheme than Bearer is none.

    Raises:
        InvalidArgument: `CREDENTIAL_AMBIGUOUS`: there are several, or what is none. What takes
            the first of two, and what the last, would not mean the same one.
    """
    found = [(name, value) for name, value in headers if name in {AUTHORIZATION, api_key_header}]
    if not found:
        return None
    if len(found) > 1:
        raise _ambiguous("more than one credential is presented")
    [(name, value)] = found
    if name == AUTHORIZATION:
        scheme, _, value = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
    token = value.strip()
    if not token or "," in token or not token.isprintable() or " " in token:
        raise _ambiguous("what is presented is not one token")
    return Secret(token)


def address_of(peer: str) -> str:
    """The address in what gRPC calls a peer, `ipv4:192.0.2.1:4711`; empty if it has none."""
    kind, _, rest = unquote(peer).partition(":")
    return without_zone(rest.rpartition(":")[0].strip("[]")) if kind in {"ipv4", "ipv6"} else ""


def without_zone(address: str) -> str:
    """The address; empty if it has a zone, `fe80::1%eth0`.

    A zone is a matter of this machine: the server takes none, and in a network there is none.
    Without an address, only keys that are bound to networks are denied.
    """
    return "" if "%" in address else address


def _ambiguous(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="CREDENTIAL_AMBIGUOUS")

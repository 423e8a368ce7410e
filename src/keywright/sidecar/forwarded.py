"""The original request, as a trusted proxy tells it in headers of its own."""

from collections.abc import Sequence
from ipaddress import ip_address

from keywright.programs.addresses import unmapped
from keywright.sidecar.config import Network, OriginalRequest
from keywright.sidecar.planning import Request


class MisleadingProxy(Exception):
    """A proxy tells no original request, or two; the message says which part of it."""


def original_request(
    headers: tuple[tuple[str, str], ...], names: OriginalRequest, trusted: Sequence[Network]
) -> Request:
    """What the client asked of the proxy.

    Args:
        headers: those that the proxy sent, names in lower case.
        names: where it tells the original request.
        trusted: proxies whose own addresses are none of a client.

    Raises:
        MisleadingProxy: a header is missing, or there twice, so that one may be the client's.
    """
    method = target = client = None
    for name, value in headers:
        if name == names.method:
            method = _once(name, method, value)
        elif name == names.target:
            target = _once(name, target, value)
        elif name == names.client_address:
            client = _once(name, client, value)
    if not method or not target:
        raise MisleadingProxy(f"the proxy does not send {names.method} and {names.target}")
    return Request(method, target, headers, client_address(client or "", trusted))


def client_address(forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The last address of `X-Forwarded-For` that is no trusted proxy's; empty if there is none.

    What stands before it was sent by that client, and may be anything: it is not looked at.

    Raises:
        MisleadingProxy: what a trusted proxy has added is no address.
    """
    if not forwarded_for:
        return ""
    found = ""
    for text in reversed(forwarded_for.split(",")):
        try:
            address = unmapped(ip_address(text.strip()))
        except ValueError:
            raise MisleadingProxy("what the proxy sends for the client's address is none") from None
        found = str(address)
        if not any(address in network for network in trusted):
            break
    return found  # of them all trusted the first: a client on the proxy's own machine or network


def _once(name: str, before: str | None, value: str) -> str:
    if before is not None:
        raise MisleadingProxy(f"{name} is there twice")
    return value

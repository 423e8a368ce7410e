"""Where a client is, as far as it can be believed."""

from collections.abc import MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import Headers

from keywright.console.config import Network
from keywright.programs.addresses import unmapped


def client_address(scope: MutableMapping[str, Any], trusted_proxies: Sequence[Network]) -> str:
    """The client's IP address: the last one in `X-Forwarded-For` that is no proxy's of ours.

    Empty where nothing tells it, over a UNIX socket without a proxy that does.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    told = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    hops = [peer, *(each.strip() for each in reversed(told))]
    found = ""
    for hop in hops:
        if hop == "" and found == "":
            continue  # a UNIX socket: who connects to it is trusted
        try:
            address = unmapped(ip_address(hop.partition("%")[0]))
        except ValueError:
            break
        found = str(address)
        if not any(address in network for network in trusted_proxies):
            break
    return found

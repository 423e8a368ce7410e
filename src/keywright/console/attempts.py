"""How often somebody may try to sign in."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

_MINUTE_SECONDS = 60.0
_IPV6_PREFIX = 64  # what one customer of a provider has


class Attempts:
    """Counts attempts of each address, as many a minute as are given, with bounded memory.

    An address that has not tried for long is forgotten first. Each has a bucket that fills again
    evenly, so that there is no moment at which twice as many go through.

    Args:
        per_minute: how many.
        max_count: how many addresses are remembered.
        clock: seconds.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        max_count: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._max_count = max_count
        self._clock = clock
        self._full_again: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """Count an attempt; how long to wait instead if it is one too many, else 0."""
        now, each = self._clock(), _MINUTE_SECONDS / self._per_minute
        place = _place(address)
        full_again = max(self._full_again.get(place, now), now) + each
        too_early = full_again - now - _MINUTE_SECONDS
        if too_early > each / 1_000:  # less is what floats lose
            return too_early
        self._full_again[place] = full_again
        self._full_again.move_to_end(place)
        if len(self._full_again) > self._max_count:
            self._full_again.popitem(last=False)
        return 0.0


def _place(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _IPV6_PREFIX), strict=False))
    return address

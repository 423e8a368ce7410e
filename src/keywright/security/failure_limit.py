"""How many wrong secrets a source may have computed, told before anything is computed."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network

from keywright.domain.keys import Address

BURST = 10
PER_SECOND = 1.0
SOURCES_MAX_COUNT = 10_000
_SITE_BITS = 48  # whoever has one IPv6 address may have a /48 of them (RFC 6177)


class FailureLimitedError(Exception):
    """The source has used its share up; nothing was computed. `seconds` until the next."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong secrets; the next in {seconds:.1f} s")
        self.seconds = seconds


class FailureLimit:
    """A token bucket for each source: `BURST` at once, then `PER_SECOND`.

    Full, it forgets the source that was longest quiet, which starts anew. `now` are seconds of a
    clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # What a source has left, and when that was.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0

    def take(self, source: str) -> None:
        """Use one of the source's share up.

        Raises:
            FailureLimitedError: nothing is left of it.
        """
        now = self._now()
        left = self._refilled(source, now)
        if left < 1:
            self.refused += 1
            raise FailureLimitedError((1 - left) / PER_SECOND)
        self._left[source] = (left - 1, now)
        self._left.move_to_end(source)
        if len(self._left) > SOURCES_MAX_COUNT:
            self._left.popitem(last=False)

    def give_back(self, source: str) -> None:
        """The secret was right, or nothing was computed: it counts for nothing."""
        if source in self._left:
            now = self._now()
            self._left[source] = (min(BURST, self._refilled(source, now) + 1), now)

    def __len__(self) -> int:
        return len(self._left)

    def _refilled(self, source: str, now: float) -> float:
        left, since = self._left.get(source, (BURST, now))
        return min(BURST, left + (now - since) * PER_SECOND)


def source_of(address: Address | None, caller: str) -> str:
    """Whose share counts: that of the client's address; if that is not told, the caller's."""
    if address is None:
        return caller
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SITE_BITS), strict=False))
    return str(address)

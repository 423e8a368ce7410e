"""How often a source may be wrong, told before anything is done for it."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network

from keywright.domain.keys import Address

BURST = 10
PER_SECOND = 1.0
SOURCES_MAX_COUNT = 10_000
_SITE_BITS = 48  # whoever has one IPv6 address may have a /48 of them (RFC 6177)


class FailureLimitedError(Exception):
    """The source has used its share up; nothing was done. `seconds` until the next."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many failures; the next try in {seconds:.1f} s")
        self.seconds = seconds


class FailureLimit:
    """A token bucket for each source: `burst` failures at once, then `per_second`.

    Full, it forgets the source that was longest quiet, which starts anew. `now` are seconds of a
    clock that never goes back.
    """

    def __init__(
        self, now: Callable[[], float], *, burst: float = BURST, per_second: float = PER_SECOND
    ) -> None:
        self._now = now
        self._burst = burst
        self._per_second = per_second
        # What a source has left, and when that was.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0

    def take(self, source: str) -> None:
        """Use one of the source's share up, before it is known whether that fails.

        Raises:
            FailureLimitedError: nothing is left of it.
        """
        left = self._refilled(source, self._now())
        if left < 1:
            self.refused += 1
            raise FailureLimitedError((1 - left) / self._per_second)
        self.failed(source)

    def admits(self, source: str) -> bool:
        """Whether something is left of the source's share."""
        if source not in self._left or self._refilled(source, self._now()) >= 1:
            return True
        self.refused += 1
        return False

    def failed(self, source: str) -> None:
        """Use one of the source's share up: it has failed.

        What failed although nothing was left, because it was under way already, is a debt.
        """
        now = self._now()
        self._left[source] = (max(-self._burst, self._refilled(source, now) - 1), now)
        self._left.move_to_end(source)
        if len(self._left) > SOURCES_MAX_COUNT:
            self._left.popitem(last=False)

    def give_back(self, source: str) -> None:
        """The secret was right, or nothing was computed: it counts for nothing."""
        if source in self._left:
            now = self._now()
            self._left[source] = (min(self._burst, self._refilled(source, now) + 1), now)

    def __len__(self) -> int:
        return len(self._left)

    def _refilled(self, source: str, now: float) -> float:
        left, since = self._left.get(source, (self._burst, now))
        return min(self._burst, left + (now - since) * self._per_second)


def source_of(address: Address | None, caller: str) -> str:
    """Whose share counts: that of the client's address; if that is not told, the caller's."""
    if address is None:
        return caller
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SITE_BITS), strict=False))
    return str(address)

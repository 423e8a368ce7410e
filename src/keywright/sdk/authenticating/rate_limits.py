"""How often keys are used, beside what each may be: a bucket of tokens for each."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

from keywright.sdk.authenticating.leased_cache import steady_seconds
from keywright.sdk.errors import ResourceExhausted
from keywright.sdk.values.results import RateLimit

KEYS_MAX_COUNT = 10_000
"""Keys whose use is remembered; the longest unused go first."""


class RateLimits:
    """Counts, approximately: each process for itself, and what makes room is forgotten.

    A key has as many tokens as its limit has requests. A use takes one, and they come back evenly
    over the limit's period. So a key that was idle may be used `requests` times at once, and in any
    period less than twice that. Threads may share it.

    Args:
        clock: seconds, as `steady_seconds`.
        max_count: of how many keys it remembers the use.
    """

    def __init__(
        self, clock: Callable[[], float] = steady_seconds, max_count: int = KEYS_MAX_COUNT
    ) -> None:
        self._clock = clock
        self._max_count = max_count
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens; as of when

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, limit: RateLimit) -> None:
        """Count a use of a key.

        Raises:
            ResourceExhausted: `RATE_LIMITED`, with a `retry_delay`; it was not counted.
        """
        each = limit.period.total_seconds() / limit.requests
        with self._lock:
            now = self._clock()
            tokens, since = self._buckets.get(key, (float(limit.requests), now))
            tokens = min(limit.requests, tokens + (now - since) / each)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, now)
            self._buckets.move_to_end(key)
            if len(self._buckets) > self._max_count:
                self._buckets.popitem(last=False)
        if not allowed:
            raise ResourceExhausted(
                f"the key may be used {limit.requests} times in {limit.period}",
                reason="RATE_LIMITED",
                retry_delay=timedelta(seconds=(1 - tokens) * each),
            )

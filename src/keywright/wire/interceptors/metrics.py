"""Counts and durations of calls, by method and code.

They are counted in plain numbers, and told as metrics when somebody asks: a counter of
prometheus_client has a lock, and two of them would take a tenth of an answer from memory. All of
it happens on the thread of the event loop, but for the asking, which only reads.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from keywright.domain.errors import STATUS, Reason
from keywright.wire.errors import Failure
from keywright.wire.rpc import Method, Reply, Rpc

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_NAMES = (*map(floatToGoString, _BOUNDS), "+Inf")
_IN_FLIGHT = Gauge("keywright_calls_in_flight", "Calls that have begun and not ended.")


@dataclass(slots=True)
class Durations:
    """How long calls of one method took, in seconds: how many were within each bound."""

    counts: list[int] = field(default_factory=lambda: [0] * len(_NAMES))
    total: float = 0

    def add(self, seconds: float) -> None:
        """One more call."""
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds


class Calls(Collector):
    """All calls of this process that have ended: by method, code and reason."""

    def __init__(self) -> None:
        self.ended: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)

    def collect(self) -> Iterator[Metric]:
        """Tell them, on whichever thread."""
        labels = ["method", "code", "reason"]
        calls = CounterMetricFamily("keywright_calls", "Calls that ended.", labels=labels)
        for key, count in list(self.ended.items()):
            calls.add_metric(key, count)
        took = HistogramMetricFamily(
            "keywright_call_duration_seconds",
            "How long calls took in the server, but for the transport.",
            labels=labels[:1],
        )
        for method, durations in list(self.durations.items()):
            within = zip(_NAMES, map(float, accumulate(durations.counts)), strict=True)
            took.add_metric([method], list(within), durations.total)
        yield from (calls, took)


_CALLS = Calls()
REGISTRY.register(_CALLS)


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts the calls of one method that the chain does not see, at less cost."""

    method: str
    ok: tuple[str, str, str]
    durations: Durations

    @classmethod
    def of(cls, method: Method) -> Self:
        """What counts calls of `method`."""
        name = f"{method.service}/{method.name}"
        return cls(name, (name, "OK", ""), _CALLS.durations[name])

    def allowed(self, seconds: float) -> None:
        """A call was answered."""
        _CALLS.ended[self.ok] += 1
        self.durations.add(seconds)

    def denied(self, reason: Reason, seconds: float) -> None:
        """A call was answered by a denial."""
        _CALLS.ended[self.method, STATUS[reason].value, reason.value] += 1
        self.durations.add(seconds)


async def metrics(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """Count the call. Labels are from closed sets: nothing a caller sends can make new series."""
    method = f"{rpc.method.service}/{rpc.method.name}"
    began = time.monotonic()
    code, reason = "CANCELLED", ""
    _IN_FLIGHT.inc()
    try:
        reply = await proceed(rpc)
    except Failure as failed:
        code, reason = failed.code, failed.reason.value
        raise
    else:
        code = "OK"
        return reply
    finally:
        _IN_FLIGHT.dec()
        _CALLS.ended[method, code, reason] += 1
        _CALLS.durations[method].add(time.monotonic() - began)

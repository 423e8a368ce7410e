"""Counts and durations of calls, by method and code."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from prometheus_client import Counter, Gauge, Histogram

from keywright.domain.errors import STATUS, Reason
from keywright.wire.errors import Failure
from keywright.wire.rpc import Method, Reply, Rpc

_CALLS = Counter("keywright_calls", "Calls that ended.", ["method", "code", "reason"])
_SECONDS = Histogram(
    "keywright_call_duration_seconds",
    "How long calls took in the server, but for the transport.",
    ["method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_IN_FLIGHT = Gauge("keywright_calls_in_flight", "Calls that have begun and not ended.")


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts the calls of one method that the chain does not see, at less cost."""

    method: str
    ok: Counter
    seconds: Histogram
    denials: dict[Reason, Counter] = field(default_factory=dict)

    @classmethod
    def of(cls, method: Method) -> Self:
        """The counters of `method`."""
        name = f"{method.service}/{method.name}"
        return cls(name, _CALLS.labels(name, "OK", ""), _SECONDS.labels(name))

    def allowed(self, seconds: float) -> None:
        """A call was answered."""
        self.ok.inc()
        self.seconds.observe(seconds)

    def denied(self, reason: Reason, seconds: float) -> None:
        """A call was answered by a denial."""
        counter = self.denials.get(reason)
        if counter is None:
            code = STATUS[reason].value
            counter = self.denials[reason] = _CALLS.labels(self.method, code, reason.value)
        counter.inc()
        self.seconds.observe(seconds)


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
        _CALLS.labels(method, code, reason).inc()
        _SECONDS.labels(method).observe(time.monotonic() - began)

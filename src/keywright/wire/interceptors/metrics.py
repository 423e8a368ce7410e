"""Counts and durations of calls, by method and code."""

import time
from collections.abc import Awaitable, Callable

from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram

from keywright.wire.errors import Failure
from keywright.wire.rpc import Rpc

_CALLS = Counter("keywright_calls", "Calls that ended.", ["method", "code", "reason"])
_SECONDS = Histogram(
    "keywright_call_duration_seconds",
    "How long calls took, from the first interceptor to the reply.",
    ["method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_IN_FLIGHT = Gauge("keywright_calls_in_flight", "Calls that have begun and not ended.")


async def metrics(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Message]]) -> Message:
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

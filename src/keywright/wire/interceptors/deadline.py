"""A deadline travels: no call of ours outlives its caller's patience, and none is without one."""

import asyncio
from collections.abc import Awaitable, Callable

from keywright.domain.errors import Reason, ServiceError
from keywright.wire.rpc import Reply, Rpc

_ROUNDED_FROM = 10.0


async def deadline(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Reply]]) -> Reply:
    """End the call when its time is over: the caller's, at most ours, ours if it gave none.

    A stream lasts for as long as its caller likes, and the transport ends it at its deadline; what
    must not wait on it has a bound of its own.
    """
    if rpc.stream is not None:
        return await proceed(rpc)
    settings = rpc.backend.settings
    given = _as_meant(rpc.time_remaining())
    seconds = (
        settings.default_deadline.total_seconds()
        if given is None
        else min(given, settings.max_deadline.total_seconds())
    )
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    rpc.time_remaining = lambda: end - loop.time()
    try:
        async with asyncio.timeout_at(end):
            return await proceed(rpc)
    except TimeoutError:
        raise ServiceError(
            Reason.DEADLINE_EXCEEDED,
            "the deadline has passed; a change may or may not have been made",
        ) from None


def _as_meant(given: float | None) -> float | None:
    """The deadline as the client has it: gRPC rounds up what it sends, to 8 digits at most.

    From 10 s on that is to 100 ms, from 100 s on to 1 s; the client would give up before us.
    """
    if given is None or given < _ROUNDED_FROM:
        return given
    return given - (_ROUNDED_FROM / 100 if given < 10 * _ROUNDED_FROM else _ROUNDED_FROM / 10)

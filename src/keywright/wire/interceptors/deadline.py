"""A deadline travels: no call of ours outlives its caller's patience, and none is without one."""

import asyncio
from collections.abc import Awaitable, Callable

from google.protobuf.message import Message

from keywright.domain.errors import Reason, ServiceError
from keywright.wire.rpc import Rpc


async def deadline(rpc: Rpc, proceed: Callable[[Rpc], Awaitable[Message]]) -> Message:
    """End the call when its time is over: the caller's, at most ours, ours if it gave none."""
    settings = rpc.backend.settings
    given = rpc.time_remaining()
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

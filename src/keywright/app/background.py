"""What a server does now and then, off the path of every answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog

from keywright.domain.errors import ServiceError
from keywright.storage.failures import UnexpectedDatabaseError, explained

_log = structlog.get_logger("keywright.background")

Work = Callable[[], Awaitable[None]]


@asynccontextmanager
async def repeating(
    what: str, work: Work, *, every: timedelta, at_the_end: Work | None = None
) -> AsyncIterator[None]:
    """Do `work` now and then while the block runs; what fails is logged, and tried again.

    What is under way when the block ends is finished. `at_the_end` is done then, for what would be
    lost otherwise.
    """
    ended = asyncio.Event()

    async def once(work: Work) -> None:
        try:
            await work()
        except ServiceError as error:
            _log.warning("background work failed", work=what, error=explained(error))
        except UnexpectedDatabaseError as error:
            _log.error("background work failed", work=what, error=str(error))

    async def now_and_then() -> None:
        while not await _set_within(ended, every):
            await once(work)

    working = asyncio.create_task(now_and_then())
    try:
        yield
    finally:
        ended.set()
        await asyncio.wait([working])
        if at_the_end is not None:
            await once(at_the_end)


async def _set_within(event: asyncio.Event, time: timedelta) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), time.total_seconds())
    return event.is_set()

"""What a server does now and then, off the path of every answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from keywright.domain.errors import ServiceError
from keywright.storage.failures import UnexpectedDatabaseError, explained

_log = structlog.get_logger("keywright.background")

Work = Callable[[], Awaitable[None]]


@asynccontextmanager
async def repeating(
    what: str, work: Work, *, every: timedelta, at_the_end: bool = False
) -> AsyncIterator[None]:
    """Do `work` now and then while the block runs; what fails is logged, and tried again.

    `at_the_end` does it once more after the block, for what would be lost otherwise.
    """

    async def once() -> None:
        try:
            await work()
        except ServiceError as error:
            _log.warning("background work failed", work=what, error=explained(error))
        except UnexpectedDatabaseError as error:
            _log.error("background work failed", work=what, error=str(error))

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(every.total_seconds())
            await once()

    working = asyncio.create_task(now_and_then())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])
        if at_the_end:
            await once()

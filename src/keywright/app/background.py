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

# How long the end waits for each: a database that says nothing must not keep a server from ending.
_END_PATIENCE = timedelta(seconds=10)


@asynccontextmanager
async def repeating(
    what: str, work: Work, *, every: timedelta, at_the_end: Work | None = None
) -> AsyncIterator[None]:
    """Do `work` now and then while the block runs; what fails is logged, and tried again.

    What is under way when the block ends is finished. `at_the_end` is done then, for what would be
    lost otherwise. Neither is waited for any longer than `_END_PATIENCE`.
    """
    ended = asyncio.Event()

    async def once(work: Work) -> None:
        try:
            await work()
        except ServiceError as error:
            _log.warning("background work failed", work=what, error=explained(error))
        except UnexpectedDatabaseError as error:
            _log.error("background work failed", work=what, error=str(error))
        except Exception:  # noqa: BLE001  whatever it is, it must not be the last time
            _log.exception("background work failed", work=what)

    async def now_and_then() -> None:
        while not await _set_within(ended, every):
            await once(work)

    working = asyncio.create_task(now_and_then())
    try:
        yield
    finally:
        ended.set()
        await _ended(working)
        if at_the_end is not None:
            await _ended(asyncio.create_task(once(at_the_end)))


async def _ended(task: "asyncio.Task[None]") -> None:
    """Wait for a task, and cancel it if it takes too long."""
    await asyncio.wait([task], timeout=_END_PATIENCE.total_seconds())
    if task.cancel():
        await asyncio.wait([task])


async def _set_within(event: asyncio.Event, time: timedelta) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), time.total_seconds())
    return event.is_set()

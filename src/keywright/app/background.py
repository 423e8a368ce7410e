"""What a server does now and then, off the path of every answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from keywright.domain.errors import ServiceError
from keywright.storage.failures import UnexpectedDatabaseError, explained

_log = structlog.get_logger("keywright.background")

Work = Callable[[], Awaitable[None]]

# How long the end waits: a database that says nothing must not keep a server from ending.
_END_PATIENCE = timedelta(seconds=3)


@dataclass(slots=True)
class Background:
    """What one server does so; at its end all of it has `_END_PATIENCE` together."""

    _until: float | None = None

    @asynccontextmanager
    async def repeating(
        self, what: str, work: Work, *, every: timedelta, at_the_end: Work | None = None
    ) -> AsyncIterator[None]:
        """Do `work` now and then while the block runs; what fails is logged, and tried again.

        What is under way when the block ends is finished. `at_the_end` is done then, for what would
        be lost otherwise.
        """
        ended = asyncio.Event()

        async def now_and_then() -> None:
            while not await _set_within(ended, every):
                await _once(what, work)

        working = asyncio.create_task(now_and_then())
        try:
            yield
        finally:
            ended.set()
            await self._ended(working)
            if at_the_end is not None:
                await self._ended(asyncio.create_task(_once(what, at_the_end)))

    async def _ended(self, task: "asyncio.Task[None]") -> None:
        """Wait for a task, and cancel it if the time is over."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + _END_PATIENCE.total_seconds()
        await asyncio.wait([task], timeout=max(0, self._until - now))
        if task.cancel():
            await asyncio.wait([task])


async def _once(what: str, work: Work) -> None:
    try:
        await work()
    except ServiceError as error:
        _log.warning("background work failed", work=what, error=explained(error))
    except UnexpectedDatabaseError as error:
        _log.error("background work failed", work=what, error=str(error))
    except Exception:  # noqa: BLE001  whatever it is, it must not be the last time
        _log.exception("background work failed", work=what)


async def _set_within(event: asyncio.Event, time: timedelta) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), time.total_seconds())
    return event.is_set()

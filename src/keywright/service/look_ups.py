"""Look-ups of secrets by prefix, those that arrive together in one query.

While a query is under way, what comes gathers for the next one, so a flood of misses costs a few
queries, each a little larger. A prefix that is being looked up already is not asked for again: who
joins is told what was true before it came, which the caller has to check (the refill guard). What
nobody waits for any more is not asked for.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from keywright.domain.errors import Reason, ServiceError
from keywright.storage.credentials import FoundSecret, Seen
from keywright.storage.database import Database

_QUERIES_MAX_COUNT = 2
_PREFIXES_MAX_COUNT = 128
WAITING_MAX_COUNT = 10_240
"""Prefixes that wait, each less than 1 KiB: as many as are asked for at once after a restart."""

Answer = tuple[FoundSecret | None, Seen]


@dataclass(slots=True, eq=False)
class _Asked:
    """A prefix that is asked for, and how many want to know."""

    answer: "asyncio.Future[Answer]"
    waiting: int = 0


@dataclass(slots=True)
class LookUps:
    """Looks prefixes up, together."""

    database: Database
    queries: int = 0
    rejected: int = 0
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _waiting: dict[str, None] = field(default_factory=dict)
    _running: int = 0
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def look_up(self, prefix: str, *, in_vain: Callable[[], None]) -> Answer:
        """The secret of that prefix, if there is one, and when that was seen.

        `in_vain` is called if there is none, but whoever asked has left before that was known.

        Raises:
            ServiceError: OVERLOADED, too many wait.
            Unavailable: the database cannot be reached.
        """
        asked = self._asked.get(prefix)
        if asked is None:
            if len(self._asked) >= WAITING_MAX_COUNT:
                self.rejected += 1
                raise ServiceError(
                    Reason.OVERLOADED, "too many tokens are being looked up; try again"
                )
            asked = self._asked[prefix] = _Asked(asyncio.get_running_loop().create_future())
            self._waiting[prefix] = None
            if self._running < _QUERIES_MAX_COUNT:
                self._start()
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.answer)
        except asyncio.CancelledError:
            asked.answer.add_done_callback(lambda answer: _left(answer, in_vain))
            raise
        finally:
            asked.waiting -= 1
            is_waiting = prefix in self._waiting and self._asked[prefix] is asked
            if is_waiting and not asked.waiting:
                del self._waiting[prefix], self._asked[prefix]

    @property
    def waiting(self) -> int:
        """How many prefixes wait for an answer."""
        return len(self._asked)

    def _start(self) -> None:
        # A task of its own: whoever asked first may leave, and the others still wait.
        task = asyncio.create_task(self._run())
        self._running += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked = list(islice(self._waiting, _PREFIXES_MAX_COUNT))
                for prefix in asked:
                    del self._waiting[prefix]
                await self._ask(asked)
        finally:
            # In the very step that found nobody waiting: who comes next has to start another.
            self._running -= 1

    async def _ask(self, prefixes: Sequence[str]) -> None:
        self.queries += 1
        try:
            async with self.database.reading() as reads:
                seen = await reads.credentials.look_up(prefixes)
        except BaseException as error:
            failure = error if isinstance(error, Exception) else ConnectionAbortedError()
            for prefix in prefixes:
                self._end(prefix, failure)
            if failure is not error:
                raise
        else:
            for prefix in prefixes:
                failed = seen.broken.get(prefix)
                self._end(prefix, failed or (seen.found.get(prefix), seen))

    def _end(self, prefix: str, answer: Answer | Exception) -> None:
        waiting = self._asked.pop(prefix).answer
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
            waiting.exception()  # looked at, in case everybody who waited has gone
        else:
            waiting.set_result(answer)


def _left(answer: "asyncio.Future[Answer]", in_vain: Callable[[], None]) -> None:
    if not answer.cancelled() and answer.exception() is None and answer.result()[0] is None:
        in_vain()

"""Argon2 off the event loop, on a bounded number of threads with a bounded queue before them.

Why threads, for a job of half a millisecond: argon2-cffi releases the GIL while it computes, so
threads use all cores and the event loop goes on. Measured on 2 cores, `TOKEN` profile: inline
0.44 ms, through the pool 0.52 ms. With 32 verifies in flight, inline 2,200/s with the event loop
held for 14 ms at a stretch; through the pool 3,400 to 3,900/s with the loop held for 0.01 ms. Eight
hundredths of a millisecond buy that cached calls never wait for cold ones.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import Parameters

from keywright.domain.secret import Secret
from keywright.security.hashing import hash_secret, verify_secret

_Result = TypeVar("_Result")

DEFAULT_MAX_WAITING = 10_240
"""Jobs, about three seconds of `TOKEN` verifies on two threads: so many tokens may be presented at
once to a server that was just started. A waiting job holds less than 2 KiB; Argon2's own memory is
bounded by the number of threads."""


class HashPoolFullError(Exception):
    """The bound of waiting jobs is reached; nothing was computed. The caller may try later."""


class _CallerGoneError(Exception):
    """Ends a job whose caller was cancelled while it waited; nobody sees it."""


@dataclass(frozen=True, slots=True)
class HashPoolStats:
    """A consistent view of the pool at one moment.

    Attributes:
        in_flight: jobs that are being computed; at most the number of threads.
        waiting: jobs admitted and not begun, those of cancelled callers included.
        started: jobs that were begun, in total: how often Argon2 ran.
        rejected: jobs refused with `HashPoolFullError`, in total.
    """

    in_flight: int
    waiting: int
    started: int
    rejected: int


class HashPool:
    """`threads` threads (default: one a core) and at most `max_waiting` jobs waiting for them.

    Memory is bounded by `threads` times the profile's memory. A caller that is cancelled (its
    deadline has passed) while its job waits costs no Argon2 time; its slot is free again as soon as
    a thread reaches it. A job that has begun runs to its end.

    Raises:
        ValueError: `threads` or `max_waiting` is below 1.
    """

    def __init__(
        self, *, threads: int | None = None, max_waiting: int = DEFAULT_MAX_WAITING
    ) -> None:
        self.threads = threads if threads is not None else os.cpu_count() or 1
        self.max_waiting = max_waiting
        if self.threads < 1 or max_waiting < 1:
            raise ValueError("a hash pool needs at least 1 thread and 1 place to wait")
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="argon2")
        self._lock = threading.Lock()  # counters change on the event loop and on the threads
        self._in_flight = 0
        self._waiting = 0
        self._started = 0
        self._rejected = 0

    async def hash(self, secret: Secret[bytes], parameters: Parameters, salt: bytes) -> str:
        """`hashing.hash_secret` on a thread.

        Raises:
            HashPoolFullError: too many jobs wait already.
        """
        return await self.run(lambda: hash_secret(secret, parameters, salt))

    async def verify(self, phc: str, secret: Secret[bytes]) -> bool:
        """`hashing.verify_secret` on a thread.

        Raises:
            HashPoolFullError: too many jobs wait already.
            UnusableHashError: `phc` is no Argon2 hash, or one that costs too much.
        """
        return await self.run(lambda: verify_secret(phc, secret))

    def stats(self) -> HashPoolStats:
        """The counters, for metrics."""
        with self._lock:
            return HashPoolStats(self._in_flight, self._waiting, self._started, self._rejected)

    def close(self) -> None:
        """Finish what was admitted and end the threads; later calls raise RuntimeError."""
        self._executor.shutdown(wait=True)

    async def run(self, compute: Callable[[], _Result]) -> _Result:
        """`compute` on a thread; it should release the GIL, as Argon2 does.

        Raises:
            HashPoolFullError: too many jobs wait already.
        """
        caller_gone = False

        def job() -> _Result:
            with self._lock:
                self._waiting -= 1
                if caller_gone:
                    raise _CallerGoneError
                self._in_flight += 1
                self._started += 1
            try:
                return compute()
            finally:
                with self._lock:
                    self._in_flight -= 1

        outcome = asyncio.wrap_future(self._admit(job))
        try:
            # Cancelling the job itself would free its slot while it still stands in the executor's
            # queue: callers that come and go would make that queue grow without end.
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            caller_gone = True
            outcome.add_done_callback(_discard)
            raise

    def _admit(self, job: Callable[[], _Result]) -> Future[_Result]:
        with self._lock:
            if self._waiting + self._in_flight >= self.threads + self.max_waiting:
                self._rejected += 1
                raise HashPoolFullError(
                    f"{self._in_flight} hashes are being computed and {self._waiting} wait"
                )
            future = self._executor.submit(job)
            self._waiting += 1
            return future


def _discard(outcome: asyncio.Future[_Result]) -> None:
    # asyncio complains about an exception that nobody looked at.
    if not outcome.cancelled():
        outcome.exception()

"""The lease: until when this process may answer from memory, and what time it is by then.

Counted on CLOCK_BOOTTIME, which goes on while a machine sleeps, and read at the spot: the time that
an event loop remembers is old after a callback that took long. Holders use nine tenths of the
length, waiters all of it, so clocks may differ in rate by 5 %.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from keywright.domain.errors import Reason, Unavailable

HELD_SHARE = 0.9
_NEVER = float("-inf")

Clock = Callable[[], float]
"""Seconds since some moment in the past."""


boot_time: Clock = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since the machine was started, those asleep included. Not a function of Python's: each
answer asks for it several times."""


def not_leased() -> Unavailable:
    """The answer of who may not answer from memory: never a verdict about a token (promise G3)."""
    return Unavailable(
        Reason.DATABASE_UNAVAILABLE,
        "the server cannot make sure at the moment that its answer is up to date; try again",
    )


@dataclass(slots=True)
class Lease:
    """The lease of this process. `until` is a moment on `clock`.

    `time_offset` and `time_floor` give the database's clock (see `database_time`).
    """

    length: timedelta
    clock: Clock
    until: float = _NEVER
    time_offset: float = _NEVER
    time_floor: float = _NEVER

    @property
    def is_held(self) -> bool:
        """Whether answers may be given from memory, at this very moment."""
        return self.clock() < self.until

    @property
    def knows_time(self) -> bool:
        """Whether the database has ever told its clock."""
        return self.time_offset != _NEVER

    def grant(self, asked_at: float) -> None:
        """The position was current after `asked_at`: hold the lease from then on."""
        self.until = max(self.until, asked_at + HELD_SHARE * self.length.total_seconds())

    def end(self) -> None:
        """Hold no lease any more."""
        self.until = _NEVER

    def told_time(self, asked_at: float, database_time: datetime) -> None:
        """The database's clock showed `database_time` at some moment after `asked_at`."""
        now = self.clock()
        self.time_floor = self.database_time(now)
        self.time_offset = database_time.timestamp() - asked_at

    def database_time(self, now: float) -> float:
        """The latest that the database's clock can show at `now`, in seconds since 1970.

        It showed what it did after it was asked, not when, so it may be behind this by the time
        that the question was on its way. Never goes back: what has expired once stays so.
        """
        return max(self.time_floor, now + self.time_offset)

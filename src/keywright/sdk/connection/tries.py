"""When a call is made again: only where that is safe, and within its deadline.

All calls of the SDK may be repeated: reads, and changes through the `request_id` that each carries.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from keywright.sdk.connection.status import HOPELESS
from keywright.sdk.errors import KeywrightError, ResourceExhausted, Unavailable

_COUNT = 5
_FIRST_PAUSE_SECONDS = 0.1
_GROWTH = 2
# The only RESOURCE_EXHAUSTED that is about the server, and before anything was done. A key that is
# used too often is for the caller to tell, at once and with the delay.
_OVERLOADED = "OVERLOADED"


class Tries:
    """The tries of one call, five at most.

    A pause is between half of, and all of, 0.1 s, 0.2 s, 0.4 s, 0.8 s; or as long as the server
    asks for and a little longer, so that those who were sent away do not come back at once.

    Args:
        timeout: the deadline of all tries together.
        clock: seconds.
        dice: a number between two.
    """

    def __init__(
        self,
        timeout: timedelta,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._deadline = clock() + timeout.total_seconds()
        self._count = 0

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self._clock()

    def pause_after(self, error: KeywrightError) -> float | None:
        """For how many seconds to wait before the next try; None if there is none."""
        self._count += 1
        if self._count == _COUNT or not _is_worth_repeating(error):
            return None
        pause = _FIRST_PAUSE_SECONDS * _GROWTH ** (self._count - 1)
        pause = self._dice(pause / 2, pause)
        if error.retry_delay is not None:
            pause += error.retry_delay.total_seconds()
        return pause if pause < self.remaining else None


def make_repeatable(request: Message) -> None:
    """Give a change that has none a `request_id`: it is made once, however often it is sent."""
    change: Any = request
    if "request_id" in request.DESCRIPTOR.fields_by_name and not change.request_id:
        change.request_id = str(uuid4())


def _is_worth_repeating(error: KeywrightError) -> bool:
    if isinstance(error, Unavailable):
        return error.reason not in HOPELESS
    return (
        isinstance(error, ResourceExhausted)
        and error.reason == _OVERLOADED
        and error.retry_delay is not None
    )

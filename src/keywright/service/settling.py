"""Waiting until nobody can act on the old state any more (DESIGN section 5, "Waiting").

1. The reply to COMMIT is there: note the time, not before, as a process may have renewed its lease
until then. 2. On the connection that committed, look whether every process has acknowledged the
position. Another connection might still lead to an old primary, which knows of none. 3. Until they
all have, or until a lease has passed: who has not acknowledged has none any more. Both are success.

A standby that was promoted may have lost rows of processes that still hold a lease. So rows are
believed once the server that has them was known for a lease; before that, the lease passes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.position import Position
from keywright.storage.acknowledgements import Primary
from keywright.storage.database import MARGIN, Reads

_FIRST_PAUSE = timedelta(milliseconds=1)
_LONGEST_PAUSE = timedelta(milliseconds=25)
_TELLING = timedelta(seconds=1)


class UnsettledError(ServiceError):
    """The deadline ended the wait. What was to be done is done, and stands at `position`."""

    def __init__(self, position: Position, lease_length: timedelta) -> None:
        super().__init__(
            Reason.WAIT_DEADLINE_EXCEEDED,
            "the change is committed, but the deadline passed before every replica had applied it: "
            f"they may act on the old state for up to {lease_length.total_seconds():g} s longer",
            details={"committed": "true"},
        )
        self.position = position


@dataclass(slots=True)
class Settling:
    """How this installation waits, and which database it has known for how long.

    Attributes:
        lease_length: the longest that a process may answer from memory without acknowledging.
        clock: seconds, of a clock that goes on while the machine is suspended.
        catch_up: has this process apply the history up to a position.
    """

    lease_length: timedelta
    clock: Callable[[], float]
    catch_up: Callable[[Position], Awaitable[object]]
    _primary: Primary | None = None
    _since: float = 0

    def wait(self, remaining: Callable[[], timedelta | None]) -> "Wait":
        """A wait of a call of whose deadline there is `remaining`; it begins with `Wait.watch`."""
        return Wait(self, remaining)

    async def tell(self, reads: Reads, position: Position) -> None:
        """Have others notified of `position`, where nobody waits for them.

        To be called over the connection that committed it; a failure harms nothing.
        """
        with suppress(ServiceError):
            await reads.acknowledgements.first_look(position, within=_TELLING)

    async def apply(self, position: Position) -> None:
        """See that this process acts on `position`: whoever gives something sees it at once here.

        Others do when they are notified, or renew their lease.
        """
        with suppress(ServiceError):
            await self.catch_up(position)

    def believes(self, primary: Primary) -> bool:
        """Whether the rows that `primary` has are all that there were."""
        if primary != self._primary:
            self._primary, self._since = primary, self.clock()
        known = timedelta(seconds=self.clock() - self._since)
        return not primary.was_promoted or known >= self.lease_length


class Wait:
    """One call's wait: `watch` while there is the connection, and then `outlast`."""

    def __init__(self, settling: Settling, remaining: Callable[[], timedelta | None]) -> None:
        self._settling = settling
        self._remaining = remaining
        self._began = 0.0
        self._position: Position | None = None  # None: there is nothing to wait for

    @property
    def waited(self) -> timedelta:
        """For how long, since the beginning."""
        return timedelta(seconds=self._settling.clock() - self._began)

    async def watch(self, reads: Reads, position: Position, crowded: Callable[[], bool]) -> None:
        """Look whether all have acknowledged, for as long as that is of use.

        To be called at the receipt of the reply to COMMIT, over its connection. `crowded` tells
        whether others need that.

        Raises:
            UnsettledError: the deadline is near.
        """
        self._began, self._position = self._settling.clock(), position
        pause, primary = _FIRST_PAUSE, None
        # What is left may end a look, too, and the connection with it: the last of it is slept.
        while (left := self._left(position)) > pause:
            try:
                if primary is None:
                    look = reads.acknowledgements.first_look(position, within=left)
                    behind, primary = await look
                else:
                    behind = await reads.acknowledgements.behind(position, within=left)
            except ServiceError:
                return
            if not self._settling.believes(primary):
                return
            if not behind:
                self._position = None
                return
            # Processes that live acknowledge before the pauses are at their longest. Who waits for
            # a dead one would hold a connection for a whole lease, and a few of them every one
            # there is for changes: other people's would wait behind them, or be refused.
            if pause == _LONGEST_PAUSE and crowded():
                return
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def outlast(self) -> None:
        """Let what remains of the lease pass, if somebody has yet to acknowledge.

        Raises:
            UnsettledError: the deadline is near.
        """
        # Again where the loop's clock, which stands still in suspension, is before ours.
        while self._position is not None and (left := self._left(self._position)):  # noqa: ASYNC110
            await asyncio.sleep(left.total_seconds())

    def _left(self, position: Position) -> timedelta:
        """For how long to go on, before something has to be decided; nothing: the lease is over."""
        left = self._settling.lease_length - self.waited
        if left <= timedelta():
            return timedelta()
        remaining = self._remaining()
        if remaining is None:
            return left
        # The caller is to hear that it is done, before its own clock says that it may not be.
        if remaining <= MARGIN:
            raise UnsettledError(position, self._settling.lease_length)
        return min(left, remaining - MARGIN)

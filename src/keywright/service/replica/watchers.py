"""The clients whose caches answer under this process's lease (`Watch`).

Nothing is queued for a watcher: what it has yet to be told is read from the history when it can
take it, and a watcher that was left too far behind begins anew. It is told one thing at a time: the
next when it has said that it applied the one before. So what it may say is known at any moment.

A process acknowledges a step only when every watcher has, or its grant is over, so a watcher that
is slow, or gone, holds narrowings up for no longer than it was granted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.position import Position, Revision
from keywright.service.replica.history import NOWHERE, History
from keywright.service.replica.lease import HELD_SHARE, Lease

WATCHERS_MAX_COUNT = 10_000
"""Streams, each of which is told every change."""

_NEVER = float("-inf")
_UNKNOWN_STEP = -1


@dataclass(frozen=True, slots=True)
class News:
    """What a watcher is told: the changes since what it has applied; None, to drop everything."""

    position: Position
    steps: Sequence[Revision] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a watcher is: at a position, None for an empty cache, that a step led to."""

    position: Position | None = None
    step: int = _UNKNOWN_STEP


@dataclass(slots=True, eq=False)
class Watcher:
    """One stream: what its client has been told, has applied, and until when it may answer.

    Attributes:
        applied: where the client has said that it is.
        told: where it will be when it has applied what it was told; None if it has.
        granted_until: when what it was granted is over, on the lease's clock.
        wake: set whenever there may be something to do for it.
    """

    history: History
    lease: Lease
    applied: Place = Place()
    told: Place | None = None
    granted_until: float = _NEVER
    has_left: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_granted(self) -> bool:
        """Whether the client may answer by now, as far as this process knows."""
        return self.granted_until > self.lease.clock()

    def resumes(self, position: Position | None) -> None:
        """The client says, as it begins, that it has applied everything up to `position`."""
        step = None if position is None else self.history.step_at(position)
        self.applied = Place(position, _UNKNOWN_STEP if step is None else step)

    def acknowledges(self, position: Position | None) -> bool:
        """The client says that it has applied everything up to `position`.

        That may be where it was before it was told what is on its way to it. False if it is none of
        the two: this stream has never told it so.
        """
        if self.told is not None and position == self.told.position:
            self.applied, self.told = self.told, None
            return True
        return position == self.applied.position

    def news(self) -> News | None:
        """What the client is to be told now; None if there is nothing. It counts as told."""
        history = self.history
        if self.told is not None or self.applied.step == history.step:
            return None
        self.told = Place(history.applied, history.step)
        return News(history.applied, history.after(self.applied.step))

    def grant(self) -> float:
        """For how long the client may answer, in seconds from its request; 0 if it may not.

        What remains of this process's own lease, to a client at this process's own position. It is
        remembered for longer than it is given for: the client's clock may be the slower one.
        """
        if self.applied.step != self.history.step:
            return 0
        now = self.lease.clock()
        seconds = max(0, self.lease.until - now)
        self.granted_until = max(self.granted_until, now + seconds / HELD_SHARE)
        return seconds


@dataclass(slots=True)
class Watchers:
    """All watchers of this process, and those that left before their grants were over."""

    history: History
    lease: Lease
    _watchers: set[Watcher] = field(default_factory=set)

    def join(self) -> Watcher:
        """A new watcher.

        Raises:
            ServiceError: OVERLOADED, there are too many.
        """
        if len(self._watchers) >= WATCHERS_MAX_COUNT:
            raise ServiceError(Reason.OVERLOADED, "too many clients watch this server; try another")
        watcher = Watcher(self.history, self.lease)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """The stream has ended; what it was granted counts until it is over all the same."""
        if watcher.is_granted:
            watcher.has_left = True
        else:
            self._watchers.discard(watcher)

    def wake(self) -> None:
        """The history has moved: there is something to tell."""
        for each in self._watchers:
            each.wake.set()

    def __len__(self) -> int:
        return sum(not each.has_left for each in self._watchers)

    @property
    def granted_until(self) -> float:
        """When the last grant is over, on the lease's clock."""
        return max((each.granted_until for each in self._watchers), default=_NEVER)

    def acknowledged(self) -> Position:
        """The position that this process and every client under its lease have applied."""
        step = self.history.step
        for each in list(self._watchers):
            if each.is_granted:
                step = min(step, each.applied.step)
            elif each.has_left:
                self._watchers.discard(each)
        # Where a client of before a reset is cannot be said in this history: an old revision could
        # be higher than one that was given again since. So nobody may count on it, until its grant
        # is over.
        return self.history.position_at(step) or NOWHERE

"""One process among those that decide from memory: its row, its lease, its part of the history.

A loop over one connection that does nothing else (DESIGN section 5):

1. Register: a row of this process's own, in a transaction of its own. Only a renewal that begins
   after the answer gives a lease.
2. Renew: note the time, then say in one statement what is applied, and read where the history is.
3. If it is where this process is, hold the lease from the time noted.
4. Else read the changes and apply them, and renew again at once, which acknowledges them. If they
   cannot be told without a gap, nothing in the caches is true any more.
5. Wait for a third of the lease's length, or until there is a reason not to.

Now and then, remove the rows of processes that have not renewed theirs for ten lengths, by this
process's own clock.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from keywright.domain.errors import ServiceError
from keywright.domain.position import Position
from keywright.service.replica.history import History
from keywright.service.replica.lease import Lease, not_leased
from keywright.service.replica.watchers import Watchers
from keywright.storage.failures import UnexpectedDatabaseError, explained
from keywright.storage.replicas import ReplicaRows, WrongLeaseLengthError

_log = structlog.get_logger("keywright.replica")

_RENEWALS_A_LEASE = 3
_DEAD_AFTER_LENGTHS = 10
_RETRY_SECONDS = 0.1
_RETRY_SECONDS_OF_DEFECT = 1.0
_COMPLAIN_SECONDS = 60.0
_LATE_SECONDS = 0.1

OpenRows = Callable[[Callable[[], None]], AbstractAsyncContextManager[ReplicaRows]]
"""Opens the connection; is given what to call when others tell of changes."""


class _RowGoneError(Exception):
    """Others took this process for dead."""


@dataclass(slots=True)
class _Patience:
    """For how long a call waits for a renewal: the length of a lease, in which one can be done.

    Time in which the event loop did not get to its timers does not count: it was busy with the
    calls of a herd, and did not get to the renewal either.
    """

    lease: Lease
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.until = self.lease.clock() + self.lease.length.total_seconds()

    @property
    def seconds(self) -> float:
        """What is left."""
        return max(0, self.until - self.lease.clock())

    def begins_anew(self) -> bool:
        """Whether its end came late, so that it counts from now."""
        if self.lease.clock() < self.until + _LATE_SECONDS:
            return False
        self._begin()
        return True


@dataclass(slots=True)
class Replica:
    """Keeps `history` and `lease` true while `running`.

    `moved` is called whenever the position is another than before.
    """

    open_rows: OpenRows
    history: History
    lease: Lease
    watchers: Watchers
    moved: list[Callable[[], None]] = field(default_factory=list)
    renewals: int = 0
    resets: int = 0
    _id: uuid.UUID | None = None
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _next: asyncio.Event = field(default_factory=asyncio.Event)
    _counters: dict[uuid.UUID, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")
    _complaint: str = ""
    _complain_again: float = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part while the block runs; at its end nothing is decided any more.

        The row is removed when every watcher's grant is over: until then others have to wait.
        """
        loop = asyncio.create_task(self._run())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.wait([loop])
            self.lease.end()
            await self._leave()

    async def leased(self) -> None:
        """Wait until the lease is held.

        Raises:
            Unavailable: it cannot be had within its length.
        """
        patience = _Patience(self.lease)
        while not self.lease.is_held:
            await self._renewed(patience)

    async def caught_up(self, position: Position) -> bool:
        """Whether this process has applied everything up to `position`, after one renewal at most.

        Raises:
            Unavailable: the renewal was not done within a lease's length.
        """
        if not self.history.applied.has_reached(position):
            await self._renewed(_Patience(self.lease))
        return self.history.applied.has_reached(position)

    def renew_soon(self) -> None:
        """There is something to acknowledge, or perhaps to apply."""
        self._due.set()

    async def _renewed(self, patience: _Patience) -> None:
        """Wait for the end of a renewal that is yet to begin."""
        self._due.set()
        renewal = self._next
        while not renewal.is_set():
            try:
                async with asyncio.timeout(patience.seconds):
                    await renewal.wait()
            except TimeoutError:
                if not patience.begins_anew():
                    raise not_leased() from None

    async def _run(self) -> None:
        while True:
            try:
                async with self.open_rows(self._due.set) as rows:
                    await self._take_part(rows)
            except _RowGoneError:
                _log.warning("other processes took this one for dead: it registers anew")
                continue
            except (ServiceError, UnexpectedDatabaseError) as error:
                self._complain(explained(error) if isinstance(error, ServiceError) else str(error))
            except WrongLeaseLengthError as error:
                self._complain(str(error))
            except Exception:  # noqa: BLE001  whatever it is, there is no lease without this loop
                _log.exception("the lease cannot be renewed")
                await asyncio.sleep(_RETRY_SECONDS_OF_DEFECT)
            await asyncio.sleep(_RETRY_SECONDS)

    def _complain(self, error: str) -> None:
        """Say why the lease cannot be renewed, when that is new, or was said long ago."""
        now = self.lease.clock()
        if (error, True) != (self._complaint, now < self._complain_again):
            self._complaint, self._complain_again = error, now + _COMPLAIN_SECONDS
            _log.warning("the lease cannot be renewed", error=error)

    async def _take_part(self, rows: ReplicaRows) -> None:
        # Counters go back with what a failover loses: what another server said does not count.
        self._counters.clear()
        if self._id is None:
            await self._register(rows)
        every = self.lease.length.total_seconds() / _RENEWALS_A_LEASE
        while True:
            self._due.clear()
            if await self._renew(rows):
                await self._remove_dead(rows)
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await self._due.wait()

    async def _register(self, rows: ReplicaRows) -> None:
        new = uuid.uuid4()
        position = await rows.register(new, self.lease.length)
        self._id = new
        self._begin_anew(position)

    async def _renew(self, rows: ReplicaRows) -> bool:
        """One renewal; whether this process is where the history is."""
        assert self._id is not None, "it is registered"  # noqa: S101
        ended, self._next = self._next, asyncio.Event()
        try:
            asked_at = self.lease.clock()
            acknowledged = self.watchers.acknowledged()
            renewed = await rows.renew(self._id, acknowledged)
            if renewed is None:
                self._id = None
                raise _RowGoneError
            self.renewals += 1
            self.lease.told_time(asked_at, renewed.now)
            if renewed.position != self.history.applied:
                await self._catch_up(rows, renewed.position)
                return False
            self.lease.grant(asked_at)
            return acknowledged == self.watchers.acknowledged()
        finally:
            ended.set()

    async def _catch_up(self, rows: ReplicaRows, position: Position) -> None:
        revisions = await rows.since(self.history.applied, position)
        if revisions is None:
            self._begin_anew(position)
        else:
            self.history.apply(revisions)
            self._tell()

    def _begin_anew(self, position: Position) -> None:
        self.lease.end()
        self.history.reset(position)
        self.resets += 1
        self._tell()

    def _tell(self) -> None:
        for each in self.moved:
            each()
        self.watchers.wake()

    async def _remove_dead(self, rows: ReplicaRows) -> None:
        """Remove the rows whose counters stand still for so long that nothing can rest on them."""
        length = self.lease.length.total_seconds()
        asked_at = self.lease.clock()
        if asked_at < self._looked_at + length:
            return
        counters = await rows.counters()
        self._looked_at = self.lease.clock()
        for replica, counter in counters.items():
            known, since = self._counters.get(replica, (None, self._looked_at))
            if known != counter:
                since = self._looked_at
            is_dead = replica != self._id and since + _DEAD_AFTER_LENGTHS * length <= asked_at
            if is_dead and await rows.remove(replica, counter):
                _log.warning("a process that says nothing any more was removed")
            self._counters[replica] = (counter, since)
        for gone in self._counters.keys() - counters.keys():
            del self._counters[gone]

    async def _leave(self) -> None:
        """Remove this process's row, once no watcher may answer any more."""
        if self._id is None:
            return
        await asyncio.sleep(max(0, self.watchers.granted_until - self.lease.clock()))
        try:
            async with self.open_rows(lambda: None) as rows:
                await rows.remove(self._id)
        except (ServiceError, UnexpectedDatabaseError):
            _log.warning("the row of this process is left for others to remove")

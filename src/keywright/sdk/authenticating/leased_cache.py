"""Answers of `Authenticate` that a client may give again without asking, and when it may not.

The client's half of `AuthService.Watch` (protos/keywright/v1/auth_service.proto), without any
input or output. No answer leaves it that a change has taken away which returned before it was
asked for, because
1. it answers under a lease only, and a lease counts from when it was asked for: the server counts
   from when that arrived, which is later, and lets no such change return before either the lease is
   over or this client has told that it applied the change;
2. a change drops every answer that depends on what changed, before its revision is told back;
3. an answer enters only if no change since its own revision touches it, however long it was on
   its way;
4. credentials expire by the server's clock.

A lease outlives the stream that it came by, if the stream was only lost: the server remembers what
it granted until that is over. A server that refuses to go on takes it back.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from math import inf
from secrets import token_bytes
from threading import Lock
from typing import Any

from keywright.v1 import auth_service_pb2 as pb

ANSWERS_MAX_COUNT = 10_000
TOLD_MAX_COUNT = 1_000
"""Revisions, and marks that changed, to judge answers by that are on their way."""
AGE_MAX_SECONDS = 600
"""How old an answer is when the server is asked again: it tells when a key was last used."""
SENT_MAX_COUNT = 100
"""Requests for a lease that wait for their answer."""
_SERIAL_MAX = 2**31 - 1
_NANOSECONDS = 1_000_000_000


steady_seconds: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)  # Linux has it
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
"""Seconds of a clock that nobody sets and that goes on while the machine sleeps, if it can."""


class LeasedCache:
    """Answers by request; the longest unused go first. Threads may share it.

    Args:
        clock: seconds, as `steady_seconds`; never an event loop's time, which stands still while
            something blocks it.
        max_count: how many answers it holds.
        stale_seconds: for how long after a lease `get_stale` gives what was held under it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = steady_seconds,
        max_count: int = ANSWERS_MAX_COUNT,
        stale_seconds: float = 0,
    ) -> None:
        self._clock = clock
        self._secret = token_bytes(32)
        self._max_count = max_count
        self._stale_seconds = stale_seconds
        self.abandon()

    def abandon(self) -> None:
        """Forget all, also what another thread is about to do: for the child of a fork.

        There nobody watches, and a lock may be held by a thread that is not there.
        """
        self._lock = Lock()
        self._answers, self._told = _Answers(self._max_count), _Told()
        self._revision = ""
        self._serial = 0
        self._sent: dict[int, float] = {}
        self._lease_end = -inf
        self._time = _ServerTime()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def leased(self) -> bool:
        """Whether it may answer at this moment."""
        return self._clock() < self._lease_end

    def request(self) -> pb.WatchRequest:
        """What to send next: where this cache is. Make it immediately before it is sent."""
        with self._lock:
            self._serial = self._serial % _SERIAL_MAX + 1
            self._sent[self._serial] = self._clock()
            if len(self._sent) > SENT_MAX_COUNT:
                del self._sent[next(iter(self._sent))]
            return pb.WatchRequest(serial=self._serial, revision=self._revision)

    def receive(self, message: pb.WatchResponse) -> bool:
        """Apply what the server tells.

        Returns:
            Whether the server waits to hear that it was applied: send a request at once.
        """
        with self._lock:
            return self._receive(message)

    def _receive(self, message: pb.WatchResponse) -> bool:
        moved = message.reset or message.revision != self._revision
        begins = message.reset or not self._revision
        if message.reset:
            self._lease_end = -inf
            self._answers, self._told = _Answers(self._max_count), _Told()
        for change in message.changes:
            self._told.change(change.dependency, change.revision)
            self._answers.drop(change.dependency)
        # Any other position that no change leads to may be one of a server that is behind the last:
        # it lies before changes that were told, and answers from there may not enter.
        if begins:
            self._told.note(message.revision)
        self._revision = message.revision
        sent = self._sent.pop(message.serial, None)
        # A lease without the server's time would let credentials live on.
        if not (message.HasField("lease") and message.HasField("time")):
            return moved or bool(message.changes)
        if sent is not None:
            self._take(sent, sent + message.lease.ToNanoseconds() / _NANOSECONDS, message)
        return False

    def ended(self, *, was_lost: bool = False) -> None:
        """The stream is over, and nothing that was asked on it will be answered.

        Answers stay. The next server tells what has changed since, or resets. A lease that runs
        stays only if the stream `was_lost`: who was refused may not answer any more.
        """
        with self._lock:
            if not was_lost:
                self._lease_end = -inf
            self._sent.clear()

    def key_of(
        self, token: str, resource: str = "", require: Collection[str] = (), environment: str = ""
    ) -> Hashable:
        """Under which key the answer is kept; the token cannot be read from it.

        It has all that an ALLOW rests on but the client's address (`get`).
        """
        mark = blake2b(token.encode(), key=self._secret, digest_size=32).digest()
        return mark, resource, tuple(require), environment

    def get(self, key: Hashable) -> Any:
        """What was kept, if it may be given now; None if not. It is shared: leave it as it is.

        Of an answer with `allowed_networks` it is the caller's to see that the address is in one.
        """
        with self._lock:
            now = self._clock()
            if now >= self._lease_end:
                return None
            entry = self._unexpired(key, now)
            return None if entry is None or now >= entry.due else entry.kept

    def get_stale(self, key: Hashable) -> Any:
        """What was held when the last lease ended, within `stale_seconds` from then.

        It may have been taken away since. None while a lease holds, and after a refusal.
        """
        with self._lock:
            now = self._clock()
            if not self._lease_end <= now < self._lease_end + self._stale_seconds:
                return None
            entry = self._unexpired(key, now)
            return None if entry is None else entry.kept

    def put(self, key: Hashable, answer: pb.AuthenticateResponse, kept: Any = None) -> None:
        """Keep an answer, if all changes since its revision are known and none touches it.

        Args:
            key: from `key_of`.
            answer: as it came from a server.
            kept: what `get` gives; the answer itself if not given.
        """
        expires = answer.expire_time.ToNanoseconds() if answer.HasField("expire_time") else None
        kept, due = answer if kept is None else kept, self._clock() + AGE_MAX_SECONDS
        entry = _Entry(kept, due, expires, tuple(answer.depends_on))
        with self._lock:
            if self._told.stands(answer.revision, answer.depends_on):
                self._answers.put(key, entry)

    def forget(self, key: Hashable) -> None:
        """Drop an answer: the server has answered otherwise."""
        with self._lock:
            self._answers.remove(key)

    def _unexpired(self, key: Hashable, now: float) -> "_Entry | None":
        entry = self._answers.by_key.get(key)
        if entry is None:
            return None
        self._answers.by_key.move_to_end(key)
        if entry.expires is None:
            return entry
        return None if self._time.bound(now) >= entry.expires else entry

    def _take(self, sent: float, end: float, message: pb.WatchResponse) -> None:
        now = self._clock()
        if end <= now:  # too late; and its time would be as far off
            return
        # An earlier lease that is longer holds on: the server remembers each until it is over.
        self._lease_end = max(self._lease_end, end)
        self._time.learn(message.time.ToNanoseconds(), sent, now)


class _ServerTime:
    """How late it may be at most by the clock that credentials expire by; it never goes back."""

    def __init__(self) -> None:
        self._floor = 0
        self._told = 0
        self._since = 0.0

    def learn(self, told: int, since: float, now: float) -> None:
        """The server said `told` (ns since 1970) after our clock showed `since`."""
        self._floor = self.bound(now)
        self._told, self._since = told, since

    def bound(self, now: float) -> int:
        """Nanoseconds since 1970, rounded up."""
        since = int((now - self._since) * _NANOSECONDS) + 1
        return max(self._floor, self._told + since)


class _Told:
    """The revisions that were told last, in their order, and which marks changed since when."""

    def __init__(self) -> None:
        self._count = 0
        self._revisions: OrderedDict[str, int] = OrderedDict()  # to when they were told last
        self._changed: OrderedDict[str, int] = OrderedDict()  # marks, too
        self._first = 0  # from when on all that changed is known

    def note(self, revision: str) -> None:
        """Note a revision, after all others."""
        self._count += 1
        self._revisions[revision] = self._count
        self._revisions.move_to_end(revision)
        if len(self._revisions) > TOLD_MAX_COUNT:
            self._revisions.popitem(last=False)

    def change(self, mark: str, revision: str) -> None:
        """Note a change. Told again, as by a server that was behind the last one, it is new."""
        self.note(revision)
        self._changed[mark] = self._count
        self._changed.move_to_end(mark)
        if len(self._changed) > TOLD_MAX_COUNT:
            _, self._first = self._changed.popitem(last=False)

    def stands(self, revision: str, depends_on: Collection[str]) -> bool:
        """Whether what rests on these marks, as of this revision, is known to be so still."""
        when = self._revisions.get(revision)
        if when is None or when < self._first or not depends_on:
            return False
        return all(self._changed.get(mark, 0) <= when for mark in depends_on)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is given again, and the marks that it rests on.

    It is asked for anew when it is `due`, by our clock, and `expires` by the server's (ns since
    1970).
    """

    kept: Any
    due: float
    expires: int | None
    depends_on: tuple[str, ...]


class _Answers:
    """Answers by key, the longest unused first, and the keys by what the answers depend on."""

    def __init__(self, max_count: int) -> None:
        self._max_count = max_count
        self.by_key: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._by_mark: dict[str, set[Hashable]] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def put(self, key: Hashable, entry: _Entry) -> None:
        self.remove(key)
        self.by_key[key] = entry
        for mark in entry.depends_on:
            self._by_mark.setdefault(mark, set()).add(key)
        if len(self.by_key) > self._max_count:
            self.remove(next(iter(self.by_key)))

    def drop(self, mark: str) -> None:
        """Remove every answer that depends on this."""
        for key in list(self._by_mark.get(mark, ())):
            self.remove(key)

    def remove(self, key: Hashable) -> None:
        entry = self.by_key.pop(key, None)
        if entry is None:
            return
        for mark in set(entry.depends_on):
            keys = self._by_mark[mark]
            keys.discard(key)
            if not keys:
                del self._by_mark[mark]

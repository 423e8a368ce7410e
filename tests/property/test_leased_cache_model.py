"""Any interleaving of changes, delays, lost streams and moves, beside what a server may let return.

Two servers apply one history, each when it comes to it; a client watches one of them at a time, and
asks either. A server acknowledges a change once it has applied it and every client to which it
granted a lease has told that it knows, or that lease is over. A narrowing returns when both have
acknowledged it. From then on the client's cache must not give what it took away.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.v1 import auth_service_pb2 as pb
from tests.support.leased import answer, planted, timestamp, told

pytestmark = pytest.mark.slow

# What each key rests on: a mark of its own and one that both share.
KEYS = {b"a": ("key-a", "user"), b"b": ("key-b", "user")}
MARKS = ("key-a", "key-b", "user")
# Times are in eighths of a second, which have no rounding.
START, SERVER_AHEAD = 1000.0, 1_700_000_000.25
# What happens, and how often beside the others.
STEPS = {
    "pass_time": 4,
    "narrow": 2,
    "apply": 8,
    "connect": 4,
    "disconnect": 1,
    "renew": 2,
    "serve": 9,
    "tell": 9,
    "decide": 4,
    "arrive": 5,
}
CHOICES = [step for step, weight in STEPS.items() for _ in range(weight)]
STORY = st.binary(min_size=240, max_size=240)  # of each step two bytes: which, and how


@dataclass(eq=False)
class Stream:
    """What is on its way, both ways, and what the server knows of the client."""

    up: deque[pb.WatchRequest] = field(default_factory=deque)
    down: deque[pb.WatchResponse] = field(default_factory=deque)
    begun: bool = False  # the server knows where the client is, and can tell what comes next
    knows: int = 0
    granted_until: float = 0.0


@dataclass(eq=False)
class Server:
    """One that has applied the history up to `applied`."""

    applied: int = 0
    acknowledged: int = 0
    streams: list[Stream] = field(default_factory=list)  # the last one may be open

    def acknowledge(self, now: float) -> None:
        """Go as far as the clients with a lease let it."""
        holding = [each.knows for each in self.streams if now < each.granted_until]
        self.acknowledged = max(self.acknowledged, min([self.applied, *holding]))


class Watched:
    """The client's cache is real; all else is a model. A step that cannot be is none."""

    def __init__(self, kind: Any) -> None:
        self.now = START
        self.history: list[str] = []  # the mark that each revision changed
        self.servers = [Server(), Server()]
        self.server: Server | None = None
        self.stream = Stream()
        self.under_way: list[tuple[bytes, pb.AuthenticateResponse]] = []
        self.cache: LeasedCache = kind(lambda: self.now)
        self.refused = True
        self.given = 0

    # --- the history and its servers -----------------------------------------------------------

    def pass_time(self, how: int) -> None:
        self.now += (1 + how % 6) / 8

    def narrow(self, how: int) -> None:
        """Something is taken away; whoever called waits."""
        self.history.append(MARKS[how % len(MARKS)])

    def apply(self, how: int) -> None:
        """A server comes to the next change, and tells it to its client."""
        server = self.servers[how % 2]
        if server.applied < len(self.history):
            server.applied += 1
            if server is self.server and self.stream.begun:
                self.stream.down.append(self.changes(server, server.applied - 1))

    # --- the stream ----------------------------------------------------------------------------

    def connect(self, how: int) -> None:
        """The client begins a stream."""
        if self.server is None:
            self.server, self.stream = self.servers[how % 2], Stream()
            self.server.streams.append(self.stream)
            self.renew(0)

    def disconnect(self, how: int) -> None:
        """What was on its way is lost; the server remembers what it granted.

        One time in four the client is refused: then it may not answer any more.
        """
        self.server = None
        self.refused = how % 4 == 0
        self.cache.ended(was_lost=not self.refused)

    def renew(self, _how: int) -> None:
        """The client asks for a lease."""
        if self.server is not None:
            self.stream.up.append(self.cache.request())

    def serve(self, how: int) -> None:
        """A request arrives: a lease for who is where the server is, the changes for others."""
        server, stream = self.server, self.stream
        if server is None or not stream.up:
            return
        request = stream.up.popleft()
        position = int(request.revision or -1)
        stream.begun = True
        stream.knows = position  # the last word: by another server it may have been further
        if position == server.applied:
            lease = 0.25 if how % 2 else 1.0
            message = told(
                str(position), serial=request.serial, lease=lease, time=self.now + SERVER_AHEAD
            )
            stream.granted_until = max(stream.granted_until, self.now + lease)
        elif position < 0 or (how % 4 == 0 and position < server.applied):
            message = told(str(server.applied), serial=request.serial, reset=True)
        else:  # to one who is ahead, as by another server, there is nothing to tell
            message = self.changes(server, position)
            message.serial = request.serial
        stream.down.append(message)

    def tell(self, _how: int) -> None:
        """A message arrives at the client."""
        if self.server is not None and self.stream.down:
            moved = self.cache.receive(self.stream.down.popleft())
            if moved:
                self.renew(0)

    # --- answers -------------------------------------------------------------------------------

    def decide(self, how: int) -> None:
        """A server answers a call of the client's; the answer is on its way."""
        key = sorted(KEYS)[how % 2]
        end = None if how % 4 < 2 else self.now + SERVER_AHEAD + 0.25
        revision = str(self.servers[how // 4 % 2].applied)
        self.under_way.append((key, answer(revision, *KEYS[key], expires=end)))

    def arrive(self, how: int) -> None:
        """An answer arrives, in whatever order."""
        if self.under_way:
            self.cache.put(*self.under_way.pop(how % len(self.under_way)))

    # --- what always holds ---------------------------------------------------------------------

    def nothing_is_given_that_was_taken_away(self) -> None:
        """By a narrowing that has returned, or by its time."""
        for server in self.servers:
            server.acknowledge(self.now)
        returned = min(server.acknowledged for server in self.servers)
        for key, marks in KEYS.items():
            found = self.cache.get(key)
            if found is None:
                continue
            self.given += 1
            assert self.server is not None or not self.refused, "given when it was refused"
            taken = self.history[int(found.revision) : returned]
            assert not set(taken) & set(marks), (key, found.revision, returned)
            if found.HasField("expire_time"):
                now = timestamp(self.now + SERVER_AHEAD).ToNanoseconds()
                assert now < found.expire_time.ToNanoseconds(), "given when it had expired"

    # --- help ----------------------------------------------------------------------------------

    def changes(self, server: Server, since: int) -> pb.WatchResponse:
        missed = enumerate(self.history[since : server.applied], since + 1)
        return told(str(server.applied), *((mark, str(number)) for number, mark in missed))


def tell(kind: Any, story: bytes) -> int:
    """Let a story happen; returns how often the cache gave something."""
    watched = Watched(kind)
    for which, how in zip(story[::2], story[1::2], strict=True):
        getattr(watched, CHOICES[which % len(CHOICES)])(how)
        watched.nothing_is_given_that_was_taken_away()
    return watched.given


def test_no_interleaving_makes_a_leased_cache_give_what_was_taken_away() -> None:
    given_count = 0

    @settings(max_examples=500, deadline=None)
    @given(STORY)
    def always(story: bytes) -> None:
        nonlocal given_count
        given_count += tell(LeasedCache, story)

    always()
    assert given_count > 0, "it never gives anything: nothing was tested"


BUGS = {
    "a lease from its arrival": ("sent + message.lease", "self._clock() + message.lease"),
    "a lease that is not looked at": ("if now >= self._lease_end:", "if False:"),
    "a lease that outlives a refusal": (
        "            if not was_lost:\n                self._lease_end = -inf\n",
        "",
    ),
    "no guard": ("if self._told.stands(answer.revision, answer.depends_on):", "if True:"),
    "a guard that looks for revisions only": (
        "return all(self._changed.get(mark, 0) <= when for mark in depends_on)",
        "return True",
    ),
    "a change that drops nothing": ("self._answers.drop(change.dependency)", "pass"),
    "expiry that is not looked at": (
        "return None if self._time.bound(now) >= entry.expires else entry",
        "return entry",
    ),
    "the server's time as of its arrival": (
        "self._time.learn(message.time.ToNanoseconds(), sent, now)",
        "self._time.learn(message.time.ToNanoseconds(), now, now)",
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_build_without_a_guard_is_found_out(bug: tuple[str, str]) -> None:
    bugged = planted(*bug)

    @settings(
        max_examples=20_000,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # one failure is enough, however long its story
        report_multiple_bugs=False,
    )
    @given(STORY)
    def never(story: bytes) -> None:
        tell(bugged, story)

    with pytest.raises(AssertionError):
        never()

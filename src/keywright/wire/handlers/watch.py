"""AuthService: clients whose caches answer under this server's lease.

Each message is made when it can be sent, from what is true at that moment; nothing is queued but
the numbers of requests. Who may be granted what is decided by `Watcher`.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.domain.errors import invalid_field
from keywright.domain.position import Position, Revision
from keywright.service.replica.watchers import News, Watcher
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire.answering import check_permission
from keywright.wire.interceptors.validation import parsed
from keywright.wire.rendering import Rendering
from keywright.wire.rpc import Rpc
from keywright.wire.streams import Open, until_first

_OUTSTANDING_MAX_COUNT = 16
"""Requests of one stream that are read before the oldest is answered."""
_CHANGES_MAX_COUNT = 10_000
_CHANGE_BYTES = 128
"""At most; a cache drops everything rather than be told more, or more than fits a message."""


async def watch(rpc: Rpc, _request: None) -> bytes:
    """Watch."""
    check_permission(rpc.asker)  # before it takes a place
    opened = Open(rpc)
    watchers = opened.services.authenticate.replica.watchers
    watcher = watchers.join()
    told = _Watch(opened, watcher)
    try:
        await until_first(told.read_requests(), told.send(), opened.falls(), opened.server_stops())
    finally:
        watchers.leave(watcher)
    return b""


@dataclass(slots=True)
class _Watch:
    """One stream: what it asks, and what it is told."""

    opened: Open
    watcher: Watcher
    _rendering: Rendering = field(init=False)
    _serial: int = 0
    _outstanding: deque[int] = field(default_factory=deque)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Make what is opaque to clients as this installation does."""
        self._rendering = Rendering(self.opened.services.seal)

    async def read_requests(self) -> None:
        """Take note of what the client has applied and asks for, to its end of the stream.

        Raises:
            InvalidFields: it says what cannot be.
        """
        async for body in self.opened.stream.requests:
            await self._note(parsed(self.opened.rpc, body))
            while len(self._outstanding) >= _OUTSTANDING_MAX_COUNT:
                await self._next_answer()
        while self._outstanding:
            await self._next_answer()

    async def send(self) -> None:
        """Answer each request with one message, and tell of changes in between."""
        watcher, outstanding = self.watcher, self._outstanding
        while True:
            watcher.wake.clear()
            if outstanding:
                await self.opened.stream.send(await self._answer(outstanding[0]))
                outstanding.popleft()
                self._answered.set()
            elif self._serial and (news := watcher.news()):
                await self.opened.stream.send(self._told(0, news))
            else:
                await watcher.wake.wait()

    async def _note(self, request: pb.WatchRequest) -> None:
        """Note one request."""
        if request.serial <= self._serial:
            raise invalid_field(
                "serial", "must be greater than that of the request before, and than 0"
            )
        position = self._position(request.revision)
        if not self._serial:
            await self._begin(position)
        else:
            self._acknowledge(position)
        self._serial = request.serial
        self._outstanding.append(request.serial)
        self.watcher.wake.set()

    async def _begin(self, position: Position | None) -> None:
        # Another server may have told it what this one has not heard of yet.
        if position is not None:
            await self.opened.services.authenticate.replica.caught_up(position)
        self.watcher.resumes(position)

    def _acknowledge(self, position: Position | None) -> None:
        watcher, before = self.watcher, self.watcher.applied
        if not watcher.acknowledges(position):
            raise invalid_field("revision", "must be one that this stream has told")
        if watcher.applied is not before and watcher.is_granted:
            self.opened.services.authenticate.replica.renew_soon()  # narrowings may wait for it

    async def _answer(self, serial: int) -> bytes:
        """The one message that answers a request.

        Raises:
            ServiceError: the caller's credential does not stand, or not for this.
            Unavailable: this server holds no lease, and cannot have one.
        """
        check_permission(await self.opened.caller())
        replica, watcher = self.opened.services.authenticate.replica, self.watcher
        while True:
            if news := watcher.news():
                return self._told(serial, news)
            if watcher.told is not None:  # it has not said yet that it applied what it was told
                return pb.WatchResponse(
                    serial=serial, revision=self._revision(watcher.told.position)
                ).SerializeToString()
            if seconds := watcher.grant():
                return self._granted(serial, seconds)
            await replica.leased()

    def _granted(self, serial: int, seconds: float) -> bytes:
        lease = self.watcher.lease
        time, length = Timestamp(), Duration()
        # Neither may say more than is so: a lease no longer, a moment no earlier.
        time.FromMicroseconds(math.ceil(lease.database_time(lease.clock()) * 1e6))
        length.FromMicroseconds(math.floor(seconds * 1e6))
        return pb.WatchResponse(
            serial=serial,
            revision=self._revision(self.watcher.applied.position),
            lease=length,
            time=time,
        ).SerializeToString()

    def _told(self, serial: int, news: News) -> bytes:
        limit = self.opened.rpc.backend.settings.max_response_bytes
        most = min(_CHANGES_MAX_COUNT, limit // _CHANGE_BYTES)
        steps = news.steps
        if steps is not None and sum(len(each.changed) for each in steps) > most:
            steps = None
        head = pb.WatchResponse(
            serial=serial, revision=self._revision(news.position), reset=steps is None
        ).SerializeToString()
        return head + b"".join(_changes(self._rendering, each) for each in steps or ())

    def _revision(self, position: Position | None) -> str:
        return "" if position is None else self.opened.services.seal.revision(position)

    def _position(self, revision: str) -> Position | None:
        return self.opened.services.seal.position(revision, "revision") if revision else None

    async def _next_answer(self) -> None:
        self._answered.clear()
        await self._answered.wait()


def _changes(rendering: Rendering, step: Revision) -> bytes:
    return _changes_of(rendering, step.position, tuple(step.changed))


@lru_cache(maxsize=16)  # every watcher is told the same
def _changes_of(rendering: Rendering, position: Position, changed: tuple[int, ...]) -> bytes:
    revision = rendering.seal.revision(position)
    return pb.WatchResponse(
        changes=[
            pb.AuthorityChange(dependency=rendering.dependency(each), revision=revision)
            for each in changed
        ]
    ).SerializeToString()


HANDLERS = {"Watch": watch}

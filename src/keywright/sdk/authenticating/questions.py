"""Questions to the server, those that arrive together in one call.

While calls are under way, what comes gathers for the next one. One question is asked once for all
who came before it was sent. Who comes later waits for its answer as well, but must not be told it:
it was true before they came, and what it allows may have been taken away since. They are told what
the leased cache says by then, which knows, and ask again if it says nothing.
"""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

import grpc

from keywright.sdk.authenticating.known import Known
from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.sdk.authenticating.question import Question
from keywright.sdk.connection.status import from_call
from keywright.sdk.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    KeywrightError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    class_for,
)
from keywright.sdk.values.reading import member_name
from keywright.v1 import auth_service_pb2 as pb
from keywright.v1 import denial_pb2

_PATH = "/keywright.v1.AuthService/BatchAuthenticate"
CALLS_MAX_COUNT = 4
"""Calls under way: one that is slow, for an old and expensive hash, holds up no other."""
_BATCH_MAX_COUNT = 128
WAITING_MAX_COUNT = 10_240
"""Questions that wait for their answer, each less than 32 KiB."""
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_REASONS = denial_pb2.Denial.DESCRIPTOR.fields_by_name["reason"].enum_type
# Of a call as a whole none of these speaks of a token that was presented: something on the way to
# the server, or the server itself, did not take the call.
_OUT_OF_REACH = (
    Unauthenticated,
    PermissionDenied,
    ResourceExhausted,
    DeadlineExceeded,
    Cancelled,
)

Metadata = Sequence[tuple[str, str]]


@dataclass(slots=True, eq=False)
class _Asked:
    """A question, and how many want to know."""

    question: Question
    answer: "asyncio.Future[Known]"
    waiting: int = 0


@dataclass(slots=True, eq=False, repr=False)  # it has our key
class Questions:
    """Asks the server, and gives the cache what it answers.

    Attributes:
        channel: to the server.
        cache: whose key a question has.
        metadata: of the calls, with the caller's credential.
        server: what it is called in errors.
        timeout: the deadline of a call, and of whoever asks.
        calls: how many were made.
    """

    channel: grpc.aio.Channel
    cache: LeasedCache
    metadata: Metadata
    server: str
    timeout: timedelta
    calls: int = 0
    _closed: bool = False
    _waiting: dict[Hashable, _Asked] = field(default_factory=dict)
    _sent: dict[Hashable, _Asked] = field(default_factory=dict)
    _running: int = 0
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def ask(self, question: Question) -> Known:
        """What a server answers, or the cache after it has learned it from another's question.

        Raises:
            Unauthenticated, PermissionDenied: the token was denied.
            Unavailable: the server is out of reach, or too much waits already.
            KeywrightError: it was not decided for another reason.
        """
        place = (question.key, question.client_address)
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                while (sent := self._sent.get(place)) and not sent.answer.done():
                    await asyncio.wait([sent.answer])
                    known: Known | None = self.cache.get(question.key)
                    if known is not None and known.admits(question.client_address):
                        return known
                return await self._join(place, question)
        except TimeoutError:
            raise self._out_of_reach("no answer in time") from None

    async def close(self) -> None:
        """Give up what is under way."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for asked in self._waiting.values():
            _fail(asked, self._out_of_reach("closed"))

    async def _join(self, place: Hashable, question: Question) -> Known:
        asked = self._waiting.get(place)
        if asked is None:
            if self._closed:
                raise self._out_of_reach("closed")
            if len(self._waiting) >= WAITING_MAX_COUNT:
                raise Unavailable("too many tokens are being asked about; try again")
            answer = asyncio.get_running_loop().create_future()
            asked = self._waiting[place] = _Asked(question, answer)
            if self._running < CALLS_MAX_COUNT:
                self._start()
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.answer)
        finally:
            asked.waiting -= 1
            if not asked.waiting and self._waiting.get(place) is asked:
                del self._waiting[place]

    def _start(self) -> None:
        # It runs after whatever asks in this turn of the loop; and whoever asked first may leave.
        task = asyncio.create_task(self._run())
        self._running += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = dict(islice(self._waiting.items(), _BATCH_MAX_COUNT))
                for place in batch:
                    del self._waiting[place]
                self._sent |= batch
                try:
                    await self._call(list(batch.values()))
                finally:
                    for place, asked in batch.items():
                        if self._sent.get(place) is asked:
                            del self._sent[place]
                        _fail(asked, self._out_of_reach("closed"))
        finally:
            # In the very step that found nobody waiting: who comes next has to start another.
            self._running -= 1

    async def _call(self, batch: Sequence[_Asked]) -> None:
        self.calls += 1
        call = self.channel.unary_unary(
            _PATH,
            request_serializer=pb.BatchAuthenticateRequest.SerializeToString,
            response_deserializer=pb.BatchAuthenticateResponse.FromString,
        )
        try:
            reply: Any = await call(  # tokens, and our key: in no local
                pb.BatchAuthenticateRequest(requests=[each.question.request for each in batch]),
                timeout=self.timeout.total_seconds(),
                metadata=grpc.aio.Metadata(*self.metadata),
            )
        except grpc.aio.AioRpcError as error:
            await self._failed(batch, from_call(error, self.server))
        else:
            self._answered(batch, reply.results)

    async def _failed(self, batch: Sequence[_Asked], error: KeywrightError) -> None:
        too_large = error.reason == "REQUEST_TOO_LARGE"
        if too_large and len(batch) > 1:
            middle = len(batch) // 2
            await self._call(batch[:middle])
            await self._call(batch[middle:])
            return
        # One that is too large by itself tells nothing of the server: others are answered.
        if isinstance(error, _OUT_OF_REACH) and not too_large:
            error = Unavailable(
                error.message,
                reason=error.reason,
                request_id=error.request_id,
                retry_delay=error.retry_delay,
            )
        for asked in batch:
            _fail(asked, error)

    def _answered(self, batch: Sequence[_Asked], results: Iterable[pb.AuthenticateResult]) -> None:
        for asked, result in zip(batch, results, strict=False):
            if result.HasField("allowed"):
                try:
                    known = Known.of(result.allowed)
                except ValueError as error:  # one that is unreadable fails itself only
                    _fail(asked, Internal(f"unreadable: {error} (from {self.server})"))
                    continue
                self.cache.put(asked.question.key, result.allowed, known)
                asked.answer.set_result(known)
            elif result.HasField("denied"):
                self.cache.forget(asked.question.key)
                _fail(asked, _error(result.denied))
        for asked in batch:
            _fail(asked, Internal(f"there is no answer to a question (from {self.server})"))

    def _out_of_reach(self, why: str) -> Unavailable:
        return Unavailable(f"{why} (from {self.server})")


def _fail(asked: _Asked, error: KeywrightError) -> None:
    """End a question that has no answer yet."""
    if not asked.answer.done():
        asked.answer.set_exception(error)
        asked.answer.exception()  # looked at, in case everybody who waited has gone


def _error(denial: denial_pb2.Denial) -> KeywrightError:
    return class_for(_CODES.get(denial.code, ""))(
        denial.message,
        reason=member_name(_REASONS, denial.reason) if denial.reason else "",
        metadata=denial.metadata,
        retry_delay=(denial.retry_delay.ToTimedelta() if denial.HasField("retry_delay") else None),
    )

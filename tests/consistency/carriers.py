"""The ways to ask a process for a decision, each of which notes when it asked.

A carrier asks on one channel to one process, as the operator of the installation.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from keywright.v1 import auth_service_pb2 as pb
from keywright.v1 import error_reason_pb2
from tests.consistency.history import Decision, Lane, Outcome
from tests.support.service import METHODS, RefusedError

# Longer than anything here lasts, so that a call to a process which stands still is answered.
PATIENCE_SECONDS = 30.0
_BATCH_MAX_COUNT = 1000
# What speaks of the presented token (`AuthService`'s contract); the rest is trouble.
_DENIALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_DENIAL_NUMBERS = frozenset(code.value[0] for code in _DENIALS)


class Carrier(ABC):
    """One way to one process. `lane` says which, `revision` reads what an ALLOW says of itself.

    `together` is how many questions it is worth to ask at the same time.
    """

    together = 1

    def __init__(
        self,
        lane: Lane,
        revision: Callable[[str], int | None],
        channel: grpc.aio.Channel,
        token: str,
        target: str,
    ) -> None:
        self.lane = lane
        self._revision = revision
        self._channel = channel
        self._token = token
        self._target = target
        self._metadata = (("authorization", f"Bearer {token}"),)

    def _method(self, kind: str, name: str) -> Any:
        """A method of the contract; `kind` as gRPC calls it, `unary_unary`."""
        path, request_type, reply_type = METHODS[name]
        return getattr(self._channel, kind)(
            path, request_type.SerializeToString, reply_type.FromString
        )

    @abstractmethod
    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        """Ask once."""

    def at_once(self, request: pb.AuthenticateRequest) -> Decision | None:  # noqa: ARG002
        """What is answered without awaiting anything; None where it has to be asked for."""
        return None

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Be there to be asked while the block runs."""
        yield

    def _allowed(self, invoked: float, response: pb.AuthenticateResponse) -> Decision:
        return Decision(
            self.lane,
            invoked,
            time.monotonic(),
            Outcome.ALLOWED,
            revision=self._revision(response.revision),
        )

    def _refused(self, invoked: float, error: grpc.aio.AioRpcError) -> Decision:
        refused = RefusedError(error)
        outcome = Outcome.DENIED if refused.code in _DENIALS else Outcome.UNDECIDED
        told = bool(refused.status.details)
        reason = refused.reason if told else f"{refused.code.name}: {refused.message}"
        return Decision(self.lane, invoked, time.monotonic(), outcome, reason)

    def _result(self, invoked: float, result: pb.AuthenticateResult) -> Decision:
        if result.HasField("allowed"):
            return self._allowed(invoked, result.allowed)
        denial = result.denied
        outcome = Outcome.DENIED if denial.code in _DENIAL_NUMBERS else Outcome.UNDECIDED
        reason = error_reason_pb2.ErrorReason.Name(denial.reason).removeprefix("ERROR_REASON_")
        return Decision(self.lane, invoked, time.monotonic(), outcome, reason)


class Unary(Carrier):
    """A call for each decision."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._call = self._method("unary_unary", "Authenticate")

    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        invoked = time.monotonic()
        try:
            response = await self._call(request, metadata=self._metadata, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return self._refused(invoked, error)
        return self._allowed(invoked, response)


@dataclass(slots=True)
class _Asked:
    request: pb.AuthenticateRequest
    answer: asyncio.Future[Decision]
    invoked: float = 0.0


class _Pumped(Carrier):
    """A carrier that one task works for, taking what has been asked meanwhile."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: asyncio.Queue[_Asked] = asyncio.Queue()

    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        asked = _Asked(request, asyncio.get_running_loop().create_future())
        self._asked.put_nowait(asked)
        return await asked.answer

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        pump = asyncio.create_task(self._work(), name=str(self.lane))
        try:
            yield
        finally:
            pump.cancel()
            await asyncio.wait([pump])
            if not pump.cancelled():
                pump.result()  # it never ends by itself: a fault is not kept quiet

    @abstractmethod
    async def _work(self) -> None: ...

    def _fail(self, asked: _Asked, trouble: str) -> None:
        """A call that fails as a whole decides nothing of what it asked."""
        if not asked.answer.done():
            asked.answer.set_result(
                Decision(self.lane, asked.invoked, time.monotonic(), Outcome.UNDECIDED, trouble)
            )

    def _answer(self, asked: _Asked, result: pb.AuthenticateResult) -> None:
        if not asked.answer.done():
            asked.answer.set_result(self._result(asked.invoked, result))


class Batch(_Pumped):
    """All that is asked while a call is under way goes with the next."""

    together = 4

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._call = self._method("unary_unary", "BatchAuthenticate")

    async def _work(self) -> None:
        while True:
            batch = [await self._asked.get()]
            while len(batch) < _BATCH_MAX_COUNT and not self._asked.empty():
                batch.append(self._asked.get_nowait())
            await self._ask(batch)

    async def _ask(self, batch: list[_Asked]) -> None:
        request = pb.BatchAuthenticateRequest(requests=[asked.request for asked in batch])
        now = time.monotonic()
        for asked in batch:
            asked.invoked = now
        try:
            response = await self._call(request, metadata=self._metadata, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            for asked in batch:
                self._fail(asked, str(RefusedError(error)))
            return
        for asked, result in zip(batch, response.results, strict=True):
            self._answer(asked, result)


class Stream(_Pumped):
    """One stream, on which requests do not wait for one another's answers."""

    together = 3

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._open = self._method("stream_stream", "AuthenticateStream")
        self._waiting: deque[_Asked] = deque()

    async def _work(self) -> None:
        while True:
            first = await self._asked.get()  # no stream before there is a need of one
            call = self._open(metadata=self._metadata)
            writing = asyncio.create_task(self._write(call, first))
            trouble = "the stream ended"
            try:
                async for response in call:
                    self._answer(self._waiting.popleft(), response.result)
            except grpc.aio.AioRpcError as error:
                trouble = str(RefusedError(error))
            finally:
                writing.cancel()
                call.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            while self._waiting:
                self._fail(self._waiting.popleft(), trouble)

    async def _write(self, call: Any, asked: _Asked) -> None:
        while True:
            asked.invoked = time.monotonic()
            self._waiting.append(asked)
            await call.write(pb.AuthenticateStreamRequest(request=asked.request))
            asked = await self._asked.get()

"""AuthService: tokens authenticated as they come."""

import asyncio
from dataclasses import dataclass, field

from keywright.domain.errors import ServiceError
from keywright.service.known import Caller
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import answering
from keywright.wire.answering import Answer
from keywright.wire.interceptors.validation import parsed
from keywright.wire.rpc import Rpc
from keywright.wire.streams import Open, until_first

_AHEAD_MAX_COUNT = 128
"""Requests that are read before the oldest one's answer is taken."""


async def authenticate_stream(rpc: Rpc, _request: None) -> bytes:
    """AuthenticateStream."""
    opened = Open(rpc)
    answers = _Answers(opened)
    try:
        await until_first(
            answers.read_requests(), answers.send(), opened.falls(), opened.server_stops()
        )
    finally:
        answers.drop()
    return b""


@dataclass(slots=True)
class _Answers:
    """The answers of a stream, in the order of its requests: there already, or being looked up.

    Who reads no answers has the queue filled, and then no more requests read: what it sends on top
    is held up by the transport.
    """

    opened: Open
    _queue: "asyncio.Queue[Answer | asyncio.Task[Answer]]" = field(
        default_factory=lambda: asyncio.Queue(_AHEAD_MAX_COUNT)
    )

    async def read_requests(self) -> None:
        """Read to the client's end of the stream, and wait until the last answer is taken."""
        opened = self.opened
        rpc, services, bearer = opened.rpc, opened.services, opened.bearer
        async for body in opened.stream.requests:
            item: pb.AuthenticateRequest = parsed(rpc, body).request
            caller = await opened.caller()
            if item.token != bearer:
                answering.check_permission(caller)
            answer = answering.recalled(services, item, item.ByteSize(), caller, bearer, rpc.peer)
            await self._queue.put(answer or asyncio.create_task(self._found(item, caller)))
        await self._queue.join()

    async def send(self) -> None:
        """Send each answer when it is there."""
        while True:
            answer = await self._queue.get()
            if isinstance(answer, asyncio.Task):
                answer = await answer
            await self.opened.stream.send(answering.result(answer))
            self._queue.task_done()

    def drop(self) -> None:
        """Give up what is still being looked up."""
        while not self._queue.empty():
            answer = self._queue.get_nowait()
            if isinstance(answer, asyncio.Task):
                answer.cancel()

    async def _found(self, item: pb.AuthenticateRequest, caller: Caller | None) -> Answer:
        opened = self.opened
        try:
            return await answering.found(
                opened.rpc.services, item, caller, opened.bearer, opened.rpc.peer
            )
        except ServiceError as error:
            return error
        except Exception as error:  # noqa: BLE001  a poison row denies itself only (promise G15)
            return answering.unexpected(error, opened.rpc.call_id)


HANDLERS = {"AuthenticateStream": authenticate_stream}

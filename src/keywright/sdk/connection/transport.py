"""What runs flows: one transport that blocks, one that awaits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import grpc

from keywright.sdk.connection import forks
from keywright.sdk.connection.connection import Way
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import AsyncItems, Batches, Call, Flow, Items, Listing
from keywright.sdk.connection.status import from_call
from keywright.sdk.connection.tries import Tries, make_repeatable
from keywright.sdk.errors import Cancelled, KeywrightError

Result = TypeVar("Result")
Calls = Generator[Call, Any, None]


@dataclass(slots=True)
class _Line:
    """A connection, which all that call over it share: its channel, and of which event loop."""

    channel: Any = None
    loop: asyncio.AbstractEventLoop | None = None
    closed: bool = False


class _Sender:
    """How calls are made, by both transports."""

    def __init__(self, way: Way, api_key: Secret, timeout: timedelta) -> None:
        self._way = way
        self._metadata = _metadata(api_key)
        self._timeout = timeout
        self._line = _Line()

    def acting_with(self, api_key: Secret) -> Self:
        """Another credential over the same connection, which is closed for both at once."""
        other = copy(self)
        other._metadata = _metadata(api_key)  # noqa: SLF001  of its class
        return other

    def _prepared(self, channel: Any, call: Call) -> Any:
        """What makes the call, each time it is called with a timeout in seconds."""
        make_repeatable(call.request)
        invoke = channel.unary_unary(
            call.method.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.method.reply.FromString,
        )
        return lambda timeout: invoke(call.request, timeout=timeout, metadata=self._metadata)

    def _error(self, failed: grpc.RpcError) -> KeywrightError:
        return from_call(failed, self._way.uri)

    def _check_open(self) -> None:
        forks.check()
        if self._line.closed:
            raise RuntimeError("this client is closed")


class BlockingTransport(_Sender):
    """Runs flows on a channel of gRPC's. Threads may share it."""

    def __init__(self, way: Way, api_key: Secret, timeout: timedelta) -> None:
        super().__init__(way, api_key, timeout)
        self._line.channel = way.channel()

    def run(self, flow: Flow[Result]) -> Result:
        """Make the calls of a flow; returns its result."""
        try:
            call = next(flow)
            while True:
                call = flow.send(self._call(call))
        except StopIteration as returned:
            result: Result = returned.value
            return result

    def items(self, flow: Flow[Listing[Result] | Batches[Result]]) -> Iterator[Result]:
        """What the calls contribute; each is made when its first item is wanted."""
        source = self.run(flow)
        calls = source.calls()
        call = _next(calls, None)
        while call is not None:
            reply = self._call(call)
            yield from source.items(reply)
            call = _next(calls, reply)

    def listed(self, make: Callable[[], Flow[Listing[Result]]]) -> Items[Result]:
        """What is in a list, or a page of it."""
        return Items(self, make)

    def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        self._line.closed = True
        self._line.channel.close()

    def _call(self, call: Call) -> Any:
        tries = Tries(self._timeout)
        send = self._prepared(self._line.channel, call)
        while True:
            self._check_open()
            try:
                return send(tries.remaining)
            except grpc.RpcError as failed:
                error = self._error(failed)
            except ValueError:
                self._check_open()  # gRPC says so of a channel that another thread has closed
                raise
            pause = tries.pause_after(error)
            if pause is None:
                raise error
            time.sleep(pause)


class AwaitingTransport(_Sender):
    """Runs flows on a channel of grpc.aio, which is opened by the first call."""

    async def run(self, flow: Flow[Result]) -> Result:
        """Make the calls of a flow; returns its result."""
        try:
            call = next(flow)
            while True:
                call = flow.send(await self._call(call))
        except StopIteration as returned:
            result: Result = returned.value
            return result

    async def items(self, flow: Flow[Listing[Result] | Batches[Result]]) -> AsyncIterator[Result]:
        """What the calls contribute; each is made when its first item is wanted."""
        source = await self.run(flow)
        calls = source.calls()
        call = _next(calls, None)
        while call is not None:
            reply = await self._call(call)
            for item in source.items(reply):
                yield item
            call = _next(calls, reply)

    def listed(self, make: Callable[[], Flow[Listing[Result]]]) -> AsyncItems[Result]:
        """What is in a list, or a page of it."""
        return AsyncItems(self, make)

    async def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        self._line.closed = True
        channel, self._line.channel = self._line.channel, None  # grpc.aio ends with its last one
        if channel is not None:
            await channel.close()

    async def _call(self, call: Call) -> Any:
        tries = Tries(self._timeout)
        send = self._prepared(self._opened(), call)
        while True:
            self._check_open()
            try:
                return await send(tries.remaining)
            except grpc.RpcError as failed:
                error = self._error(failed)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._line.closed and not (task and task.cancelling()):
                    raise Cancelled("the client was closed") from None
                raise
            pause = tries.pause_after(error)
            if pause is None:
                try:
                    raise error
                finally:
                    del error  # else it has itself in its traceback, and with it the channel
            await asyncio.sleep(pause)

    def _opened(self) -> Any:
        # A channel belongs to an event loop, and a client may be made before there is one.
        self._check_open()
        line, loop = self._line, asyncio.get_running_loop()
        if line.channel is None:
            line.channel, line.loop = self._way.async_channel(), loop
        elif line.loop is not loop:
            raise RuntimeError("this client was used in another event loop: make one for each")
        return line.channel


def _metadata(api_key: Secret) -> tuple[tuple[str, str], ...]:
    key = api_key.reveal()
    return (("authorization", f"Bearer {key}"),) if key else ()


def _next(calls: Calls, reply: Any) -> Call | None:
    """The call after a reply, or the first one after None."""
    try:
        return calls.send(reply)
    except StopIteration:
        return None

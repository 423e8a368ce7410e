"""A client by grpc.aio's stubs: `python -m tests.clients.programs.asynchronous ADDRESS`."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

import grpc

from tests.clients.programs.exchange import Call, asked, tell_end, tell_reply


async def main() -> None:
    """Make the calls that standard input tells of, until its end."""
    calls: dict[int, Any] = {}
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel, asyncio.TaskGroup() as follows:
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            if "cancel" in told:
                calls[told["id"]].cancel()
            else:
                call = asked(channel, told)
                begun = calls[call.number] = _begun(call)
                follows.create_task(_follow(call, begun))


def _begun(call: Call) -> Any:
    if isinstance(call.method, grpc.aio.StreamStreamMultiCallable):
        return call.method(**call.given)
    return call.method(call.requests[0], **call.given)


async def _follow(call: Call, begun: Any) -> None:
    # Cancelled by ourselves it raises that, and a stream that has ended takes no more.
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):
        if call.is_unary:
            tell_reply(call.number, await begun)
        else:
            if isinstance(begun, grpc.aio.StreamStreamCall):
                await _say(call, begun)
            async for reply in begun:
                tell_reply(call.number, reply)
    tell_end(
        call.number,
        await begun.initial_metadata(),
        await begun.trailing_metadata(),
        (await begun.code(), await begun.details()),
    )


async def _say(call: Call, stream: Any) -> None:
    for each in call.requests:
        await stream.write(each)
    if not call.is_open:
        await stream.done_writing()


if __name__ == "__main__":
    asyncio.run(main())

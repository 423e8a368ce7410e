"""How calls end: with the error that they end with, and leaving nothing behind in the server."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from keywright.domain.errors import Reason, Unavailable
from keywright.wire import grpc as transport
from keywright.wire.errors import failure
from keywright.wire.rpc import Backend, Rpc, Settings

CALLS = 40
PATHS = ["AuthService/Authenticate", "KeyService/GetKey", "AuthService/AuthenticateStream"]


async def left_after_errors(path: str) -> int:
    """How many calls are in memory after so many that failed, before garbage is collected."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((transport.Transport(Backend(Settings())),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.stream_stream(f"/keywright.v1.{path}")
            gc.collect()
            gc.disable()
            for _ in range(CALLS):
                with suppress(grpc.aio.AioRpcError):
                    async for _answer in call(iter([b""])):
                        raise AssertionError("without a database nothing is answered")
            await asyncio.sleep(0)
            return sum(type(each).__name__ == "_ServicerContext" for each in gc.get_objects())
    finally:
        gc.enable()
        await server.stop(None)


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_ends_with_an_error_is_gone_at_once(path: str) -> None:
    assert await left_after_errors(path) <= 1


async def test_without_the_guard_calls_would_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_it_is(serve: Callable[..., Any]) -> Any:
        return serve

    monkeypatch.setattr(transport, "leaving_nothing", as_it_is)
    assert await left_after_errors(PATHS[0]) >= CALLS


async def interrupted_in_its_first_reply(rpc: Rpc) -> bytes:
    """A stream that ends with an error while its first message is on its way."""
    assert rpc.stream is not None
    sending = asyncio.ensure_future(rpc.stream.send(b"a message"))
    async for _request in rpc.stream.requests:
        break
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    raise failure(Unavailable(Reason.SERVER_UNAVAILABLE, "the server stops"), rpc.call_id)


async def end_of_a_stream(monkeypatch: pytest.MonkeyPatch, *, within: float) -> grpc.StatusCode:
    """With which code the stream above ends for its client."""
    monkeypatch.setattr(transport, "chain", lambda _method: interrupted_in_its_first_reply)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((transport.Transport(Backend(Settings())),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: Any = channel.stream_stream("/keywright.v1.AuthService/AuthenticateStream")
            call = method(timeout=within)
            await call.write(b"")
            code: grpc.StatusCode = await call.code()
            return code
    finally:
        await server.stop(None)


async def test_a_stream_ends_with_its_error_while_its_first_reply_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await end_of_a_stream(monkeypatch, within=20) is grpc.StatusCode.UNAVAILABLE


async def test_without_the_guard_it_would_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_it_is(self: Any, message: bytes) -> Any:
        return self.context.write(message)

    monkeypatch.setattr(transport._Replies, "send", as_it_is)
    assert await end_of_a_stream(monkeypatch, within=2) is grpc.StatusCode.DEADLINE_EXCEEDED

"""Interceptors of gRPC servers, in a server of our own and beside a real one."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from keywright import (
    Authenticator,
    AuthenticatorInterceptor,
    BlockingAuthenticator,
    BlockingAuthenticatorInterceptor,
)
from keywright.sdk import PUBLIC, Requires, current_principal
from tests.support.leased import duration
from tests.support.service import RefusedError, Service

RULES = {
    "/shop.Orders/*": Requires("datasets.read"),
    "/shop.Orders/Write": Requires("datasets.write"),
    "/shop.Health/*": PUBLIC,
}
Channel = grpc.Channel | grpc.aio.Channel
KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


def who() -> bytes:
    try:
        return current_principal().user.email.encode()
    except LookupError:
        return b"nobody"


class Async:
    async def unary_unary(self, _request: bytes, _context: Any) -> bytes:
        return who()

    async def unary_stream(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for _ in range(2):
            yield who()
            await asyncio.sleep(0)

    async def stream_unary(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        async for _ in requests:
            pass
        return who()

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        async for _ in requests:
            await context.write(who())


class Threads:
    def unary_unary(self, _request: bytes, _context: Any) -> bytes:
        return who()

    def unary_stream(self, _request: bytes, _context: Any) -> Iterator[bytes]:
        for _ in range(2):
            yield who()

    def stream_unary(self, requests: Iterator[bytes], _context: Any) -> bytes:
        for _ in requests:
            pass
        return who()

    def stream_stream(self, requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        for _ in requests:
            yield who()


def handlers(of: Any) -> Sequence[grpc.GenericRpcHandler]:
    made: dict[str, Any] = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(of, kind)) for kind in KINDS
    }
    orders = {**made, "Write": made["unary_unary"]}
    return [
        grpc.method_handlers_generic_handler("shop.Orders", orders),
        grpc.method_handlers_generic_handler("shop.Health", made),
        grpc.method_handlers_generic_handler("shop.Unlisted", made),
    ]


@asynccontextmanager
async def shop(kind: str, uri: str, token: str) -> AsyncIterator[Channel]:
    """A server of the kind, `aio` or `threads`, and a channel to it."""
    async with AsyncExitStack() as running:
        if kind == "aio":
            authenticator = await running.enter_async_context(Authenticator(uri, token))
            server: Any = grpc.aio.server(
                interceptors=[AuthenticatorInterceptor(authenticator, RULES)]
            )
            server.add_generic_rpc_handlers(handlers(Async()))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            running.push_async_callback(server.stop, None)
        else:
            blocking = BlockingAuthenticator(uri, token)
            running.push_async_callback(asyncio.to_thread, blocking.close)
            server = grpc.server(
                ThreadPoolExecutor(4),
                interceptors=[BlockingAuthenticatorInterceptor(blocking, RULES)],
            )
            server.add_generic_rpc_handlers(handlers(Threads()))
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            running.push_async_callback(asyncio.to_thread, lambda: server.stop(None).wait())
        # A client of the server's own kind.
        if kind == "aio":
            yield await running.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        else:
            yield running.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))


@pytest.fixture(params=["aio", "threads"], name="channel")
async def _channel(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Channel]:
    async with shop(request.param, service.uri, service.admin_token) as channel:
        yield channel


@pytest.fixture(scope="module", name="token")
async def _token(service: Service) -> str:
    return (await service.admin.create_key(scopes=["datasets.read"])).token


async def call(
    channel: Channel, path: str, *metadata: tuple[str, str], denied: bool = False
) -> list[bytes]:
    """What is answered to two requests, or one where it takes one or it is `denied`."""
    several = path.endswith(("stream_unary", "stream_stream")) and not denied
    requests = [b"", b""] if several else [b""]

    def blocking() -> list[bytes]:
        stream: Any = channel.stream_stream(path)
        return list(stream(iter(requests), metadata=metadata, timeout=20))

    try:
        if isinstance(channel, grpc.Channel):
            return await asyncio.to_thread(blocking)
        stream: Any = channel.stream_stream(path)
        return [each async for each in stream(iter(requests), metadata=metadata, timeout=20)]
    except grpc.RpcError as error:
        raise RefusedError(error) from None  # type: ignore[arg-type]  # of either kind


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


async def test_handlers_of_every_kind_know_whom_they_answer(channel: Channel, token: str) -> None:
    for kind in KINDS:
        for metadata in (bearer(token), ("x-api-key", token)):
            replies = await call(channel, f"/shop.Orders/{kind}", metadata)
            assert set(replies) == {b"admin@localhost"}, kind
        assert set(await call(channel, f"/shop.Health/{kind}")) == {b"nobody"}, kind


async def refused(channel: Channel, path: str, *metadata: tuple[str, str]) -> Any:
    with pytest.raises(RefusedError) as refusal:
        await call(channel, path, *metadata, denied=True)
    return refusal.value


async def test_who_is_denied_is_told_why_in_every_kind_of_call(
    channel: Channel, token: str
) -> None:
    for kind in KINDS:
        path = f"/shop.Orders/{kind}"
        for metadata, reason in (
            ([], "CREDENTIAL_MISSING"),
            ([("authorization", "Basic x")], "CREDENTIAL_MISSING"),
            ([bearer(token), bearer(token)], "CREDENTIAL_REFUSED"),
            ([bearer("kw_live_nonsense")], "TOKEN_MALFORMED"),
        ):
            denied = await refused(channel, path, *metadata)
            assert denied.code is grpc.StatusCode.UNAUTHENTICATED
            assert denied.reason == reason
    missing = await refused(channel, "/shop.Orders/Write", bearer(token))
    assert missing.code is grpc.StatusCode.PERMISSION_DENIED
    assert missing.reason == "PERMISSION_MISSING"


async def test_a_method_without_a_rule_is_denied_whoever_calls(
    channel: Channel, service: Service
) -> None:
    for kind in KINDS:
        denied = await refused(channel, f"/shop.Unlisted/{kind}", bearer(service.admin_token))
        assert denied.code is grpc.StatusCode.PERMISSION_DENIED
        assert denied.reason == "NOT_LISTED"


async def test_a_bound_key_and_a_limited_one_are_held_to_it(
    channel: Channel, service: Service
) -> None:
    here = await service.admin.create_key(allowed_networks=["127.0.0.0/8"])
    there = await service.admin.create_key(allowed_networks=["192.0.2.0/24"])
    assert await call(channel, "/shop.Orders/unary_unary", bearer(here.token))
    denied = await refused(channel, "/shop.Orders/unary_unary", bearer(there.token))
    assert denied.reason == "ADDRESS_NOT_ALLOWED"
    once = await service.admin.create_key(rate_limit={"requests": 1, "period": duration(60)})
    await call(channel, "/shop.Orders/unary_unary", bearer(once.token))
    limited = await refused(channel, "/shop.Orders/unary_unary", bearer(once.token))
    assert limited.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert limited.reason == "RATE_LIMITED"
    assert 0 < limited.detail(error_details_pb2.RetryInfo).retry_delay.seconds <= 60


@pytest.mark.parametrize("kind", ["aio", "threads"])
async def test_trouble_of_our_own_is_unavailable_and_never_the_client_s_fault(
    kind: str, service: Service, token: str
) -> None:
    powerless = (await service.person(f"powerless-{kind}")).token
    assert powerless
    for uri, own in ((service.uri, powerless), ("127.0.0.1:1", service.admin_token)):
        async with shop(kind, uri, own) as channel:
            denied = await refused(channel, "/shop.Orders/unary_unary", bearer(token))
            assert denied.code is grpc.StatusCode.UNAVAILABLE
            assert denied.reason == "UNAVAILABLE"


async def test_a_handler_that_is_not_async_is_not_run_unguarded(service: Service) -> None:
    async with Authenticator(service.uri, service.admin_token) as authenticator:
        server = grpc.aio.server(interceptors=[AuthenticatorInterceptor(authenticator, RULES)])
        server.add_generic_rpc_handlers(handlers(Threads()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: Any = channel.unary_unary("/shop.Orders/unary_unary")
            with pytest.raises(grpc.aio.AioRpcError):
                await method(b"", metadata=(bearer(service.admin_token),), timeout=20)
        await server.stop(None)

"""What happens to every call, whatever it asks for: an id, and an answer without our insides."""

import re
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from keywright.v1 import auth_service_pb2, key_service_pb2
from keywright.wire.grpc import Transport
from keywright.wire.handlers import auth
from keywright.wire.rpc import Backend, Rpc, Settings
from tests.support.service import METHODS, PARENT, Caller, Service, refusal

GIVEN = re.compile(r"[0-9a-f]{32}")


async def _ids_in_reply(service: Service, method: str, *metadata: tuple[str, str]) -> list[str]:
    """What a successful reply of `method` carries as the id of its call; a list of one, or none."""
    caller = service.as_caller(service.admin_token, *metadata)
    requests: dict[str, Any] = {
        "Authenticate": auth_service_pb2.AuthenticateRequest(token=service.admin_token),
        "ListKeys": key_service_pb2.ListKeysRequest(parent=PARENT),
    }
    channel: Any = service.channel
    call = channel.unary_unary(METHODS[method][0])(
        requests[method].SerializeToString(), metadata=caller._metadata()
    )
    await call
    assert "x-request-id" not in {key for key, _ in await call.initial_metadata()}
    return [value for key, value in await call.trailing_metadata() if key == "x-request-id"]


every_way = pytest.mark.parametrize("method", ["Authenticate", "ListKeys"])


@every_way
@pytest.mark.parametrize("given", ["0af7651916cd43dd", "job:2024-11-21.7-x", "x-" * 32])
async def test_the_id_that_a_caller_gives_is_the_id_of_the_call(
    service: Service, method: str, given: str
) -> None:
    assert await _ids_in_reply(service, method, ("x-request-id", given)) == [given]


@every_way
@pytest.mark.parametrize(
    "given", ["", "short", "x-" * 32 + "x", "x" * 43, "two words", '"},{"event":"forged']
)
async def test_an_id_that_is_none_is_replaced(service: Service, method: str, given: str) -> None:
    [found] = await _ids_in_reply(service, method, ("x-request-id", given))
    assert GIVEN.fullmatch(found)


@every_way
async def test_two_ids_are_none(service: Service, method: str) -> None:
    twice = [("x-request-id", "first-of-two"), ("x-request-id", "second-of-two")]
    [found] = await _ids_in_reply(service, method, *twice)
    assert GIVEN.fullmatch(found)


async def test_no_two_calls_are_given_the_same_id(service: Service) -> None:
    found = [each for _ in range(5) for each in await _ids_in_reply(service, "ListKeys")]
    assert len(set(found)) == len(found) == 5


async def test_an_error_carries_the_id_of_its_call_in_details_and_trailers(
    service: Service,
) -> None:
    request = auth_service_pb2.AuthenticateRequest(token="no token").SerializeToString()
    caller = service.as_caller(service.admin_token, ("x-request-id", "failing-call"))
    channel: Any = service.channel
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.unary_unary("/keywright.v1.AuthService/Authenticate")(
            request, metadata=caller._metadata()
        )
    assert ("x-request-id", "failing-call") in tuple(failed.value.trailing_metadata() or ())
    refused = await refusal(caller.authenticate("no token"))
    assert refused.detail(error_details_pb2.RequestInfo).request_id == "failing-call"


async def test_what_breaks_inside_is_internal_and_told_in_the_log_only(service: Service) -> None:
    """A table is missing behind the server's back: nobody foresaw that error."""
    caller = service.as_caller(service.admin_token, ("x-request-id", "broken-inside"))
    await service.sql("ALTER TABLE keywright.key_secret RENAME TO hidden")
    try:
        refused = await refusal(caller.authenticate(service.admin_token))
    finally:
        await service.sql("ALTER TABLE keywright.hidden RENAME TO key_secret")
    assert refused.code is grpc.StatusCode.INTERNAL
    assert refused.reason == "INTERNAL"
    told = refused.message + str(refused.status)
    for secret in ("key_secret", "SELECT", "asyncpg", "Traceback", ".py"):
        assert secret not in told
    line = await service.process.logged("internal error")
    assert line["request_id"] == "broken-inside"
    assert line["level"] == "error"
    assert "key_secret" in line["exception"]
    assert service.admin_token not in "".join(service.process.raw)
    await caller.authenticate(service.admin_token)  # the connection that saw it still works


async def test_a_handler_that_raises_anything_is_internal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def planted(_rpc: Rpc, _request: object) -> auth_service_pb2.AuthenticateResponse:
        raise ZeroDivisionError("the insides")

    monkeypatch.setitem(auth.HANDLERS, "Authenticate", planted)
    services: Any = object()  # the planted handler uses none
    backend = Backend(Settings(authenticate_callers="any"), services)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Transport(backend),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            caller = Caller(channel, None, (("x-request-id", "planted-call"),))
            with capture_logs() as logged:
                refused = await refusal(caller.authenticate("x"))
    finally:
        await server.stop(None)
    assert refused.code is grpc.StatusCode.INTERNAL
    assert "insides" not in refused.message + str(refused.status)
    [line] = [each for each in logged if each["event"] == "internal error"]
    assert line["request_id"] == "planted-call"
    assert line["exc_info"]

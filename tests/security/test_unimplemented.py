"""What this version does not do says so, as every other error does."""

from typing import Any

import grpc
import pytest

from keywright.v1 import auth_service_pb2
from keywright.wire.rpc import Method
from tests.security.contract import UNIMPLEMENTED
from tests.security.operated import Operated
from tests.support.service import RefusedError, Service, refusal

every_unimplemented = pytest.mark.parametrize(
    "method", UNIMPLEMENTED, ids=lambda each: f"{each.service}.{each.name}"
)


async def stream(service: Service, path: str) -> RefusedError:
    """How a stream ends that says nothing."""
    call: Any = service.channel.stream_stream(path)(iter(()), timeout=20)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    return RefusedError(refused.value)


async def unary(service: Service, path: str, token: str | None) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        await service.as_caller(token).send(path, b"")
    return refused.value


@every_unimplemented
async def test_a_method_that_is_not_there_yet_says_so(service: Service, method: Method) -> None:
    if method.streaming:
        errors = [await stream(service, method.path)]
    else:
        errors = [await unary(service, method.path, each) for each in (None, service.admin_token)]
    for error in errors:
        assert error.code is grpc.StatusCode.UNIMPLEMENTED
        assert error.reason == "METHOD_UNIMPLEMENTED"


@pytest.mark.parametrize(
    "path",
    [
        "/keywright.v1.KeyService/Nothing",
        "/keywright.v1.KeyService/createKey",
        "/keywright.v1.KeyService/CreateKey/",
        "/keywright.v1.NoService/CreateKey",
        "/keywright.v1.KeyService/",
        "/keywright.v1.KeyService",
        "/",
        "/../CreateKey",
        "/%00",
        f"/{'x' * 4000}",
    ],
)
async def test_a_method_that_nobody_knows_is_unimplemented(service: Service, path: str) -> None:
    for error in (await unary(service, path, service.admin_token), await stream(service, path)):
        assert error.code is grpc.StatusCode.UNIMPLEMENTED
        assert error.reason == "METHOD_UNIMPLEMENTED"


async def test_a_signed_request_is_refused_and_not_ignored(service: Operated) -> None:
    signed = auth_service_pb2.SignedRequest(signature=b"x")
    request = auth_service_pb2.AuthenticateRequest(signed_request=signed)
    assert_refused_for(await refusal(service.admin.auth("Authenticate", request)), "signed_request")


def assert_refused_for(error: RefusedError, field: str) -> None:
    assert error.code is grpc.StatusCode.UNIMPLEMENTED
    assert error.reason == "FIELD_UNIMPLEMENTED"
    assert error.info.metadata["field"] == field

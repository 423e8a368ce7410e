"""What this version does not do says so, as every other error does."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2, user_pb2, user_service_pb2
from keywright.wire.rpc import Method
from tests.security.contract import UNIMPLEMENTED
from tests.support.service import PARENT, RefusedError, Service

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


async def test_a_field_that_is_not_honoured_yet_is_refused_and_not_ignored(
    service: Service,
) -> None:
    name = f"{PARENT}/keys/k"
    human = user_pb2.User(email="a@b.example", resource="projects/a")
    for send, method, request, field in (
        (
            service.admin.keys,
            "CreateKey",
            key_service_pb2.CreateKeyRequest(parent=PARENT, request_id="r"),
            "request_id",
        ),
        (
            service.admin.keys,
            "RevokeKey",
            key_service_pb2.RevokeKeyRequest(name=name, request_id="r"),
            "request_id",
        ),
        (
            service.admin.keys,
            "ListKeys",
            key_service_pb2.ListKeysRequest(parent=PARENT, order_by="display_name"),
            "order_by",
        ),
        (
            service.admin.keys,
            "ListKeys",
            key_service_pb2.ListKeysRequest(
                parent=PARENT, filter=key_pb2.KeyFilter(unused_since=Timestamp(seconds=1))
            ),
            "filter.unused_since",
        ),
        (
            service.admin.users,
            "CreateUser",
            user_service_pb2.CreateUserRequest(parent=PARENT, user=human),
            "user.resource",
        ),
        (
            service.admin.auth,
            "Authenticate",
            auth_service_pb2.AuthenticateRequest(
                signed_request=auth_service_pb2.SignedRequest(signature=b"x")
            ),
            "signed_request",
        ),
    ):
        with pytest.raises(RefusedError) as refused:
            await send(method, request)
        assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
        assert refused.value.reason == "FIELD_UNIMPLEMENTED"
        assert refused.value.info.metadata["field"] == field

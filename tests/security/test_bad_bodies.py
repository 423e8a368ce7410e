"""Requests that are no messages, or too long, and errors that would be too long to arrive."""

import random
import string
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from keywright.domain.errors import Reason
from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2, user_service_pb2
from keywright.wire.rpc import Method
from tests.security.contract import IMPLEMENTED, asks_nothing, entitled, good_request
from tests.security.operated import Operated
from tests.support.service import PARENT, Caller, RefusedError, Service

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"
CREATE_KEY = "/keywright.v1.KeyService/CreateKey"
LIMIT = 4 * 2**20

# Field 1 of nearly every request is text or a message. A length beyond the end, a tag that ends in
# the middle, a group that does not end, field 0, text that is not UTF-8, a UTF-8 surrogate, a nest
# without a bottom.
NO_MESSAGES = [
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a",
    b"\x0a\x05abc",
    b"\x80",
    b"\x0b",
    b"\x02\x00",
    b"\x0a\x02\xff\xfe",
    b"\x0a\x03\xed\xa0\x80",
    b"\x0a\x02\xc0\x80",
    b"\x6b" * 100_000,
]
TEXT_OR_MESSAGE = (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE)
every_method = pytest.mark.parametrize("method", IMPLEMENTED, ids=lambda each: each.name)


async def refused_by(caller: Caller, path: str, body: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        await caller.send(path, body)
    return refused.value


def no_messages(method: Method) -> list[bytes]:
    """The same, where field 1 is a number, with the first field that is text."""
    message: Any = method.request_type.DESCRIPTOR
    first = next(field.number for field in message.fields if field.cpp_type in TEXT_OR_MESSAGE)
    return [body.replace(b"\x0a", bytes([first << 3 | 2]), 1) for body in NO_MESSAGES]


@every_method
async def test_a_body_that_is_no_message_is_malformed(service: Operated, method: Method) -> None:
    for body in no_messages(method):
        error = await refused_by(entitled(service, method), method.path, body)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT, body
        assert error.reason == "REQUEST_MALFORMED", body


@every_method
async def test_garbage_is_malformed_or_lacks_what_is_required(
    service: Operated, method: Method
) -> None:
    """Garbage can be a message: of fields that nobody knows."""
    dice = random.Random(method.name)
    expected = {"REQUEST_MALFORMED", "FIELD_INVALID", "TOKEN_MALFORMED"}
    caller = entitled(service, method)
    for length in (0, 1, 2, 3, 5, 8, 13, 100, 1000):
        body = dice.randbytes(length)
        if asks_nothing(method) and is_message(method, body):
            await caller.send(method.path, body)
            continue
        error = await refused_by(caller, method.path, body)
        assert error.reason in expected


def is_message(method: Method, body: bytes) -> bool:
    """Whether it can be read, also if all of it is unknown."""
    try:
        method.request_type.FromString(body)
    except DecodeError:
        return False
    return True


@every_method
async def test_a_good_request_cut_short_is_never_taken_for_a_whole_one(
    service: Operated, method: Method
) -> None:
    whole = (await good_request(service, method)).SerializeToString()
    for length in range(asks_nothing(method), len(whole), 1 + len(whole) // 10):
        error = await refused_by(entitled(service, method), method.path, whole[:length])
        assert error.reason in {"REQUEST_MALFORMED", "FIELD_INVALID", "TOKEN_MALFORMED"}


@every_method
async def test_a_field_that_nobody_knows_is_left_alone(service: Operated, method: Method) -> None:
    """A newer client must be able to speak to an older server."""
    request = await good_request(service, method)
    body = request.SerializeToString() + b"\xfa\x3f\x03abc"
    await entitled(service, method).send(method.path, body)


def of_length(length: int) -> bytes:
    """A request of exactly `length` bytes."""
    request = auth_service_pb2.AuthenticateRequest(token="x" * (length - 5))
    body = request.SerializeToString()
    assert len(body) == length
    return body


@pytest.mark.parametrize("path", [AUTHENTICATE, CREATE_KEY])
async def test_a_request_that_is_too_long_is_told_how_long_it_may_be(
    service: Service, path: str
) -> None:
    for length in (LIMIT + 1, 2 * LIMIT):
        error = await refused_by(service.admin, path, of_length(length))
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.reason == Reason.REQUEST_TOO_LARGE
        assert error.info.metadata["limit_bytes"] == str(LIMIT)


async def test_a_request_as_long_as_it_may_be_is_read(service: Service) -> None:
    assert (
        await refused_by(service.admin, AUTHENTICATE, of_length(LIMIT))
    ).reason == "TOKEN_MALFORMED"


async def test_a_request_twice_too_long_is_not_even_received(service: Service) -> None:
    """gRPC itself refuses it, with the same code and without a word of ours."""
    call: Any = service.channel.unary_unary(AUTHENTICATE)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(of_length(2 * LIMIT + 1), timeout=20)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stranger_learns_nothing_from_a_bad_request(service: Service) -> None:
    """Who calls is asked first, where that is asked."""
    for method in IMPLEMENTED:
        if method.is_open:
            continue
        for body in (b"", *NO_MESSAGES, of_length(LIMIT + 1)):
            with pytest.raises(RefusedError) as refused:
                await service.as_caller(None).send(method.path, body)
            assert refused.value.reason == "CALLER_CREDENTIAL_MISSING"


WIDE = "😀"
# The errors that repeat most of what was sent, in characters of four bytes.
LONG_WINDED: dict[str, tuple[str, Message, str]] = {
    "many bad labels": (
        CREATE_KEY,
        key_service_pb2.CreateKeyRequest(
            parent=PARENT,
            key=key_pb2.Key(labels={f"{WIDE * 300}{each}": "\0" for each in range(60)}),
        ),
        "FIELD_INVALID",
    ),
    "many bad scopes": (
        CREATE_KEY,
        key_service_pb2.CreateKeyRequest(
            parent=PARENT, key=key_pb2.Key(scopes=[f"{WIDE * 200}{each}" for each in range(90)])
        ),
        "FIELD_INVALID",
    ),
    "a long name": (
        "/keywright.v1.UserService/GetUser",
        user_service_pb2.GetUserRequest(name=f"{PARENT}/users/{WIDE * 64}@{WIDE * 189}"),
        "RESOURCE_NOT_FOUND",
    ),
    "many missing permissions": (
        AUTHENTICATE,
        auth_service_pb2.AuthenticateRequest(
            required_permissions=[letter * 128 for letter in string.ascii_letters]
        ),
        "PERMISSION_MISSING",
    ),
    "a long environment": (
        AUTHENTICATE,
        auth_service_pb2.AuthenticateRequest(required_environment="e" * 16),
        "ENVIRONMENT_MISMATCH",
    ),
}


@pytest.mark.parametrize("of", LONG_WINDED)
async def test_an_error_that_repeats_much_of_a_request_still_arrives_whole(
    service: Service, of: str
) -> None:
    """A client refuses trailers of more than 8 KiB, and then has no reason at all."""
    path, request, reason = LONG_WINDED[of]
    if isinstance(request, auth_service_pb2.AuthenticateRequest):
        request.token = (await service.admin.create_key(scopes=["none.of.these"])).token
    error = await refused_by(service.admin, path, request.SerializeToString())
    assert error.reason == reason
    assert error.code.name != "RESOURCE_EXHAUSTED"
    assert error.status.message == error.message

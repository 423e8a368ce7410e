"""From what the wire says to the tree of errors."""

import pickle
from datetime import timedelta

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from keywright.sdk import errors
from keywright.sdk.connection.status import from_status
from keywright.sdk.errors import FieldViolation, KeywrightError


def status(*parts: Message) -> bytes:
    packed = []
    for part in parts:
        detail = Any()
        detail.Pack(part)
        packed.append(detail)
    return status_pb2.Status(code=5, message="m", details=packed).SerializeToString()


def info(reason: str, domain: str = "keywright.dev", **metadata: str) -> details.ErrorInfo:
    return details.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("CANCELLED", errors.Cancelled),
        ("UNKNOWN", errors.Internal),
        ("INVALID_ARGUMENT", errors.InvalidArgument),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("NOT_FOUND", errors.NotFound),
        ("ALREADY_EXISTS", errors.AlreadyExists),
        ("PERMISSION_DENIED", errors.PermissionDenied),
        ("RESOURCE_EXHAUSTED", errors.ResourceExhausted),
        ("FAILED_PRECONDITION", errors.FailedPrecondition),
        ("ABORTED", errors.Aborted),
        ("OUT_OF_RANGE", errors.Internal),
        ("UNIMPLEMENTED", errors.Unimplemented),
        ("INTERNAL", errors.Internal),
        ("UNAVAILABLE", errors.Unavailable),
        ("DATA_LOSS", errors.Internal),
        ("UNAUTHENTICATED", errors.Unauthenticated),
    ],
)
def test_each_grpc_code_has_its_class(code: str, expected: type[KeywrightError]) -> None:
    assert type(from_status(code, "m", b"", "server")) is expected


def test_reason_metadata_fields_and_request_id_are_told() -> None:
    error = from_status(
        "INVALID_ARGUMENT",
        "the request is invalid",
        status(
            info("FIELD_INVALID", hint="x"),
            details.BadRequest(
                field_violations=[
                    details.BadRequest.FieldViolation(field="key.role", description="is odd"),
                    details.BadRequest.FieldViolation(field="ttl", description="is short"),
                ]
            ),
            details.RequestInfo(request_id="r-1"),
        ),
        "server",
    )
    assert (error.reason, error.message) == ("FIELD_INVALID", "the request is invalid")
    assert error.metadata == {"hint": "x"}
    assert error.violations == (
        FieldViolation("key.role", "is odd"),
        FieldViolation("ttl", "is short"),
    )
    assert error.request_id == "r-1"
    assert str(error) == ("FIELD_INVALID: the request is invalid; key.role: is odd; ttl: is short")


def test_how_long_to_wait_is_told_as_the_server_says_it() -> None:
    retry = details.RetryInfo()
    retry.retry_delay.FromTimedelta(timedelta(milliseconds=1500))
    told = from_status("RESOURCE_EXHAUSTED", "m", status(info("RATE_LIMITED"), retry), "server")
    assert told.retry_delay == timedelta(seconds=1.5)
    assert from_status("NOT_FOUND", "m", status(info("X")), "server").retry_delay is None


@pytest.mark.parametrize(
    "trailer", [b"", b"\xff\xff\xff", status(info("NO_HEALTHY_UPSTREAM", "envoy.example"))]
)
def test_what_did_not_come_from_keywright_names_the_server_and_no_foreign_reason(
    trailer: bytes,
) -> None:
    error = from_status("UNAVAILABLE", "connection refused", trailer, "keys.example:7700")
    assert error.reason == "UNAVAILABLE"
    assert error.message == "connection refused (from keys.example:7700)"


def test_a_detail_that_cannot_be_read_leaves_the_others_readable() -> None:
    broken = Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff")
    ours = Any()
    ours.Pack(info("KEY_REVOKED"))
    trailer = status_pb2.Status(details=[broken, ours]).SerializeToString()
    assert from_status("UNAUTHENTICATED", "m", trailer, "server").reason == "KEY_REVOKED"


def test_trouble_with_ones_own_credential_is_told_apart_from_the_presented_token() -> None:
    for reason in ("CALLER_CREDENTIAL_INVALID", "CALLER_PERMISSION_MISSING"):
        assert from_status("FAILED_PRECONDITION", "m", status(info(reason)), "s").about_caller
    assert not from_status("UNAUTHENTICATED", "m", status(info("KEY_EXPIRED")), "s").about_caller


def test_an_error_survives_the_way_to_another_process() -> None:
    error = errors.NotFound("gone", reason="RESOURCE_NOT_FOUND", metadata={"resource": "x"})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.metadata) == (errors.NotFound, str(error), error.metadata)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {
        line.split("── ")[1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    }
    assert drawn == {each.__name__ for each in KeywrightError.__subclasses__()}

"""From a failed gRPC call to an error of the tree."""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from keywright.sdk.errors import FieldViolation, KeywrightError, class_for

DOMAIN = "keywright.dev"
_DETAILS_TRAILER = "grpc-status-details-bin"

# What gRPC says where no server of ours can have answered, and what it means.
_CONNECTING: Sequence[tuple[re.Pattern[str], str, str]] = [
    (
        re.compile("Hostname Verification Check failed"),
        "TLS_NAME_MISMATCH",
        "the server's certificate is for another name: call it by one that is in its certificate",
    ),
    (
        re.compile("CERTIFICATE_VERIFY_FAILED"),
        "TLS_CERTIFICATE_UNTRUSTED",
        "nobody trusted (ca_file, --ca-file) has signed the server's certificate, or it is too old",
    ),
    (
        re.compile("WRONG_VERSION_NUMBER"),
        "PROTOCOL_MISMATCH",
        "the server does not speak TLS, which grpcs:// stands for",
    ),
    (
        re.compile("Failed parsing HTTP/2"),
        "PROTOCOL_MISMATCH",
        "what answers there speaks another protocol than gRPC",
    ),
    (
        re.compile("last error: .*: Socket closed"),
        "",  # it may also be a server that is just starting or stopping
        "the server hung up: one that speaks TLS is called grpcs://",
    ),
]
HOPELESS = frozenset(reason for _, reason, _ in _CONNECTING if reason)
"""Reasons of what would be the same if it were tried again."""


def from_call(failed: Any, server: str) -> KeywrightError:
    """The error that a `grpc.RpcError` is; `server` is named if none of ours has answered."""
    trailers = dict(tuple(failed.trailing_metadata() or ()))  # pairs, also if of grpc.aio
    return from_status(
        failed.code().name, failed.details() or "", trailers.get(_DETAILS_TRAILER, b""), server
    )


def from_status(code: str, message: str, details: bytes, server: str) -> KeywrightError:
    """The error that a gRPC code, a message and the bytes of a `google.rpc.Status` make."""
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    request = error_details_pb2.RequestInfo()
    retry = error_details_pb2.RetryInfo()
    for packed in _status(details).details:
        for detail in (info, bad_request, request, retry):
            _unpack(packed, detail)
    ours = info.domain == DOMAIN
    told = (info.reason, message) if ours else _foreign(code, message or "no answer", server)
    return class_for(code)(
        told[1],
        reason=told[0],
        metadata=info.metadata if ours else None,
        violations=[
            FieldViolation(each.field, each.description) for each in bad_request.field_violations
        ],
        request_id=request.request_id,
        retry_delay=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
    )


def _foreign(code: str, message: str, server: str) -> tuple[str, str]:
    """Reason and message of what did not come from a server of ours."""
    if code == "UNAVAILABLE":
        for words, reason, meaning in _CONNECTING:
            if words.search(message):
                return reason, f"{meaning}: {message} (from {server})"
    return "", f"{message} (from {server})"


def _status(details: bytes) -> status_pb2.Status:
    status = status_pb2.Status()
    try:
        status.ParseFromString(details)
    except DecodeError:  # whatever stands between may cut trailers; the code alone still counts
        status.Clear()
    return status


def _unpack(packed: Any, detail: Any) -> None:
    try:
        packed.Unpack(detail)
    except DecodeError:
        detail.Clear()

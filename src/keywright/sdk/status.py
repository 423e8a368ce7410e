"""From a failed gRPC call to an error of the tree."""

from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from keywright.sdk.errors import FieldViolation, KeywrightError, class_for

DOMAIN = "keywright.dev"
_DETAILS_TRAILER = "grpc-status-details-bin"


def from_call(failed: Any, server: str) -> KeywrightError:
    """The error that a `grpc.RpcError` is; `server` is named if none of ours has answered."""
    trailers = dict(failed.trailing_metadata() or ())
    return from_status(
        failed.code().name, failed.details() or "", trailers.get(_DETAILS_TRAILER, b""), server
    )


def from_status(code: str, message: str, details: bytes, server: str) -> KeywrightError:
    """The error that a gRPC code, a message and the bytes of a `google.rpc.Status` make."""
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    request = error_details_pb2.RequestInfo()
    for packed in _status(details).details:
        for detail in (info, bad_request, request):
            _unpack(packed, detail)
    ours = info.domain == DOMAIN
    return class_for(code)(
        message if ours else f"{message or 'no answer'} (from {server})",
        reason=info.reason if ours else "",
        metadata=info.metadata if ours else None,
        violations=[
            FieldViolation(each.field, each.description) for each in bad_request.field_violations
        ],
        request_id=request.request_id,
    )


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

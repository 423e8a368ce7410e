"""From a failure to a status: the one table and the one place where details are written.

Every error carries `ErrorInfo` (domain `keywright.dev`); a denial of the presented token a
`Denial`; broken fields a `BadRequest`; a missing resource a `ResourceInfo`; what may be tried again
a `RetryInfo`; all of them the id of the call. What we do not know is `INTERNAL`, without a word
about its cause: that is in the log.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from keywright.domain.errors import Denied, InvalidFields, NotFound, Reason, ServiceError, Status
from keywright.v1 import denial_pb2, error_reason_pb2

DOMAIN = "keywright.dev"

# Message and details travel in trailers, of which clients take 8 KiB by default: a longer reply
# reaches them without any. Bytes, not characters; in the message each can become three ("%F0").
_MESSAGE_MAX_BYTES = 600
_VIOLATIONS_MAX_COUNT = 8
_DETAIL_MAX_BYTES = 200


@dataclass(slots=True)
class Failure(Exception):
    """A call that failed, ready for any transport: gRPC code, message, details, reason."""

    status: status_pb2.Status
    reason: Reason

    @property
    def code(self) -> str:
        """The name of the canonical code, `NOT_FOUND`."""
        return str(code_pb2.Code.Name(self.status.code))


@dataclass(frozen=True, slots=True)
class DenialStatus:
    """What is told in place of a reply, ready for the wire: `details` is a serialised `Status`."""

    code: int
    message: str
    details: bytes


def denial_status(error: ServiceError, call_id: str) -> DenialStatus:
    """What a caller is told of a denial, or a refusal; the same as `failure`, serialised."""
    details = tuple(error.details.items())
    is_denial = isinstance(error, Denied)
    told = _told_of(is_denial, error.reason, error.message, details, error.retry_delay)
    # Repeated fields of concatenated messages are one after the other (protobuf encoding).
    return DenialStatus(told.code, told.message, told.details + _request_info(call_id))


@lru_cache(maxsize=1024)
def _told_of(
    is_denial: bool,  # noqa: FBT001  an lru_cache takes no names without a cost
    reason: Reason,
    message: str,
    details: tuple[tuple[str, str], ...],
    retry_delay: timedelta | None,
) -> DenialStatus:
    kind = Denied if is_denial else ServiceError
    error = kind(reason, message, details=dict(details), retry_delay=retry_delay)
    status = failure(error, "").status
    del status.details[-1]  # the id of the call
    return DenialStatus(status.code, status.message, status.SerializeToString())


def _request_info(call_id: str) -> bytes:
    return _before_call_id(len(call_id)) + call_id.encode()


@lru_cache(maxsize=64)  # an id has at most so many characters
def _before_call_id(length: int) -> bytes:
    """All of a status that says an id of this length, but for the id, which comes last."""
    status = status_pb2.Status()
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id="x" * length))
    return bytes(status.SerializeToString()[:-length])


def failure(error: ServiceError, call_id: str) -> Failure:
    """What a caller is told of `error`."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason.value,
            domain=DOMAIN,
            metadata=_metadata(error),
        )
    ]
    code = code_pb2.Code.Value(error.status.value)
    if isinstance(error, Denied):
        details.append(denial(error))
    if isinstance(error, InvalidFields) or error.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=_short(violation.field),
                        description=_short(violation.description),
                        reason=error.reason.value,
                    )
                    for violation in error.violations[:_VIOLATIONS_MAX_COUNT]
                ]
            )
        )
    if isinstance(error, NotFound):
        details.append(
            error_details_pb2.ResourceInfo(resource_name=_short(error.details["resource"]))
        )
    if error.retry_delay is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_delay)
        details.append(retry)
    details.append(error_details_pb2.RequestInfo(request_id=call_id))
    status = status_pb2.Status(code=code, message=_short(error.message, _MESSAGE_MAX_BYTES))
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(status, error.reason)


def denial(error: ServiceError) -> denial_pb2.Denial:
    """The message that says why a token was denied: the same in an error and beside an item."""
    missing = error.details.get("missing", "")
    told = denial_pb2.Denial(
        reason=reason_value(error.reason),
        message=_short(error.message, _MESSAGE_MAX_BYTES),
        code=code_pb2.Code.Value(error.status.value),
        missing_permissions=[each for each in missing.split(",") if each][:_VIOLATIONS_MAX_COUNT],
        metadata=_metadata(error),
    )
    if error.retry_delay is not None and error.status is Status.RESOURCE_EXHAUSTED:
        told.retry_delay.FromTimedelta(error.retry_delay)
    return told


def reason_value(reason: str) -> error_reason_pb2.ErrorReason.ValueType:
    """A reason, for a reply."""
    return error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")


def internal_error() -> ServiceError:
    """A defect of ours. What it was is in the log, under the id of the call."""
    return ServiceError(Reason.INTERNAL, "internal error; the server's log has it under request_id")


def _metadata(error: ServiceError) -> dict[str, str]:
    return {key: _short(value) for key, value in error.details.items()}


def _short(text: str, most: int = _DETAIL_MAX_BYTES) -> str:
    """`text`, cut between two characters where it is longer than `most` bytes of UTF-8."""
    # Each character is a byte at least: what a caller sent may be long, and is encoded in part.
    encoded = text[: most + 1].encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "..."

"""From a failure to what a caller is told: the one table, and what every error carries.

That the domain's reasons are those of the contract, with the codes that its comments promise, is
for `tests/architecture/test_proto_contract.py` to say.
"""

import re
from datetime import timedelta

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from keywright.domain.errors import (
    STATUS,
    Denied,
    FieldViolation,
    InvalidFields,
    NotFound,
    Reason,
    ServiceError,
    Status,
    Unavailable,
    permission_missing,
)
from keywright.storage import failures, migrate
from keywright.v1 import denial_pb2, error_reason_pb2
from keywright.wire.errors import DOMAIN, Failure, denial, failure, internal_error

WIDE = "😀"  # four bytes of UTF-8, twelve in a message's header
TRAILERS_MAX_BYTES = 8 * 1024


def detail(failed: Failure, kind: type) -> object | None:
    for packed in failed.status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def test_every_reason_has_a_status_and_there_are_no_others() -> None:
    assert set(STATUS) == set(Reason)
    assert set(STATUS.values()) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_every_status_is_one_of_grpc_s(status: Status) -> None:
    assert status.value in grpc.StatusCode.__members__
    assert grpc.StatusCode[status.value].value[0] == code_pb2.Code.Value(status.value)


@pytest.mark.parametrize("reason", Reason)
def test_every_error_carries_its_reason_and_the_id_of_the_call(reason: Reason) -> None:
    failed = failure(ServiceError(reason, "what happened", details={"field": "name"}), "call-1")
    assert failed.reason is reason
    assert failed.code == STATUS[reason]
    assert failed.status.message == "what happened"
    info = detail(failed, error_details_pb2.ErrorInfo)
    assert info == error_details_pb2.ErrorInfo(
        reason=reason.name, domain=DOMAIN, metadata={"field": "name"}
    )
    call = error_details_pb2.RequestInfo(request_id="call-1")
    assert detail(failed, error_details_pb2.RequestInfo) == call


@pytest.mark.parametrize("reason", Reason)
def test_only_a_verdict_on_a_token_carries_a_denial(reason: Reason) -> None:
    told = detail(failure(Denied(reason, "no"), "c"), denial_pb2.Denial)
    assert isinstance(told, denial_pb2.Denial)
    assert (told.reason, told.message, told.code) == (
        error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason.name}"),
        "no",
        code_pb2.Code.Value(STATUS[reason].value),
    )
    assert detail(failure(ServiceError(reason, "no"), "c"), denial_pb2.Denial) is None


def test_who_may_try_again_is_told_when() -> None:
    delayed = ServiceError(Reason.FAILURES_LIMITED, "no", retry_delay=timedelta(seconds=2.5))
    for error, seconds in ((delayed, 2.5), (ServiceError(Reason.OVERLOADED, "no"), 1)):
        told = detail(failure(error, "c"), error_details_pb2.RetryInfo)
        assert isinstance(told, error_details_pb2.RetryInfo)
        assert told.retry_delay.ToTimedelta() == timedelta(seconds=seconds)
        assert denial(error).retry_delay == told.retry_delay  # beside an item of a batch
    never = failure(ServiceError(Reason.KEY_REVOKED, "no"), "c")
    assert detail(never, error_details_pb2.RetryInfo) is None


def test_each_kind_of_error_carries_what_belongs_to_it() -> None:
    violations = [FieldViolation("a.b[0]", "must be a"), FieldViolation("c", "must be c")]
    bad = detail(failure(InvalidFields(*violations), "c"), error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        ("a.b[0]", "must be a"),
        ("c", "must be c"),
    ]
    name = "workspaces/a/keys/k"
    missing = detail(failure(NotFound(name), "c"), error_details_pb2.ResourceInfo)
    assert isinstance(missing, error_details_pb2.ResourceInfo)
    assert missing.resource_name == name


def test_a_fault_of_ours_is_told_without_a_cause() -> None:
    failed = failure(internal_error(), "call-1")
    assert failed.code == "INTERNAL"
    assert len(failed.status.details) == 2


LONG = WIDE * 2**12
LONG_WINDED = [
    ServiceError(Reason.INTERNAL, LONG, details={"a": LONG, "b": LONG}),
    Denied(Reason.PERMISSION_MISSING, LONG, details={"missing": ",".join(["p" * 128] * 100)}),
    InvalidFields(*(FieldViolation(LONG, LONG) for _ in range(100))),
    NotFound(LONG),
    permission_missing(LONG),
    Unavailable(Reason.SERVER_UNAVAILABLE, "\0" * 2**12),
]


@pytest.mark.parametrize("error", LONG_WINDED, ids=lambda error: type(error).__name__)
def test_whatever_an_error_repeats_it_fits_what_clients_take(error: ServiceError) -> None:
    """8 KiB of trailers, of which a character of the message that is not ASCII takes three."""
    status = failure(error, "c" * 64).status
    message = sum(1 if 0x20 <= byte < 0x7F else 3 for byte in status.message.encode())
    others = 512  # what gRPC sends besides, and 32 bytes for each header (RFC 9113, 6.5.2)
    assert message + len(status.SerializeToString()) * 4 / 3 + others < TRAILERS_MAX_BYTES
    assert status.message.endswith("...")


def test_what_is_cut_is_cut_between_characters() -> None:
    for length in range(595, 610):
        message = failure(ServiceError(Reason.INTERNAL, "a" * (length % 4) + LONG), "c").status
        assert set(message.message) <= set(f"a{WIDE}.")


def test_the_constraints_that_are_told_in_words_are_those_of_the_schema() -> None:
    """One that is renamed in a migration would become INTERNAL."""
    schema = "\n".join(migration.sql for migration in migrate.load())
    named = set(re.findall(r"(?:CONSTRAINT|UNIQUE INDEX) (\w+)", schema))
    assert set(failures._CONSTRAINTS) <= named

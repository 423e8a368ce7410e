"""What can go wrong, in one place.

Every failure that reaches a caller is one of these, and carries one `Reason`:

    ServiceError                     anything a caller is told
    |-- Denied                       the presented token does not stand, or lacks something
    |-- InvalidFields                the request breaks a rule; names every field
    |-- NotFound                     missing, foreign or invisible: indistinguishable (promise G8)
    `-- Unavailable                  our own trouble; the caller may try again

`STATUS` maps each reason to its canonical status (google.rpc.Code); `keywright.wire.errors` turns
that into gRPC. A test keeps this table and `ErrorReason` in `error_reason.proto` in step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, auto


class Status(StrEnum):
    """Canonical status codes, by the names that every RPC framework shares (google.rpc.Code)."""

    @staticmethod
    def _generate_next_value_(name: str, _start: int, _count: int, _last: list[str]) -> str:
        return name

    CANCELLED = auto()
    INVALID_ARGUMENT = auto()
    DEADLINE_EXCEEDED = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    PERMISSION_DENIED = auto()
    RESOURCE_EXHAUSTED = auto()
    FAILED_PRECONDITION = auto()
    ABORTED = auto()
    UNIMPLEMENTED = auto()
    INTERNAL = auto()
    UNAVAILABLE = auto()
    UNAUTHENTICATED = auto()


class Reason(StrEnum):
    """The closed list of reasons; equals `ErrorReason` of the wire contract, without its prefix."""

    @staticmethod
    def _generate_next_value_(name: str, _start: int, _count: int, _last: list[str]) -> str:
        return name

    # The presented token does not stand.
    TOKEN_MALFORMED = auto()
    TOKEN_UNKNOWN = auto()
    TOKEN_EXPIRED = auto()
    TOKEN_RETIRED = auto()
    KEY_EXPIRED = auto()
    KEY_REVOKED = auto()
    KEY_DISABLED = auto()
    USER_DISABLED = auto()
    WORKSPACE_DISABLED = auto()
    SIGNATURE_MALFORMED = auto()
    SIGNATURE_INVALID = auto()
    SIGNATURE_EXPIRED = auto()
    SIGNATURE_REPLAYED = auto()
    SIGNATURE_CONTENT_MISMATCH = auto()
    SIGNATURE_KEY_EXPIRED = auto()
    SESSION_EXPIRED = auto()
    SESSION_REVOKED = auto()
    SESSION_LINK_INVALID = auto()
    SESSION_ID_TOKEN_INVALID = auto()
    SESSION_USER_UNKNOWN = auto()
    # It stands, but lacks this.
    KEYS_NOT_ALLOWED = auto()
    ADDRESS_NOT_ALLOWED = auto()
    ADDRESS_REQUIRED = auto()
    RESOURCE_MISMATCH = auto()
    RESOURCE_REQUIRED = auto()
    ENVIRONMENT_MISMATCH = auto()
    PERMISSION_MISSING = auto()
    # Too much at once.
    RATE_LIMITED = auto()
    FAILURES_LIMITED = auto()
    OVERLOADED = auto()
    # The caller's own credential: in AuthService never mixed up with the presented token.
    CALLER_CREDENTIAL_MISSING = auto()
    CALLER_CREDENTIAL_MALFORMED = auto()
    CALLER_CREDENTIAL_INVALID = auto()
    CALLER_PERMISSION_MISSING = auto()
    # The request.
    FIELD_INVALID = auto()
    REQUEST_MALFORMED = auto()
    REQUEST_TOO_LARGE = auto()
    PAGE_TOKEN_INVALID = auto()
    REQUEST_ID_REUSED = auto()
    PERMISSION_UNKNOWN = auto()
    # What it speaks of.
    RESOURCE_NOT_FOUND = auto()
    RESOURCE_ALREADY_EXISTS = auto()
    RESOURCE_IN_USE = auto()
    STATE_CONFLICT = auto()
    ETAG_MISMATCH = auto()
    CONCURRENT_UPDATE = auto()
    LAST_ADMIN = auto()
    BUILT_IN_IMMUTABLE = auto()
    # What the caller may give.
    AUTHORITY_EXCEEDED = auto()
    POLICY_CREATION_NOT_ALLOWED = auto()
    POLICY_KEY_LIMIT_REACHED = auto()
    POLICY_LIFETIME_TOO_SHORT = auto()
    POLICY_LIFETIME_TOO_LONG = auto()
    POLICY_EXPIRY_REQUIRED = auto()
    # Our own trouble.
    METHOD_UNIMPLEMENTED = auto()
    FIELD_UNIMPLEMENTED = auto()
    DATABASE_UNAVAILABLE = auto()
    SERVER_UNAVAILABLE = auto()
    REVISION_UNAVAILABLE = auto()
    DEADLINE_EXCEEDED = auto()
    WAIT_DEADLINE_EXCEEDED = auto()
    CANCELLED = auto()
    INTERNAL = auto()


STATUS: Mapping[Reason, Status] = {
    Reason.TOKEN_MALFORMED: Status.UNAUTHENTICATED,
    Reason.TOKEN_UNKNOWN: Status.UNAUTHENTICATED,
    Reason.TOKEN_EXPIRED: Status.UNAUTHENTICATED,
    Reason.TOKEN_RETIRED: Status.UNAUTHENTICATED,
    Reason.KEY_EXPIRED: Status.UNAUTHENTICATED,
    Reason.KEY_REVOKED: Status.UNAUTHENTICATED,
    Reason.KEY_DISABLED: Status.UNAUTHENTICATED,
    Reason.USER_DISABLED: Status.UNAUTHENTICATED,
    Reason.WORKSPACE_DISABLED: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_MALFORMED: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_INVALID: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_EXPIRED: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_REPLAYED: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_CONTENT_MISMATCH: Status.UNAUTHENTICATED,
    Reason.SIGNATURE_KEY_EXPIRED: Status.UNAUTHENTICATED,
    Reason.SESSION_EXPIRED: Status.UNAUTHENTICATED,
    Reason.SESSION_REVOKED: Status.UNAUTHENTICATED,
    Reason.SESSION_LINK_INVALID: Status.UNAUTHENTICATED,
    Reason.SESSION_ID_TOKEN_INVALID: Status.UNAUTHENTICATED,
    Reason.SESSION_USER_UNKNOWN: Status.UNAUTHENTICATED,
    Reason.KEYS_NOT_ALLOWED: Status.PERMISSION_DENIED,
    Reason.ADDRESS_NOT_ALLOWED: Status.PERMISSION_DENIED,
    Reason.ADDRESS_REQUIRED: Status.PERMISSION_DENIED,
    Reason.RESOURCE_MISMATCH: Status.PERMISSION_DENIED,
    Reason.RESOURCE_REQUIRED: Status.PERMISSION_DENIED,
    Reason.ENVIRONMENT_MISMATCH: Status.PERMISSION_DENIED,
    Reason.PERMISSION_MISSING: Status.PERMISSION_DENIED,
    Reason.RATE_LIMITED: Status.RESOURCE_EXHAUSTED,
    Reason.FAILURES_LIMITED: Status.RESOURCE_EXHAUSTED,
    Reason.OVERLOADED: Status.RESOURCE_EXHAUSTED,
    Reason.CALLER_CREDENTIAL_MISSING: Status.UNAUTHENTICATED,
    Reason.CALLER_CREDENTIAL_MALFORMED: Status.UNAUTHENTICATED,
    Reason.CALLER_CREDENTIAL_INVALID: Status.UNAUTHENTICATED,
    Reason.CALLER_PERMISSION_MISSING: Status.PERMISSION_DENIED,
    Reason.FIELD_INVALID: Status.INVALID_ARGUMENT,
    Reason.REQUEST_MALFORMED: Status.INVALID_ARGUMENT,
    Reason.REQUEST_TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    Reason.PAGE_TOKEN_INVALID: Status.INVALID_ARGUMENT,
    Reason.REQUEST_ID_REUSED: Status.INVALID_ARGUMENT,
    Reason.PERMISSION_UNKNOWN: Status.INVALID_ARGUMENT,
    Reason.RESOURCE_NOT_FOUND: Status.NOT_FOUND,
    Reason.RESOURCE_ALREADY_EXISTS: Status.ALREADY_EXISTS,
    Reason.RESOURCE_IN_USE: Status.FAILED_PRECONDITION,
    Reason.STATE_CONFLICT: Status.FAILED_PRECONDITION,
    Reason.ETAG_MISMATCH: Status.ABORTED,
    Reason.CONCURRENT_UPDATE: Status.ABORTED,
    Reason.LAST_ADMIN: Status.FAILED_PRECONDITION,
    Reason.BUILT_IN_IMMUTABLE: Status.FAILED_PRECONDITION,
    Reason.AUTHORITY_EXCEEDED: Status.PERMISSION_DENIED,
    Reason.POLICY_CREATION_NOT_ALLOWED: Status.PERMISSION_DENIED,
    Reason.POLICY_KEY_LIMIT_REACHED: Status.FAILED_PRECONDITION,
    Reason.POLICY_LIFETIME_TOO_SHORT: Status.INVALID_ARGUMENT,
    Reason.POLICY_LIFETIME_TOO_LONG: Status.INVALID_ARGUMENT,
    Reason.POLICY_EXPIRY_REQUIRED: Status.INVALID_ARGUMENT,
    Reason.METHOD_UNIMPLEMENTED: Status.UNIMPLEMENTED,
    Reason.FIELD_UNIMPLEMENTED: Status.UNIMPLEMENTED,
    Reason.DATABASE_UNAVAILABLE: Status.UNAVAILABLE,
    Reason.SERVER_UNAVAILABLE: Status.UNAVAILABLE,
    Reason.REVISION_UNAVAILABLE: Status.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: Status.DEADLINE_EXCEEDED,
    Reason.WAIT_DEADLINE_EXCEEDED: Status.DEADLINE_EXCEEDED,
    Reason.CANCELLED: Status.CANCELLED,
    Reason.INTERNAL: Status.INTERNAL,
}


_RETRY_DELAYS: Mapping[Reason, timedelta] = {
    Reason.OVERLOADED: timedelta(seconds=1),
    Reason.DATABASE_UNAVAILABLE: timedelta(seconds=1),
    Reason.SERVER_UNAVAILABLE: timedelta(seconds=1),
    Reason.REVISION_UNAVAILABLE: timedelta(milliseconds=100),
}
"""Where trying again helps, and when at the earliest."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule: the field's path in the request and what would be right."""

    field: str
    description: str


class ServiceError(Exception):
    """A failure that the caller is told.

    `message` is for people and never contains secrets, SQL or file names; `details` are short
    machine-readable facts that travel as ErrorInfo metadata. `retry_delay` is how long to wait
    before another attempt; None where none is known to help.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        details: Mapping[str, str] | None = None,
        status: Status | None = None,
        retry_delay: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.details = dict(details or {})
        self.status = status or STATUS[reason]
        self.retry_delay = retry_delay or _RETRY_DELAYS.get(reason)


class Denied(ServiceError):
    """A verdict on a token: it does not stand (UNAUTHENTICATED), or lacks what is asked of it."""


class InvalidFields(ServiceError):
    """The request breaks one or more rules; every broken one is named."""

    def __init__(
        self,
        *violations: FieldViolation,
        reason: Reason = Reason.FIELD_INVALID,
        details: Mapping[str, str] | None = None,
    ) -> None:
        message = "; ".join(f"{each.field}: {each.description}" for each in violations)
        super().__init__(reason, message, violations=violations, details=details)


class NotFound(ServiceError):
    """There is no such resource for this caller."""

    def __init__(self, name: str) -> None:
        super().__init__(
            Reason.RESOURCE_NOT_FOUND,
            f"{name} was not found, or you may not see it",
            details={"resource": name},
        )


class Unavailable(ServiceError):
    """Our own trouble: says nothing about the caller or the token; trying again may help."""


def invalid_field(
    field: str,
    description: str,
    *,
    reason: Reason = Reason.FIELD_INVALID,
    details: Mapping[str, str] | None = None,
) -> InvalidFields:
    """One broken field."""
    return InvalidFields(FieldViolation(field, description), reason=reason, details=details)


def already_exists(field: str, what: str, *, differs: Sequence[str] = ()) -> ServiceError:
    """What must be unique is taken; `differs` are the attributes of what exists that differ."""
    return ServiceError(
        Reason.RESOURCE_ALREADY_EXISTS,
        f"{field}: {what}",
        violations=[FieldViolation(field, what)],
        details={"differs": ",".join(differs)} if differs else None,
    )


def authority_exceeded(message: str, field: str) -> ServiceError:
    """More was asked for than the caller, or the owner, may do; `field` is what asked for it."""
    return ServiceError(Reason.AUTHORITY_EXCEEDED, message, details={"field": field})


def permission_missing(permission: str) -> ServiceError:
    """The refusal of a call because the caller lacks a permission."""
    return ServiceError(
        Reason.CALLER_PERMISSION_MISSING,
        f"your credential lacks the permission {permission}",
        details={"permission": permission},
    )

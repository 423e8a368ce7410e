"""What can go wrong, as one tree.

    KeywrightError
    ├── ConfigurationError    no call was made: the address, the key or a file is missing or wrong
    ├── Unauthenticated       a credential does not stand
    ├── PermissionDenied      it stands, but may not do this
    ├── NotFound              there is none, or it is not yours to see
    ├── InvalidArgument       `violations` names each field
    ├── AlreadyExists
    ├── FailedPrecondition    the state of things does not allow it
    ├── Aborted               another change came first
    ├── ResourceExhausted     too much, too often; try again later
    ├── Unimplemented         this server does not do this (yet)
    ├── Unavailable           the server, or its database, is out of reach; try again
    ├── DeadlineExceeded      a change may have been made all the same
    ├── Cancelled
    ├── TokenLost             the change was made, but the reply with the token was lost
    └── Internal              a fault of the server, and every code without a class

`reason` is the name of an `ErrorReason` (protos/keywright/v1/error_reason.proto), and what programs
decide by. In `Client.authenticate` the classes `Unauthenticated` and `PermissionDenied` speak only
of the token that was presented: answer 401 and 403 to them, 429 to `ResourceExhausted`, and 503 to
everything else, the client's own credential failing included (see `about_caller`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, `key.expire_time`, and what is wrong with it."""

    field: str
    description: str


class KeywrightError(Exception):
    """A call that failed.

    Attributes:
        code: the gRPC code, `NOT_FOUND`; one a class.
        reason: from a closed list, `KEY_EXPIRED`; the code where the answer came from something
            else than a keywright server.
        message: one English sentence; its wording may change.
        metadata: more about the reason.
        violations: the fields that are wrong.
        request_id: finds the call in the server's log; empty if the server was not reached.
        retry_delay: how long to wait before trying again, if the server has said so.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        request_id: str = "",
        retry_delay: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.request_id = request_id
        self.retry_delay = retry_delay

    @property
    def about_caller(self) -> bool:
        """Whether the client's own credential failed, and not the token that it asked about."""
        return self.reason.startswith("CALLER_")

    @property
    def more(self) -> Sequence[str]:
        """The violations that the message does not tell itself, in words."""
        told = (f"{each.field}: {each.description}" for each in self.violations)
        return [each for each in told if each not in self.message]

    def __str__(self) -> str:
        return "; ".join([f"{self.reason}: {self.message}", *self.more])


class ConfigurationError(KeywrightError):
    """The address, the key or a file is missing or wrong; no call was made."""

    code = "CONFIGURATION"


class Unauthenticated(KeywrightError):
    """A credential does not stand."""

    code = "UNAUTHENTICATED"


class PermissionDenied(KeywrightError):
    """The credential stands, but may not do this."""

    code = "PERMISSION_DENIED"


class NotFound(KeywrightError):
    """There is none of this name, or it is not the caller's to see."""

    code = "NOT_FOUND"


class InvalidArgument(KeywrightError):
    """The request breaks a rule; `violations` names the fields."""

    code = "INVALID_ARGUMENT"


class AlreadyExists(KeywrightError):
    """The id, or another unique attribute, is taken."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(KeywrightError):
    """The state of things does not allow it."""

    code = "FAILED_PRECONDITION"


class Aborted(KeywrightError):
    """Another change came first; read again, then decide."""

    code = "ABORTED"


class ResourceExhausted(KeywrightError):
    """Too much, or too often; try again later."""

    code = "RESOURCE_EXHAUSTED"


class Unimplemented(KeywrightError):
    """This server does not do this (yet)."""

    code = "UNIMPLEMENTED"


class Unavailable(KeywrightError):
    """The server, or its database, is out of reach; try again."""

    code = "UNAVAILABLE"


class DeadlineExceeded(KeywrightError):
    """It took too long. A change may have been made all the same.

    With the reason `WAIT_DEADLINE_EXCEEDED` it was, and soon counts everywhere.
    """

    code = "DEADLINE_EXCEEDED"


class Cancelled(KeywrightError):
    """The call was cancelled. A change may have been made all the same."""

    code = "CANCELLED"


class TokenLost(KeywrightError):
    """The change was made, but its reply was lost, and with it the token.

    A token is shown once, so that a repetition tells all but it. `metadata["resource"]` is the key:
    `client.keys.rotate` gives it another token.
    """

    code = "TOKEN_LOST"


class Internal(KeywrightError):
    """A fault of the server."""

    code = "INTERNAL"


_BY_CODE: Mapping[str, type[KeywrightError]] = {
    each.code: each
    for each in KeywrightError.__subclasses__()
    if each not in {ConfigurationError, TokenLost}
}


def class_for(code: str) -> type[KeywrightError]:
    """The class for a gRPC code; `Internal` where there is none."""
    return _BY_CODE.get(code, Internal)

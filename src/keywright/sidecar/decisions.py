"""What is answered to a proxy: let it through, with these headers, or deny it, with this answer."""

from dataclasses import dataclass
from http import HTTPStatus

from keywright.sdk.drop_ins.http_denial import Denials, HttpDenial, denial
from keywright.sdk.values.results import Principal

REALM = "keywright"
_denials = Denials(REALM)


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer.

    If `allowed`, `headers` are to be set on the request by overwriting, and `removed` to be taken
    off it. If not, `headers` and `body` are for the client. `reason` is an `ErrorReason`, or one of
    this program's; empty if allowed.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    removed: tuple[str, ...] = ()
    reason: str = ""
    body: bytes = b""
    principal: Principal | None = None
    allowed: bool = False


def denied(told: HttpDenial) -> Decision:
    """The decision that a denial is."""
    return Decision(int(told.status), told.headers, reason=told.reason, body=told.body)


def refused(reason: str, message: str) -> Decision:
    """A request that could be understood in more than one way is not decided by guessing."""
    return denied(_denials.refused(reason, message))


def forbidden(reason: str, message: str) -> Decision:
    """Not a matter of who asks."""
    return denied(denial(HTTPStatus.FORBIDDEN, reason, message))

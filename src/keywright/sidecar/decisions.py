"""What is answered to a proxy: let it through, with these headers, or deny it, with this answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from keywright.sdk.drop_ins.challenge import bearer, is_about_token, retry_after
from keywright.sdk.errors import (
    KeywrightError,
    PermissionDenied,
    Unauthenticated,
)
from keywright.sdk.values.results import Principal

_REALM = "keywright"


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


def denied(status: HTTPStatus, reason: str, message: str, *more: tuple[str, str]) -> Decision:
    """A denial with a JSON body; `more` are headers."""
    body = {"error": {"code": int(status), "reason": reason, "message": message}}
    return Decision(
        int(status),
        (("content-type", "application/json"), ("cache-control", "no-store"), *more),
        reason=reason,
        body=f"{json.dumps(body)}\n".encode(),
    )


def no_credential(*, basic: bool) -> Decision:
    """Nobody has presented a key. RFC 6750 section 3.1: no error code then."""
    return denied(
        HTTPStatus.UNAUTHORIZED,
        "CREDENTIAL_MISSING",
        "no API key was presented",
        *_challenges(basic=basic),
    )


def refused(reason: str, message: str) -> Decision:
    """A request that could be understood in more than one way is not decided by guessing."""
    return denied(
        HTTPStatus.BAD_REQUEST,
        reason,
        message,
        *_challenges(error="invalid_request", description=message),
    )


def forbidden(reason: str, message: str) -> Decision:
    """Not a matter of who asks."""
    return denied(HTTPStatus.FORBIDDEN, reason, message)


def unavailable(reason: str, message: str, *, delay: timedelta | None = None) -> Decision:
    """It was not decided, and that is not the client's fault."""
    return denied(
        HTTPStatus.SERVICE_UNAVAILABLE,
        reason,
        message,
        ("retry-after", retry_after(delay)),
    )


def from_error(error: Exception, permissions: Sequence[str], *, basic: bool) -> Decision:
    """The answer to what `Authenticator.authenticate` raises.

    401 and 403 speak of the token that was presented, and only of it. Whatever else went wrong,
    the sidecar's own credential included, is 503.
    """
    if not isinstance(error, KeywrightError):
        return unavailable("INTERNAL", "the sidecar failed")
    if not is_about_token(error):
        # What is wrong, with the sidecar's own key perhaps, is for its log and not for everybody.
        message = "keys cannot be checked at the moment"
        return unavailable("UNAVAILABLE", message, delay=error.retry_delay)
    match error:
        case Unauthenticated():
            challenges = _challenges(error="invalid_token", description=error.message, basic=basic)
            return denied(HTTPStatus.UNAUTHORIZED, error.reason, error.message, *challenges)
        case PermissionDenied():
            challenges = _challenges(
                error="insufficient_scope", description=error.message, scope=permissions
            )
            return denied(HTTPStatus.FORBIDDEN, error.reason, error.message, *challenges)
        case _:
            return denied(
                HTTPStatus.TOO_MANY_REQUESTS,
                error.reason,
                error.message,
                ("retry-after", retry_after(error.retry_delay)),
            )


def _challenges(
    *,
    error: str = "",
    description: str = "",
    scope: Sequence[str] = (),
    basic: bool = False,
) -> list[tuple[str, str]]:
    """`WWW-Authenticate` (RFC 6750 section 3); a second one for clients that know only Basic."""
    told = bearer(_REALM, error=error, description=description, scope=scope)
    challenges = [("www-authenticate", told)]
    if basic:
        challenges.append(("www-authenticate", f'Basic realm="{_REALM}", charset="UTF-8"'))
    return challenges

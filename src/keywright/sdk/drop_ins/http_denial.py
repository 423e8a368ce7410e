"""What a request over HTTP is told that is not let through (RFC 6750, RFC 9110)."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from keywright.sdk.drop_ins.challenge import bearer, is_about_token, retry_after
from keywright.sdk.drop_ins.presented import RefusedCredential
from keywright.sdk.errors import (
    KeywrightError,
    PermissionDenied,
    Unauthenticated,
)

_log = logging.getLogger("keywright")


@dataclass(frozen=True, slots=True)
class HttpDenial:
    """A status, more headers, and a JSON body."""

    status: HTTPStatus
    headers: Sequence[tuple[str, str]]
    body: bytes


class Denials:
    """Makes denials. `realm` is what is protected, as clients are told.

    401 and 403 speak of the token only, and 503 is said of everything that was not decided, the own
    credential's failure included: nobody is to throw a key away for our trouble.
    """

    def __init__(self, realm: str) -> None:
        self._realm = realm

    def without_credential(self) -> HttpDenial:
        """Nothing was presented: no error code (RFC 6750 section 3.1)."""
        message = "present a token: Authorization: Bearer <token>"
        return _denial(
            HTTPStatus.UNAUTHORIZED,
            "CREDENTIAL_MISSING",
            message,
            [("www-authenticate", self._challenge())],
        )

    def refused(self, error: RefusedCredential) -> HttpDenial:
        """More than one token was presented, or what is none."""
        challenge = self._challenge("invalid_request", str(error))
        return _denial(
            HTTPStatus.BAD_REQUEST, error.reason, str(error), [("www-authenticate", challenge)]
        )

    def of(self, error: KeywrightError, required: Sequence[str] = ()) -> HttpDenial:
        """The answer to what `authenticate` raises; `required`: the permissions asked for."""
        if not is_about_token(error):
            _log.error("a token was not decided on: %s", error)
            return _denial(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "it could not be decided; try again",
                [("retry-after", "1")],
            )
        if isinstance(error, Unauthenticated):
            challenge = self._challenge("invalid_token", error.message)
            status = HTTPStatus.UNAUTHORIZED
        elif isinstance(error, PermissionDenied):
            challenge = self._challenge("insufficient_scope", error.message, required)
            status = HTTPStatus.FORBIDDEN
        else:
            return _denial(
                HTTPStatus.TOO_MANY_REQUESTS,
                error.reason,
                error.message,
                [("retry-after", retry_after(error.retry_delay))],
            )
        return _denial(status, error.reason, error.message, [("www-authenticate", challenge)])

    def _challenge(self, code: str = "", message: str = "", scope: Sequence[str] = ()) -> str:
        return bearer(self._realm, error=code, description=message, scope=scope)


def _denial(
    status: HTTPStatus, reason: str, message: str, headers: Sequence[tuple[str, str]]
) -> HttpDenial:
    body = json.dumps({"error": {"code": status, "reason": reason, "message": message}}).encode()
    more = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    ]
    return HttpDenial(status, [*headers, *more], body)

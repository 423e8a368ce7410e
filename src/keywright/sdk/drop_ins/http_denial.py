"""What a request over HTTP is told that is not let through (RFC 6750, RFC 9110).

401 and 403 speak of the token only, and 503 is said of everything that was not decided, the own
credential's failure included: nobody is to throw a key away for our trouble.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from keywright.sdk.drop_ins.challenge import bearer, is_about_token, retry_after
from keywright.sdk.errors import KeywrightError, PermissionDenied, Unauthenticated

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpDenial:
    """A status, a reason, headers, and a JSON body, whose length is for who sends it to tell."""

    status: HTTPStatus
    reason: str
    headers: Headers
    body: bytes


def denial(status: HTTPStatus, reason: str, message: str, *more: tuple[str, str]) -> HttpDenial:
    """A denial with a JSON body; `more` are headers."""
    body = {"error": {"code": int(status), "reason": reason, "message": message}}
    headers = (("content-type", "application/json"), ("cache-control", "no-store"), *more)
    return HttpDenial(status, reason, headers, f"{json.dumps(body)}\n".encode())


def unavailable(reason: str, message: str, delay: timedelta | None = None) -> HttpDenial:
    """It was not decided, and that is not the client's fault."""
    after = ("retry-after", retry_after(delay))
    return denial(HTTPStatus.SERVICE_UNAVAILABLE, reason, message, after)


class Denials:
    """Makes the denials that challenge, and those of errors.

    Args:
        realm: what is protected, as clients are told.
        basic: whether a token may be the password of HTTP Basic: for clients that know only that.
    """

    def __init__(self, realm: str, *, basic: bool = False) -> None:
        self._realm = realm
        told = ("www-authenticate", f'Basic realm="{realm}", charset="UTF-8"')
        self._basic = (told,) if basic else ()

    def without_credential(self) -> HttpDenial:
        """Nothing was presented: no error code (RFC 6750 section 3.1)."""
        told = (self._challenge(), *self._basic)
        message = "no API key was presented"
        return denial(HTTPStatus.UNAUTHORIZED, "CREDENTIAL_MISSING", message, *told)

    def refused(self, reason: str, message: str) -> HttpDenial:
        """A request that could be understood in more than one way is not decided by guessing."""
        told = self._challenge("invalid_request", message)
        return denial(HTTPStatus.BAD_REQUEST, reason, message, told)

    def of(self, error: KeywrightError, required: Sequence[str] = ()) -> HttpDenial:
        """The answer to what `authenticate` raises; `required`: the permissions asked for."""
        if not is_about_token(error):
            # What is wrong, with the own key perhaps, is for a log and not for everybody.
            return unavailable(
                "UNAVAILABLE", "it could not be decided; try again", error.retry_delay
            )
        reason, message = error.reason, error.message
        match error:
            case Unauthenticated():
                told = (self._challenge("invalid_token", message), *self._basic)
                return denial(HTTPStatus.UNAUTHORIZED, reason, message, *told)
            case PermissionDenied():
                lacks = self._challenge("insufficient_scope", message, required)
                return denial(HTTPStatus.FORBIDDEN, reason, message, lacks)
            case _:
                after = ("retry-after", retry_after(error.retry_delay))
                return denial(HTTPStatus.TOO_MANY_REQUESTS, reason, message, after)

    def _challenge(
        self, code: str = "", message: str = "", scope: Sequence[str] = ()
    ) -> tuple[str, str]:
        told = bearer(self._realm, error=code, description=message, scope=scope)
        return "www-authenticate", told

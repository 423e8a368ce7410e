"""What a person is told when something is not there, not allowed, or out of reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from keywright.console.cookies import SESSION
from keywright.console.visit import HOME, Visit
from keywright.sdk import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    KeywrightError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

Kinds = type[KeywrightError] | tuple[type[KeywrightError], ...]

SIGN_IN = "/sign-in"
# What a session that has ended fails with: as a caller's, or as the token that `whoami` asks about.
_ENDED = frozenset(
    {
        *("CALLER_CREDENTIAL_MISSING", "CALLER_CREDENTIAL_MALFORMED", "CALLER_CREDENTIAL_INVALID"),
        *("SESSION_EXPIRED", "SESSION_REVOKED", "TOKEN_MALFORMED", "TOKEN_UNKNOWN"),
        *("USER_DISABLED", "WORKSPACE_DISABLED"),
    }
)
_ADDRESS_MAX_LENGTH = 32_000  # by half of what is taken of a request


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a page about it says."""

    status: HTTPStatus
    title: str
    message: str


NOT_FOUND = Trouble(
    HTTPStatus.NOT_FOUND,
    "There is nothing here",
    "It was deleted, it never was, or it is not yours to see.",
)
_AWAY = Trouble(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The server is out of reach",
    "Nothing is wrong with your keys: programs that use them are not affected by this page. "
    "Try again in a moment.",
)
_IN_DOUBT = Trouble(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "This took too long",
    "What you asked for may have been done all the same. Look before you do it again.",
)
_TOO_OFTEN = Trouble(
    HTTPStatus.TOO_MANY_REQUESTS, "Too much at once", "Wait a moment, then try again."
)
FAULT = Trouble(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something is broken",
    "This is a fault of the console or the server, not yours.",
)


_FIXED: Sequence[tuple[Kinds, Trouble]] = (
    (NotFound, NOT_FOUND),
    (ResourceExhausted, _TOO_OFTEN),
    ((DeadlineExceeded, Cancelled), _IN_DOUBT),
    ((Unavailable, Unauthenticated), _AWAY),
)
# Those that say it themselves.
_TOLD: Sequence[tuple[Kinds, HTTPStatus, str]] = (
    (PermissionDenied, HTTPStatus.FORBIDDEN, "You may not do this"),
    (
        (Aborted, AlreadyExists, FailedPrecondition),
        HTTPStatus.CONFLICT,
        "This cannot be done now",
    ),
    (InvalidArgument, HTTPStatus.BAD_REQUEST, "Something is not right"),
)


def page_for(visit: Visit, error: KeywrightError) -> Response:
    """The answer to a request that the server refused."""
    if error.reason in _ENDED:
        return sign_in_first(visit, ended=True)
    found = _trouble(error)
    response = shown(visit, found, call_id=error.request_id)
    if found.status is HTTPStatus.TOO_MANY_REQUESTS and error.retry_delay is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_delay.total_seconds())))
    if found.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        visit.console.log.write("fault", path=visit.path, reason=error.reason, error=str(error))
    return response


def sign_in_first(visit: Visit, *, ended: bool = False) -> Response:
    """Lead to signing in, and from there back to where this was, with what was filled in."""
    fetched_from = visit.request.headers.get("sec-fetch-site", "")
    if visit.request.method == "GET" and fetched_from == "cross-site" and not ended:
        # A link on another site: the browser keeps the session's cookie to itself (SameSite), until
        # a page of ours leads on.
        return visit.page("continue.html", target=visit.here)
    is_over = ended or visit.request.method == "POST"
    address = _address(visit.here, is_over=is_over)
    if len(address) > _ADDRESS_MAX_LENGTH:
        address = _address(visit.path, is_over=is_over)
    response = visit.redirect(address)
    if "hx-request" in visit.request.headers:  # only a part of the page was asked for
        response = visit.answered(Response(headers={"hx-redirect": address}))
    if ended:
        SESSION.drop(response, is_secure=visit.console.config.is_secure)
    return response


def _address(target: str, *, is_over: bool) -> str:
    query = {} if target == HOME else {"next": target}
    if is_over:
        query["ended"] = "1"
    return f"{SIGN_IN}?{urlencode(query)}" if query else SIGN_IN


def stale(visit: Visit) -> Response:
    """The answer to a form that is not of this session: shown again, and nothing is done."""
    return visit.page("stale.html", HTTPStatus.FORBIDDEN)


def shown(visit: Visit, trouble: Trouble, *, call_id: str = "") -> Response:
    """A page that says what is wrong."""
    return visit.page("trouble.html", trouble.status, trouble=trouble, call_id=call_id)


def _trouble(error: KeywrightError) -> Trouble:
    if isinstance(error, InvalidArgument) and {each.field for each in error.violations} == {"name"}:
        return NOT_FOUND  # an address that could be nothing's
    for kinds, trouble in _FIXED:
        if isinstance(error, kinds):
            return trouble
    for kinds, status, title in _TOLD:
        if isinstance(error, kinds):
            return Trouble(status, title, _sentence(error))
    return FAULT


def _sentence(error: KeywrightError) -> str:
    return f"{error.message[:1].upper()}{error.message[1:].rstrip('.')}."

"""What every request passes, whatever it asks for: who may send it, and what goes with the answer.

1. Over plain HTTP only names of this machine (a page elsewhere may have made its own name stand for
it: DNS rebinding). 2. Only GET, HEAD and POST. 3. A POST comes from a page of ours, as the browser
says itself (Origin, Sec-Fetch-Site). 4. Headers of every answer. 5. A line in the log.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from keywright.console.addresses import client_address
from keywright.console.config import Config
from keywright.console.settings import is_this_machine
from keywright.programs.log import Log

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD", "POST")
_OTHERS = frozenset({"cross-site", "same-site"})
# Nothing but what this host serves as a file; no script or style that stands in a page.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # for browsers without frame-ancestors
    # With `no-referrer` a browser would say `Origin: null` of our own forms, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), clipboard-write=(self), geolocation=(), microphone=(), "
        "payment=(), usb=()"
    ),
    # What is shown to one person is in no cache, and in none of the browser's either: not by Back.
    "cache-control": "no-store",
}
_HSTS = "max-age=31536000"


class Guards:
    """An ASGI application around another."""

    def __init__(self, app: App, config: Config, log: Log) -> None:
        self._app = app
        self._config = config
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        began, status = time.monotonic(), 0

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self._config.is_secure:
                    headers["strict-transport-security"] = _HSTS
            await send(message)

        app = self._refusal(scope) or self._app
        try:
            await app(scope, receive, guarded)
        finally:
            # Never the query: a sign-in link's token is in it.
            self._log.write(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(time.monotonic() - began, 4),
                client=client_address(scope, self._config.trusted_proxies),
            )

    def _refusal(self, scope: Scope) -> App | None:
        """What answers in place of the application; None if nothing is wrong."""
        headers = Headers(scope=scope)
        if not self._config.is_secure and not _is_this_machines(headers.get("host", "")):
            return _text(HTTPStatus.MISDIRECTED_REQUEST, "This address is not the console's.")
        if scope["method"] not in METHODS:
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, f"Only {', '.join(METHODS)}.")
        if scope["method"] == "POST" and not self._is_from_our_page(headers):
            return _text(
                HTTPStatus.FORBIDDEN,
                "This form was sent from another site, and nothing was done. If it was not: a "
                "proxy or an extension changes the headers Origin or Sec-Fetch-Site.",
            )
        return None

    def _is_from_our_page(self, headers: Headers) -> bool:
        if headers.get("sec-fetch-site") in _OTHERS:
            return False
        ours = self._config.public_url if self._config.is_secure else f"http://{headers['host']}"
        return headers.get("origin", "").lower() == ours.lower()


def _is_this_machines(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return bool(name) and is_this_machine(name or "")


def _text(status: HTTPStatus, text: str) -> App:
    return PlainTextResponse(f"{text}\n", status)

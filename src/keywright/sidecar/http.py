"""Forward authentication over HTTP, for nginx `auth_request`, Traefik and Caddy; and what watches.

/authorize   200 with the identity headers, or the denial
/healthz     200 while the process answers
/readyz      200 while it holds a lease, else 503
/metrics     for Prometheus

What is known at once does not go through ASGI, a task and a message for each part: that takes
longer than all the rest (`Application.at_once`).
"""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from keywright.programs.addresses import unmapped
from keywright.programs.limited_http import RawAnswer
from keywright.sidecar.by_identity import ByIdentity
from keywright.sidecar.config import ORIGINAL_REQUEST, ForwardAuth, Proxy
from keywright.sidecar.decisions import Decision, forbidden, refused
from keywright.sidecar.forwarded import MisleadingProxy, original_request
from keywright.sidecar.gate import Gate
from keywright.sidecar.inspection import NameTable
from keywright.sidecar.planning import HEADER_SIZE, Plan, Remembered, settled

_STATUS_HEADER = "x-keywright-status"
_REASON_HEADER = "x-keywright-reason"
# `auth_request` takes these, and turns every other into 500.
_UNDERSTOOD_BY_NGINX = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_ENDS_HEADER = re.compile(rb"[\x00-\x1f\x7f]")
_UNTRUSTED = settled(forbidden("PROXY_NOT_TRUSTED", "only a trusted proxy may ask"))

Headers = Sequence[tuple[bytes, bytes]]
Client = tuple[str, int] | None
Encoded = tuple[int, list[tuple[bytes, bytes]], bytes]
Send = Callable[[Any], Awaitable[None]]


class Application:
    """An ASGI application (raw, for its speed).

    Args:
        gate: decides.
        forward_auth: who may ask; None: nobody, and there is no `/authorize`.
        over_unix: whether every connection comes over a UNIX socket.
        is_ready: for `/readyz`.
        metrics: for `/metrics`: their content type and their text.
    """

    def __init__(
        self,
        gate: Gate,
        forward_auth: ForwardAuth | None,
        *,
        over_unix: bool,
        is_ready: Callable[[], bool],
        metrics: Callable[[], tuple[str, bytes]],
    ) -> None:
        self._gate = gate
        self._forward_auth = forward_auth
        self._over_unix = over_unix
        self._is_ready = is_ready
        self._metrics = metrics
        self._may_have_key = NameTable[bytes](
            lambda name: gate.inspection.may_have_key(name.decode("latin-1"))
        )
        self._plan = Remembered(self._planned)
        for_nginx = forward_auth is not None and forward_auth.proxy is Proxy.NGINX
        self._encode = encoded_for_nginx if for_nginx else encoded
        self._allowed = ByIdentity(self._encode)
        self._allowed_at_once = ByIdentity(self._raw)
        self._trusted: dict[str, bool] = {}

    async def __call__(self, scope: Any, _receive: Any, send: Send) -> None:
        """Answer a request. Its body is of no interest, and is not read."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/authorize" and self._forward_auth is not None:
            plan, credentials = self._read(scope["client"], scope["headers"], self._forward_auth)
            decision = await self._gate.decide("http", plan, credentials)
            answer = self._allowed(decision) if decision.allowed else self._encode(decision)
        else:
            answer = self._watched(path)
        status, headers, body = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def at_once(self, target: bytes, client: Client, headers: Headers) -> RawAnswer | None:
        """The answer to a GET, if it is a question of authorization whose answer is known."""
        if target != b"/authorize" or self._forward_auth is None:
            return None
        plan, credentials = self._read(client, headers, self._forward_auth)
        decision = self._gate.at_once("http", plan, credentials)
        if decision is None:
            return None
        return self._allowed_at_once(decision) if decision.allowed else self._raw(decision)

    def _raw(self, decision: Decision) -> RawAnswer:
        return raw(self._encode(decision))

    def _read(
        self, client: Client, headers: Headers, forward_auth: ForwardAuth
    ) -> tuple[Plan, list[tuple[str, str]]]:
        """The plan for a request, and the credentials that were sent with it."""
        credentials: list[tuple[str, str]] = []
        if not (self._over_unix or (client and self._is_trusted(client[0], forward_auth))):
            return _UNTRUSTED, credentials
        others, size = [], 0
        for header in headers:
            name, value = header
            is_credential = self._may_have_key[name]
            if is_credential:
                credentials.append((name.decode("latin-1"), value.decode("latin-1")))
            elif is_credential is not None:
                others.append(header)
                size += len(name) + len(value) + HEADER_SIZE
        return self._plan(tuple(others), size), credentials

    def _planned(self, others: tuple[tuple[bytes, bytes], ...]) -> Plan:
        assert self._forward_auth is not None, "nobody may ask"  # noqa: S101
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in others)
        try:
            request = original_request(
                headers,
                ORIGINAL_REQUEST[self._forward_auth.proxy],
                self._forward_auth.trusted_proxies,
            )
        except MisleadingProxy as error:
            return settled(refused("ORIGINAL_REQUEST_UNCLEAR", str(error)))
        return self._gate.plan(request)

    def _is_trusted(self, host: str, forward_auth: ForwardAuth) -> bool:
        known = self._trusted.get(host)
        if known is None:
            address = unmapped(ip_address(host.partition("%")[0]))
            known = any(address in network for network in forward_auth.trusted_proxies)
            if known:  # few; others are not remembered
                self._trusted[host] = known
        return known

    def _watched(self, path: str) -> Encoded:
        match path:
            case "/healthz":
                return _text(HTTPStatus.OK, "alive")
            case "/readyz" if self._is_ready():
                return _text(HTTPStatus.OK, "ready")
            case "/readyz":
                return _text(HTTPStatus.SERVICE_UNAVAILABLE, "not ready")
            case "/metrics":
                kind, text = self._metrics()
                return HTTPStatus.OK, _headers((("content-type", kind),), text), text
            case _:
                return _text(HTTPStatus.NOT_FOUND, "there is nothing here")


def encoded(decision: Decision) -> Encoded:
    """The answer that a decision is."""
    return decision.status, _headers(decision.headers, decision.body), decision.body


def encoded_for_nginx(decision: Decision) -> Encoded:
    """As `auth_request` takes it: 2xx, 401 or 403.

    Every other status becomes 403, and `X-Keywright-Status` says which it is; nginx's configuration
    turns it back (deploy/nginx), and makes the body, which `auth_request` drops.
    """
    if decision.allowed:
        return encoded(decision)
    told = (
        *decision.headers,
        (_STATUS_HEADER, str(int(decision.status))),
        (_REASON_HEADER, decision.reason),
    )
    understood = decision.status in _UNDERSTOOD_BY_NGINX
    status = decision.status if understood else HTTPStatus.FORBIDDEN
    return status, _headers(told, decision.body), decision.body


def raw(answer: Encoded) -> RawAnswer:
    """An answer as it is sent, but for what the server adds.

    Raises:
        ValueError: something in a header would end it. Nothing that makes one lets that through.
    """
    status, headers, body = answer
    if any(_ENDS_HEADER.search(part) for header in headers for part in header):
        raise ValueError("a header has a control character in it")
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return status, b"%b\r\n%b" % (lines, body)


def _headers(headers: Sequence[tuple[str, str]], body: bytes) -> list[tuple[bytes, bytes]]:
    found = [(name.encode(), value.encode()) for name, value in headers]
    return [*found, (b"content-length", b"%d" % len(body))]


def _text(status: HTTPStatus, text: str) -> Encoded:
    body = f"{json.dumps({'status': text})}\n".encode()
    return status, _headers((("content-type", "application/json"),), body), body

"""Middleware for ASGI applications (Starlette, FastAPI, and others)."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from ipaddress import ip_address
from typing import Any

from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.drop_ins.challenge import is_about_token
from keywright.sdk.drop_ins.current import current
from keywright.sdk.drop_ins.http_denial import Denials, HttpDenial
from keywright.sdk.drop_ins.presented import (
    CredentialReader,
    RefusedCredential,
    is_key_header,
    without_zone,
)
from keywright.sdk.drop_ins.requirements import Requirement
from keywright.sdk.drop_ins.route_rules import RouteRules
from keywright.sdk.errors import KeywrightError
from keywright.sdk.values.results import Principal, covered

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("keywright")
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


@dataclass(frozen=True, slots=True)
class AsgiUser:
    """`request.user` of Starlette."""

    principal: Principal | None

    @property
    def is_authenticated(self) -> bool:
        """Whether there is a principal: on a public route there is none."""
        return self.principal is not None

    @property
    def display_name(self) -> str:
        """A name for people."""
        user = self.principal and self.principal.user
        return "" if not user else user.display_name or user.email or user.id

    @property
    def identity(self) -> str:
        """The user's name, `workspaces/{workspace}/users/{user}`."""
        return self.principal.user.name if self.principal else ""


class _Scopes(tuple[str, ...]):
    """The permissions, as Starlette's `requires` looks for one in them: patterns cover."""

    __slots__ = ()

    def __contains__(self, permission: object) -> bool:
        return isinstance(permission, str) and covered(permission, self)


@dataclass(frozen=True, slots=True)
class AsgiAuth:
    """`request.auth` of Starlette."""

    scopes: _Scopes


class KeywrightMiddleware:
    """Lets only requests through whose token may do what their route asks for.

        rules = {"/health": PUBLIC, "GET /datasets/{dataset}": Requires("datasets.read")}
        app.add_middleware(KeywrightMiddleware, authenticator=Authenticator(), rules=rules)

    The application has the principal as `request.state.principal`, `request.user` and
    `current_principal()`. A route without a rule is denied. The authenticator begins and ends with
    the application's lifespan, also if the application itself knows of none. What is admitted is
    admitted as it begins: in a WebSocket that lives long, authenticate again.

    Others are told 401, 403, 429 and 503, with `WWW-Authenticate` as RFC 6750 has it, and 400 where
    more than one token is presented. A WebSocket is refused with the same answer where the server
    can (the extension `websocket.http.response`), else closed with 1008.

    Args:
        app: what is protected.
        authenticator: tells who presents a token.
        rules: what each route asks for (`RouteRules`); the most specific path counts.
        api_key_header: another header in which a token may be, `X-API-Key`.
        realm: what is protected, as clients are told.

    Raises:
        TypeError: the authenticator is one for threads.
        ValueError: a rule could not be kept, or in the header no token could be.
    """

    def __init__(
        self,
        app: App,
        *,
        authenticator: Authenticator,
        rules: Mapping[str, Requirement],
        api_key_header: str | None = None,
        realm: str = "api",
    ) -> None:
        if not iscoroutinefunction(authenticator.authenticate):
            raise TypeError("an application of ASGI takes an Authenticator")
        if api_key_header is not None and not is_key_header(api_key_header):
            raise ValueError(f"{api_key_header!r} is no header for a key, as X-API-Key is")
        self._app = app
        self._authenticator = authenticator
        self._rules = RouteRules(rules)
        self._token = CredentialReader(api_key_header=api_key_header)
        self._key_headers = frozenset(map(str.encode, self._token.headers))
        self._denials = Denials(realm)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        decided = await self._decide(scope)
        if isinstance(decided, HttpDenial):
            await _deny(decided, scope, receive, send)
            return
        state = {**scope.get("state", {}), "principal": decided}
        scopes = _Scopes(decided.permissions if decided else ())
        more = {"state": state, "user": AsgiUser(decided), "auth": AsgiAuth(scopes)}
        token = current.set(decided)
        try:
            await self._app({**scope, **more}, receive, send)
        finally:
            current.reset(token)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._authenticator.__aenter__()
        except KeywrightError as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            lives = await _lives(self._app, scope, receive, send)
        finally:
            await self._authenticator.__aexit__(None, None, None)
        if not lives:
            await send({"type": "lifespan.shutdown.complete"})

    async def _decide(self, scope: Scope) -> Principal | HttpDenial | None:
        """The principal; None on a public route."""
        if scope["type"] not in {"http", "websocket"}:
            raise ValueError(f"nothing is known of {scope['type']!r}")
        method = scope["method"] if scope["type"] == "http" else None
        sent = (scope.get("raw_path") or b"").decode("latin-1")
        try:
            rule = self._rules.of(method, scope["path"], scope.get("root_path", ""), sent)
        except KeywrightError as error:
            return self._denials.of(error)
        if rule.public:
            return None
        presented = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name in self._key_headers
        ]
        try:
            token = self._token(presented)
        except RefusedCredential as error:
            return self._denials.refused(error.reason, str(error))
        if not token:
            return self._denials.without_credential()
        try:
            return await self._authenticator.authenticate(
                token,
                resource=rule.resource,
                require=rule.permissions,
                environment=rule.required_environment,
                client_address=_address(scope),
            )
        except KeywrightError as error:
            if not is_about_token(error):
                _log.error("a token was not decided on: %s", error)
            return self._denials.of(error, rule.permissions)


async def _lives(app: App, scope: Scope, receive: Receive, send: Send) -> bool:
    """The lifespan of an application, also of one that knows of none, as Django's.

    Returns:
        Whether it has one: else its part was played until it is to shut down.
    """
    heard, said = False, False

    async def hear() -> MutableMapping[str, Any]:
        nonlocal heard
        message = await receive()
        heard = True
        return message

    async def say(message: MutableMapping[str, Any]) -> None:
        nonlocal said
        said = True
        await send(message)

    try:
        await app(scope, hear, say)
    except Exception as error:
        if said:
            raise
        # Servers take this for an application without a lifespan (ASGI, lifespan protocol).
        _log.info("the application has no lifespan: %r", error)
    if said:
        return True
    if not heard:
        await receive()  # lifespan.startup
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    return False


async def _deny(denial: HttpDenial, scope: Scope, receive: Receive, send: Send) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
    headers = [(name.encode(), value.encode()) for name, value in denial.headers]
    headers.append((b"content-length", b"%d" % len(denial.body)))
    await send({"type": f"{kind}.start", "status": int(denial.status), "headers": headers})
    await send({"type": f"{kind}.body", "body": denial.body})


def _address(scope: Scope) -> str:
    """The client's address; empty where there is none, as on a UNIX socket."""
    host = (scope.get("client") or ("",))[0]
    try:
        ip_address(host)
    except ValueError:
        return ""
    return without_zone(str(host))

"""What each route of an application asks for."""

from collections.abc import Mapping
from functools import lru_cache

from keywright.sdk.drop_ins.patterns import Pattern
from keywright.sdk.drop_ins.requirements import Public, Requirement, Requires, checked
from keywright.sdk.drop_ins.routes import (
    METHOD,
    NoRule,
    RefusedCapture,
    Route,
    Routes,
    Rule,
    placeholders,
)
from keywright.sdk.drop_ins.targets import Path, RefusedTarget, parse_decoded, parse_target
from keywright.sdk.errors import PermissionDenied

_WEBSOCKET = "WEBSOCKET"
"""In place of a method, for what a WebSocket is opened on."""
_REMEMBERED_MAX_COUNT = 4_096
_REMEMBERED_MAX_LENGTH = 1_024


class RouteRules:
    """What each route asks for; the one with the most specific path counts (`patterns`).

    A rule is for `GET /datasets/{dataset}`, or for all methods without one. GET is HEAD as well.

    Raises:
        ValueError: one is no rule, or never reached among the others.
    """

    def __init__(self, rules: Mapping[str, Requirement]) -> None:
        self._routes = Routes([_route(text, rule) for text, rule in checked(rules).items()])
        for route, mistake in self._routes.mistakes().items():
            raise ValueError(f"{route} {mistake}")
        self._remembered = lru_cache(_REMEMBERED_MAX_COUNT)(self._find)

    def of(self, method: str | None, path: str, root: str = "", sent: str = "") -> Rule:
        """What a request asks for.

        Args:
            method: None for a WebSocket.
            path: decoded, as the application sees it.
            root: where the application is mounted: rules are for what is below.
            sent: the path as it was sent, by which some frameworks route; empty if it is unknown.

        Raises:
            PermissionDenied: `NOT_LISTED`: no rule is for it, the path can be read in two ways, or
                what it names can be no resource.
        """
        short = len(path) + len(sent) <= _REMEMBERED_MAX_LENGTH
        try:
            return (self._remembered if short else self._find)(method, path, root, sent)
        except (NoRule, RefusedCapture, RefusedTarget) as error:
            raise PermissionDenied(str(error), reason="NOT_LISTED") from None

    def _find(self, method: str | None, path: str, root: str, sent: str) -> Rule:
        return self._routes.find(_method(method), _path(path, root, sent))


def _method(method: str | None) -> str:
    if method is None:
        return _WEBSOCKET
    if method == _WEBSOCKET or METHOD.fullmatch(method) is None:
        raise NoRule("the method is no word of capital letters, or none of HTTP")
    return method


def _path(path: str, root: str, sent: str) -> Path:
    below = parse_decoded(_below(path, root))
    if sent not in {"", path} and _below(parse_target(sent).decoded, root) != below.decoded:
        raise RefusedTarget("the path is not the one that was sent")
    return below


def _below(path: str, root: str) -> str:
    """As Starlette routes it."""
    below = path.removeprefix(root)
    return below if below.startswith("/") else path if below else "/"


def _route(text: str, requirement: Requires | Public) -> Route:
    method, space, path = text.rpartition(" ")
    rule = Rule(text, public=True)
    if isinstance(requirement, Requires):
        asked = requirement.permissions, requirement.resource, requirement.environment
        rule = Rule(text, *asked)
    try:
        pattern = Pattern.parse(path)
        unknown = placeholders(rule.resource) - pattern.names
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if space and METHOD.fullmatch(method) is None:
        raise ValueError(f"{text!r} is no rule: one is written GET /datasets/{{dataset}}")
    if unknown:
        raise ValueError(f"{text!r} has no {', '.join(sorted(unknown))} for its resource")
    methods = {method, "HEAD"} if method == "GET" else {method}
    return Route(pattern, frozenset(methods) if method else None, rule)

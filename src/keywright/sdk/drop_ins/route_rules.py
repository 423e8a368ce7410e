"""What each route of an application asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from keywright.sdk.drop_ins.requirements import Public, Requirement, Requires, checked
from keywright.sdk.errors import PermissionDenied
from keywright.sdk.values.resources import is_resource

WEBSOCKET = "WEBSOCKET"
"""In place of a method, for what a WebSocket is opened on."""
_RULE = re.compile(r"(?:(?P<method>[A-Z]+) )?(?P<path>/\S*)")
_PART = re.compile(r"\{([a-z_][a-z0-9_]*)\}", re.IGNORECASE)
# What an application, or something before it, may read as another path.
_AMBIGUOUS = re.compile(r"//|\\|/\.{1,2}(?:/|\Z)|[\0-\x1f]")


@dataclass(frozen=True, slots=True)
class _Rule:
    method: str | None
    path: re.Pattern[str]
    requirement: Requires | Public


class RouteRules:
    """What each route asks for; the first rule that matches counts.

    A rule is for `GET /datasets/{dataset}`, or for all methods without one. `{dataset}` is one part
    of the path, `/**` at the end is any number of them. GET is HEAD as well.
    """

    def __init__(self, rules: Mapping[str, Requirement]) -> None:
        self._rules = [_rule(text, requirement) for text, requirement in checked(rules).items()]

    def of(self, method: str, path: str) -> Requires | Public:
        """What a request asks for; `path` is decoded, as the application sees it.

        Raises:
            PermissionDenied: `NOT_LISTED`: no rule is for it, the path can be read in two ways, or
                what it names can be no resource.
        """
        if _AMBIGUOUS.search(path) is None:
            for rule in self._rules:
                matches = rule.path.fullmatch(path)
                if matches and (rule.method in {None, method} or _is_get(rule.method, method)):
                    return _on(rule.requirement, matches.groupdict())
        raise _not_listed()


def _is_get(ruled: str | None, method: str) -> bool:
    return ruled == "GET" and method == "HEAD"


def _rule(text: str, requirement: Requires | Public) -> _Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no rule: one is written GET /datasets/{{dataset}}")
    path = found["path"]
    anything = path.endswith("/**")
    pattern, at, names = "", 0, set[str]()
    path = path.removesuffix("/**")
    for part in _PART.finditer(path):
        pattern += re.escape(path[at : part.start()]) + f"(?P<{part[1]}>[^/]+)"
        at = part.end()
        names.add(part[1])
    pattern += re.escape(path[at:]) + ("(?:/.*)?" if anything else "")
    if "*" in path or "{" in _PART.sub("", path):
        raise ValueError(f"{text!r}: only {{name}} and, at the end, /** stand for something")
    if isinstance(requirement, Requires):
        unknown = set(_PART.findall(requirement.resource)) - names
        if unknown:
            raise ValueError(f"{text!r} has no {', '.join(sorted(unknown))} for its resource")
    return _Rule(found["method"], re.compile(pattern, re.DOTALL), requirement)


def _on(requirement: Requires | Public, parts: Mapping[str, str]) -> Requires | Public:
    if not isinstance(requirement, Requires) or not parts or not requirement.resource:
        return requirement
    resource = _PART.sub(lambda part: parts[part[1]], requirement.resource)
    # No server would decide on it, and anybody could have it tell of that as trouble of ours.
    if not is_resource(resource):
        raise _not_listed()
    return Requires(
        *requirement.permissions, resource=resource, environment=requirement.environment
    )


def _not_listed() -> PermissionDenied:
    return PermissionDenied("no rule is for this route", reason="NOT_LISTED")

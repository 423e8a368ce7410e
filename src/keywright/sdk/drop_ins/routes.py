"""What a request needs: rules by path and method."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, combinations, groupby
from string import Formatter

from keywright.sdk.drop_ins.patterns import Pattern
from keywright.sdk.drop_ins.targets import PLAIN, Path
from keywright.sdk.values.resources import is_resource

METHOD = re.compile(r"[A-Z]{1,32}(?:-[A-Z]{1,32})?")
# A captured text becomes part of a resource's name, so it must be one for every reader.
_CAPTURED = re.compile(f"[{PLAIN}]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs. `label` is what it is called in logs and in metrics.

    `public`: nothing at all; whoever asks stays unknown. `resource` may contain `{name}`s of the
    path.
    """

    label: str
    permissions: tuple[str, ...] = ()
    resource: str = ""
    required_environment: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A rule for the paths that match, and for these methods; for every method if None."""

    pattern: Pattern
    methods: frozenset[str] | None
    rule: Rule

    def takes(self, method: str) -> bool:
        """Whether it is for this method."""
        return self.methods is None or method in self.methods

    def __str__(self) -> str:
        methods = ",".join(sorted(self.methods)) if self.methods is not None else "every method"
        return f"{self.pattern.text} ({methods})"


class NoRule(Exception):
    """No rule is there for a request; it is denied. The message says why."""


class RefusedCapture(Exception):
    """A segment of the path cannot be part of a resource's name."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two routes that match one path, `example`: `wins` is the one that counts."""

    wins: Route
    loses: Route
    example: str


class Routes:
    """Routes, the most specific first.

    The most specific pattern that matches a path decides about it, with all its methods: one that
    none of its routes is for is denied, and not left to a less specific pattern, which may ask for
    less. So is the path with a `/` more or less at its end, which many an application takes for the
    same. A route for some methods comes before one for all of the same paths.
    """

    def __init__(self, routes: Sequence[Route], default: Rule | None = None) -> None:
        self.ordered = _ordered(routes)
        self.default = default
        self._given = _by_shape(self.ordered)
        given = {each.pattern.precedence for each in routes}
        shut = [
            replace(each, pattern=other, methods=frozenset())
            for each in routes
            if not each.pattern.rest and (other := each.pattern.other_end()).precedence not in given
        ]
        # By the text that they begin with; None: by none, so that they come after those.
        self._by_first: dict[str | None, list[Sequence[Route]]] = {}
        for same in _by_shape(_ordered([*routes, *shut])):
            first = same[0].pattern.parts[0] if same[0].pattern.parts else None
            self._by_first.setdefault(first if isinstance(first, str) else None, []).append(same)

    def find(self, method: str, path: Path) -> Rule:
        """The rule for a request, its resource filled in.

        Raises:
            NoRule: there is none.
            RefusedCapture: the path has something in it that no resource can be named by.
        """
        if routes := self._deciding(path.segments):
            return _of_method(routes, method, path)
        if self.default is None:
            raise NoRule("no route is there for this path")
        return self.default

    def overlaps(self) -> list[Overlap]:
        """Pairs of routes that match one request, with the path of one."""
        fresh = self._fresh()
        found = []
        for wins, loses in combinations(self.ordered, 2):
            example = wins.pattern.common(loses.pattern, fresh)
            same = wins.pattern.precedence == loses.pattern.precedence
            meet = wins.methods is None or loses.methods is None or wins.methods & loses.methods
            # Of two shapes the more specific decides about every method.
            if example is not None and (meet or not same):
                found.append(Overlap(wins, loses, "/" + "/".join(example)))
        return found

    def mistakes(self) -> Mapping[Route, str]:
        """What is wrong with a route among the others: it is never reached."""
        found: dict[Route, str] = {}
        for routes in self._given:
            for first, second in combinations(routes, 2):
                if first.methods is None and second.methods is None:
                    found[second] = f"is the same as {first}"
                elif first.methods and second.methods and first.methods & second.methods:
                    twice = ", ".join(sorted(first.methods & second.methods))
                    found[second] = f"is for {twice}, as {first} is, and for the same paths"
        fresh = self._fresh()
        depth = max((len(each.pattern.parts) for each in self.ordered), default=0)
        for routes in self._given:
            pattern = routes[0].pattern
            decide = [self._deciding(path)[0] for path in pattern.examples(depth, fresh)]
            if routes[0] not in decide:
                told = "could never match: more specific routes cover all its paths"
                found |= dict.fromkeys(routes, told)
        return found

    def _deciding(self, segments: tuple[str, ...]) -> Sequence[Route]:
        """The routes of the most specific pattern that matches."""
        by_first = self._by_first
        for routes in chain(by_first.get(segments[0], []), by_first.get(None, [])):
            if routes[0].pattern.matches(segments):
                return routes
        return ()

    def _fresh(self) -> str:
        texts = {part for each in self.ordered for part in each.pattern.parts}
        fresh = "x"
        while fresh in texts:
            fresh += "x"
        return fresh


@lru_cache
def placeholders(resource: str) -> frozenset[str]:
    """The `{name}`s in a resource.

    Raises:
        ValueError: its braces do not match, or have more in them than a name.
    """
    names = set()
    for _, name, form, conversion in Formatter().parse(resource):
        if name is None:
            continue
        if not name.isidentifier() or form or conversion:
            raise ValueError(f"{resource!r}: between braces stands the name of a segment")
        names.add(name)
    return frozenset(names)


def _ordered(routes: Sequence[Route]) -> tuple[Route, ...]:
    return tuple(sorted(routes, key=lambda each: (each.pattern.precedence, each.methods is None)))


def _by_shape(ordered: Sequence[Route]) -> list[tuple[Route, ...]]:
    return [tuple(group) for _, group in groupby(ordered, key=lambda each: each.pattern.precedence)]


def _of_method(routes: Sequence[Route], method: str, path: Path) -> Rule:
    for route in routes:
        if route.takes(method):
            return _filled(route, path)
    raise NoRule("no route is there for this method on this path")


def _filled(route: Route, path: Path) -> Rule:
    rule = route.rule
    names = placeholders(rule.resource)
    if not names:
        return rule
    captured = route.pattern.captured(path.raw)
    for name in sorted(names):
        if _CAPTURED.fullmatch(captured[name]) is None:
            raise RefusedCapture(f"{{{name}}} of the path cannot be part of a resource's name")
    resource = rule.resource.format_map(captured)
    # No server would decide on it, and anybody could have it tell of that as trouble of ours.
    if not is_resource(resource):
        raise RefusedCapture("what the path names can be no resource")
    return Rule(rule.label, rule.permissions, resource, rule.required_environment)

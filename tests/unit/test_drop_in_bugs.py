"""The guards of what stands before an application are needed: a build without one is found out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keywright.sdk.authenticating import known, rate_limits
from keywright.sdk.drop_ins import http_denial, presented, route_rules
from keywright.sdk.errors import FailedPrecondition
from tests.support.leased import Clock
from tests.unit import test_presented, test_rate_limits, test_requirements

FOUND = (AssertionError, pytest.fail.Exception)


@dataclass(frozen=True)
class Bug:
    """In `module`, `guard` becomes `instead`; `scenario` is given the build and has to notice."""

    module: ModuleType
    guard: str
    instead: str
    scenario: Callable[[Any, pytest.MonkeyPatch], object]


def build(bug: Bug) -> Any:
    source = Path(str(bug.module.__file__)).read_text()
    assert bug.guard in source, f"{bug.module.__name__} has changed: where is its guard now?"
    made = ModuleType(bug.module.__name__)
    exec(compile(source.replace(bug.guard, bug.instead), "planted", "exec"), made.__dict__)
    return made


def refuses(*headers: tuple[str, str]) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def scenario(built: Any, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(test_presented, "presented", built.presented)
        test_presented.test_what_could_be_two_credentials_or_is_none_is_refused(list(headers))

    return scenario


def denies(method: str, path: str) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def scenario(built: Any, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(test_requirements, "ROUTES", built.RouteRules(test_requirements.RULES))
        test_requirements.test_a_route_without_a_rule_or_with_two_readings_is_denied(method, path)

    return scenario


def names(part: str) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def scenario(built: Any, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(test_requirements, "RouteRules", built.RouteRules)
        test_requirements.test_a_path_that_names_what_can_be_no_resource_is_denied(part)

    return scenario


def limits(built: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(test_rate_limits, "RateLimits", built.RateLimits)
    test_rate_limits.test_what_is_remembered_is_bounded_and_the_longest_unused_goes(Clock())


def is_503(built: Any, _patch: pytest.MonkeyPatch) -> None:
    own = FailedPrecondition("the own key was revoked", reason="CALLER_CREDENTIAL_INVALID")
    denial = built.Denials("api").of(own)
    assert denial.status == 503
    assert b"CALLER" not in denial.body


def is_elsewhere(built: Any, _patch: pytest.MonkeyPatch) -> None:
    networks = (built.ip_network("192.0.2.0/24"), built.ip_network("fe80::/10"))
    bound = built.Known(None, networks)
    assert bound.admits("192.0.2.1")
    assert not bound.admits("198.51.100.1")
    assert not bound.admits("fe80::1%eth0")


BUGS = {
    "the first of two credentials": Bug(
        presented,
        "if len(found) > 1:",
        "found = found[:1]\n    if False:",
        refuses(("x-api-key", "kw_1"), ("x-api-key", "kw_2")),
    ),
    "credentials that are joined": Bug(
        presented, '"," in token', "False", refuses(("authorization", "Bearer kw_1,kw_2"))
    ),
    "a path that is read in two ways": Bug(
        route_rules,
        "if _AMBIGUOUS.search(path) is None:",
        "if True:",
        denies("GET", "/files.v1/../admin"),
    ),
    "a rule for the beginning of a path": Bug(
        route_rules, "rule.path.fullmatch(path)", "rule.path.match(path)", denies("GET", "/health/")
    ),
    "a part of a path that can be no resource": Bug(
        route_rules, "if not is_resource(resource):", "if False:", names("a\x7f")
    ),
    "use that is remembered without end": Bug(
        rate_limits, "if len(self._buckets) > self._max_count:", "if False:", limits
    ),
    "trouble of our own that is told as 401": Bug(
        http_denial,
        "isinstance(error, Unauthenticated)",
        "error.reason.startswith('CALLER_')",
        is_503,
    ),
    "networks that are not looked at": Bug(
        known, "if not self.networks:", "if True:", is_elsewhere
    ),
    "zones that are not looked at": Bug(known, '"%" not in client_address and ', "", is_elsewhere),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_build_without_the_guard_is_found_out(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.scenario(bug.module, monkeypatch)
    with pytest.raises(FOUND):
        bug.scenario(build(bug), monkeypatch)

"""The guards of what stands before an application are needed: a build without one is found out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keywright.sdk.authenticating import known, rate_limits
from keywright.sdk.drop_ins import http_denial
from keywright.sdk.errors import FailedPrecondition, ResourceExhausted
from tests.support.leased import Clock
from tests.unit import test_rate_limits

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


def limits(built: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(test_rate_limits, "RateLimits", built.RateLimits)
    test_rate_limits.test_what_is_remembered_is_bounded_and_the_longest_unused_goes(Clock())


def is_503(built: Any, _patch: pytest.MonkeyPatch) -> None:
    own = FailedPrecondition("the own key was revoked", reason="CALLER_CREDENTIAL_INVALID")
    denial = built.Denials("api").of(own)
    assert denial.status == 503
    assert b"CALLER" not in denial.body
    full = ResourceExhausted("too many at a time", reason="OVERLOADED")
    assert built.Denials("api").of(full).status == 503


def is_elsewhere(built: Any, _patch: pytest.MonkeyPatch) -> None:
    networks = (built.ip_network("192.0.2.0/24"), built.ip_network("fe80::/10"))
    bound = built.Known(None, networks)
    assert bound.admits("192.0.2.1")
    assert not bound.admits("198.51.100.1")
    assert not bound.admits("fe80::1%eth0")


BUGS = {
    "use that is remembered without end": Bug(
        rate_limits, "if len(self._buckets) > self._max_count:", "if False:", limits
    ),
    "trouble of our own that is told as 401": Bug(
        http_denial,
        "if not is_about_token(error):",
        "if False:",
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

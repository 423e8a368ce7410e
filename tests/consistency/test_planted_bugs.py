"""The history checker is honest: it finds each of these mistakes, planted into the real program."""

import asyncio
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.consistency import scenarios
from tests.consistency.checker import Fault, violations
from tests.consistency.lanes import Clients
from tests.consistency.scenarios import Scenario
from tests.consistency.servers import Fleet, fleet
from tests.support.database import Cluster
from tests.support.planted import Bug, build

pytestmark = pytest.mark.slow
WITHIN_SECONDS = 60
STALE = {Fault.ALLOWED_AFTER_NARROWING, Fault.DECIDED_BEFORE_A_NARROWING}


@dataclass(frozen=True)
class Mistake:
    """Something to plant, and the scenario that is likeliest to show it."""

    file: str
    guard: str
    instead: str
    scenario: Scenario
    settings: Mapping[str, Any] = field(default_factory=dict)


_DECIDED_UNDER_A_LEASE = """
            await self.replica.leased()
            answer = self._decide(known, asked, caller)
"""
_DECIDED_AT_ONCE = """
            until, self.lease.until = self.lease.until, float("inf")
            answer = self._decide(known, asked, caller)
            self.lease.until = until
"""
MISTAKES = {
    "a lease that counts from the reply": Mistake(
        "service/replica/replica.py",
        guard="self.lease.grant(asked_at)",
        instead="self.lease.grant(self.lease.clock())",
        scenario=scenarios.renewals_answered_late,
    ),
    "an acknowledgement before the changes are applied": Mistake(
        "service/replica/replica.py",
        guard="revisions = await rows.since(self.history.applied, position)",
        instead=(
            "await rows.renew(self._id, position); "
            "revisions = await rows.since(self.history.applied, position)"
        ),
        scenario=scenarios.changes_read_late,
    ),
    "a miss that is remembered whatever has changed": Mistake(
        "service/proving.py",
        guard="as_of = self.replica.history.step_at(seen.position)",
        instead="as_of = self.replica.history.step",
        scenario=scenarios.a_miss_on_its_way,
    ),
    "a miss that decides without a lease": Mistake(
        "service/authenticate.py",
        guard=_DECIDED_UNDER_A_LEASE,
        instead=_DECIDED_AT_ONCE,
        scenario=scenarios.a_miss_on_its_way_without_a_lease,
        settings={"authenticate_callers": "any"},
    ),
    "an acknowledgement without the watchers": Mistake(
        "service/replica/watchers.py",
        guard="step = min(step, each.applied.step)",
        instead="pass",
        scenario=scenarios.a_client_cache_that_hears_nothing,
    ),
    "a grant that is forgotten at the disconnect": Mistake(
        "service/replica/watchers.py",
        guard="if watcher.is_granted:",
        instead="if False:",
        scenario=scenarios.a_client_cache_whose_stream_broke,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_checker_finds(name: str, cluster: Cluster, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    build(Bug(mistake.file, mistake.guard, mistake.instead), tmp_path)
    async with fleet(
        cluster, count=2, proxied=True, build=tmp_path, **mistake.settings
    ) as processes:
        await assert_found(mistake.scenario, processes)


async def test_the_checker_finds_a_client_cache_without_its_guard(
    cluster: Cluster, tmp_path: Path
) -> None:
    guard = "if self._told.stands(answer.revision, answer.depends_on):"
    build(Bug("sdk/authenticating/leased_cache.py", guard, "if True:"), tmp_path)
    cache = _module(tmp_path / "keywright/sdk/authenticating/leased_cache.py").LeasedCache()
    async with fleet(cluster, count=2) as processes:
        scenario = partial(scenarios.an_answer_on_its_way_to_a_client_cache, cache=cache)
        await assert_found(scenario, processes)


_ANSWERS_WITHOUT_LEASE = Bug(
    "sdk/authenticating/leased_cache.py", "if now >= self._lease_end:", "if False:"
)
_REMEMBERED = """
            asked = plan.rule, *credentials
            remembered = self.__dict__.setdefault("remembered", {})
            decision = remembered.get(asked) or await self._asked(plan, credentials)
            remembered[asked] = decision
"""
_REMEMBERS_DECISIONS = Bug(
    "sidecar/gate.py",
    "decision = await self._asked(plan, credentials)",
    _REMEMBERED.strip(),
)
PROGRAMS_MISTAKES = {
    "threads that answer when their lease is over": ("threads", _ANSWERS_WITHOUT_LEASE),
    "a sidecar that answers when its lease is over": ("sidecar", _ANSWERS_WITHOUT_LEASE),
    "a sidecar that remembers its decisions": ("sidecar", _REMEMBERS_DECISIONS),
}


@pytest.mark.parametrize("name", PROGRAMS_MISTAKES)
async def test_the_checker_finds_among_programs(
    name: str, cluster: Cluster, tmp_path: Path
) -> None:
    program, bug = PROGRAMS_MISTAKES[name]
    build(bug, tmp_path)
    scenario = partial(scenarios.clients_in_trouble, carriers=[program], troubles=[Clients.cut_off])
    async with fleet(cluster, count=2) as processes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(tmp_path))  # the servers have begun without it
            await assert_found(scenario, processes)


async def assert_found(scenario: Scenario, processes: Fleet) -> None:
    """The scenario shows an ALLOW of what had been taken away, within a minute."""
    settled_after = 2 * processes.lease.total_seconds()
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            found = violations(await scenario(processes), settled_after=settled_after)
            if any(violation.fault in STALE for violation in found):
                return


def _module(file: Path) -> Any:
    """A module of a patched build, beside the real one."""
    spec = importlib.util.spec_from_file_location(f"planted_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

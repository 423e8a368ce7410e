"""The tests of usage and notices are honest: each goes red on a build that lacks its guard."""

from pathlib import Path

import pytest

from tests.integration import test_leaks, test_notices, test_usage
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

BUGS = {
    "usage that is forgotten where it cannot be written": Bug(
        "service/usage_counters.py",
        guard="await self.database.writing(partial(_add, counts), within=BATCH_PATIENCE)\n"
        "                self._take_away(counts)",
        instead="self._take_away(counts)\n"
        "                await self.database.writing(partial(_add, counts), within=BATCH_PATIENCE)",
        scenario=test_usage.counts_survive_a_failed_writing,
    ),
    "denials that are not counted": Bug(
        "service/usage_counters.py",
        guard="self._denied[known, reason] = self._denied.get((known, reason), 0) + 1",
        instead="pass",
        scenario=test_usage.every_decision_is_counted,
    ),
    "usage that is not written at the end": Bug(
        "app/server.py",
        guard="config.usage_interval, usage.finish),",
        instead="config.usage_interval, None),",
        scenario=test_usage.every_decision_is_counted,
    ),
    "a use that is forgotten while somebody changes the key": Bug(
        "service/usage_counters.py",
        guard="_forget(self._uses, (use for use in uses if use.key not in kept))",
        instead="_forget(self._uses, uses)",
        scenario=test_usage.the_last_use_outlasts_a_change,
    ),
    "a tripwire that nobody hears": Bug(
        "service/notices.py",
        guard="if reason not in _TRIPWIRES:",
        instead="if True:",
        scenario=test_notices.a_dead_token_trips,
    ),
    "denied calls that are not told": Bug(
        "wire/interceptors/__init__.py",
        guard="    denied_calls,\n",
        instead="",
        scenario=test_notices.a_denied_call_is_told,
    ),
    "denied calls that are all told apart": Bug(
        "service/notices.py",
        guard="_MAX_COUNT_A_USER = 20",
        instead="_MAX_COUNT_A_USER = 10_000",
        scenario=test_notices.a_flood_leaves_few_rows,
    ),
    "a leak report that leaves no event": Bug(
        "service/leaks.py",
        guard="await writes.audit.insert(",
        instead="(lambda _event: None)(",
        scenario=test_leaks.a_report_ends_the_key,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    interval = "1s" if bug.scenario in AT_EVERY_SECOND else "1m"
    await assert_noticed(bug, cluster, tmp_path, usage_interval=interval)


AT_EVERY_SECOND = {
    test_usage.counts_survive_a_failed_writing,
    test_usage.the_last_use_outlasts_a_change,
}

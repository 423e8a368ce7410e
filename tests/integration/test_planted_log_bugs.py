"""The tests of the access log are honest: each goes red on a build that lacks its guard."""

from pathlib import Path

import pytest

from tests.integration import test_access_log
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

ALL = {"access_log": "all"}
BUGS = {
    "an id of a call that is logged as it came": Bug(
        "app/verdict_log.py",
        guard="quoted(redact(call.call_id))",
        instead="quoted(call.call_id)",
        scenario=test_access_log.some_of_a_token_as_the_id_of_a_call,
        settings=ALL,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_guard_that_is_left_out_is_noticed(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)

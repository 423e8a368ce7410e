"""The guards of streams are honest: each test goes red on a build that lacks its guard."""

from pathlib import Path

import pytest

from tests.integration import test_authenticate_stream, test_watch
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

BUGS = {
    "a stream whose caller was revoked goes on": (
        Bug(
            "wire/streams.py",
            guard="await self.caller(calls=False)",
            instead="pass",
            scenario=test_authenticate_stream.a_stream_whose_caller_falls,
        ),
        "1s",
    ),
    "a watch whose caller was revoked goes on": (
        Bug(
            "wire/streams.py",
            guard="await self.caller(calls=False)",
            instead="pass",
            scenario=test_watch.a_watcher_whose_caller_falls,
        ),
        "1s",
    ),
    "a grant to who has not said that it applied the change": (
        Bug(
            "service/replica/watchers.py",
            guard="if self.told is not None and position == self.told.position:",
            instead="if self.told is not None:",
            scenario=test_watch.only_who_is_at_the_position_is_leased,
        ),
        "1s",
    ),
    "a watcher that is forgotten when it leaves": (
        Bug(
            "service/replica/watchers.py",
            guard="if watcher.is_granted:",
            instead="if False:",
            scenario=test_watch.a_change_waits_for_who_has_left,
        ),
        "10s",
    ),
}


@pytest.mark.parametrize(("bug", "lease_length"), BUGS.values(), ids=BUGS)
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, lease_length: str, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path, lease_length=lease_length)

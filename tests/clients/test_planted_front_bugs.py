"""What keeps malformed calls from others is needed: each test goes red on a build without it."""

from functools import partial
from pathlib import Path

import pytest

from tests.clients.cases import AUTHENTICATE, LIST_KEYS
from tests.clients.fronts import ENVOY
from tests.clients.test_malformed_frames import FEW_STREAMS, malformed_calls_leave_nothing_behind
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

BUGS = {
    "what one client has said wrongly is kept for all": Bug(
        "app/front/listener.py",
        guard='("grpc.http2.hpack_table_size.decoder", 0),',
        instead="",
        scenario=partial(
            malformed_calls_leave_nothing_behind,
            front=ENVOY,
            name="a time that is none",
            path=LIST_KEYS,
        ),
    ),
    "a body may take for ever to come": Bug(
        "app/front/calls.py",
        guard='"max_stream_duration": times',
        instead="",
        scenario=partial(
            malformed_calls_leave_nothing_behind,
            front=ENVOY,
            name="half a body without an end",
            path=AUTHENTICATE,
        ),
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path, front=ENVOY.name, **FEW_STREAMS)

"""The tests of the clients are honest: each goes red on an SDK that lacks its guard."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.planted import Bug, build
from tests.support.service import Service
from tests.support.unprivileged import CHECKOUT

pytestmark = pytest.mark.slow


async def in_another_program(_: Service) -> None:
    """The scenario is a test, which a program runs with the SDK that has the bug."""


@dataclass(frozen=True)
class SdkBug:
    """A defect of the SDK, and the test that has to notice."""

    file: str
    guard: str
    instead: str
    test: str


CLIENTS = "integration/test_sdk_clients.py::"
BUGS = {
    "changes that are sent again without a request_id": SdkBug(
        "connection/tries.py",
        "change.request_id = str(uuid4())",
        "pass",
        CLIENTS + "test_a_change_whose_reply_is_lost_is_made_once_and_told",
    ),
    "arguments of any type": SdkBug(
        "connection/argument_types.py",
        "if name in checks:",
        "if False:",
        "unit/test_sdk_requests.py::"
        "test_whatever_a_method_takes_is_named_where_it_is_of_another_type",
    ),
    "a key with an empty token": SdkBug(
        "calls/key_tokens.py",
        "if not reply.token:",
        "if False:",
        CLIENTS + "test_a_key_whose_token_went_with_the_reply_is_named_and_can_be_rotated",
    ),
    "everybody acts as the first": SdkBug(
        "connection/transport.py",
        "other._metadata = _metadata(api_key)",
        "pass",
        CLIENTS + "test_one_connection_is_lent_to_many_people_and_each_acts_as_themselves",
    ),
    "a connection for each": SdkBug(
        "connection/transport.py",
        "other = copy(self)",
        "other = type(self)(self._way, api_key, self._timeout)",
        CLIENTS + "test_one_connection_is_lent_to_many_people_and_each_acts_as_themselves",
    ),
    "the first page again and again": SdkBug(
        "connection/flow.py",
        "        found.request.page_token = page_token\n",
        "",
        CLIENTS + "test_a_list_gives_single_pages_and_each_leads_to_the_next",
    ),
    "reads that are asked once": SdkBug(
        "connection/tries.py",
        "_COUNT = 5",
        "_COUNT = 1",
        CLIENTS + "test_a_read_whose_reply_is_lost_is_asked_again",
    ),
    "one server of two": SdkBug(
        "connection/connection.py",
        "options.append(_IN_TURN)",
        "pass",
        CLIENTS + "test_when_one_of_two_servers_is_killed_calls_go_on_to_the_other",
    ),
    "one server of a name": SdkBug(
        "connection/connection.py",
        "if self.address.authority is not None or not self.address.stays_here:",
        "if self.address.authority is not None:",
        "integration/test_sdk_names.py::"
        "test_servers_behind_one_name_share_the_calls_and_a_new_one_is_found",
    ),
    "a channel that is left open": SdkBug(
        "connection/transport.py",
        "channel, self._line.channel = self._line.channel, None",
        "channel = None",
        CLIENTS + "test_a_client_leaves_no_task_and_no_connection",
    ),
    "gRPC's own word for a closed client": SdkBug(
        "connection/transport.py",
        "self._check_open()  # gRPC says so",
        "pass  # gRPC says so",
        "unit/test_sdk_client.py::test_who_calls_while_another_thread_closes_is_told_so",
    ),
    "a channel of another event loop": SdkBug(
        "connection/transport.py",
        "elif line.loop is not loop:",
        "elif False:",
        CLIENTS + "test_a_client_that_is_made_before_the_loop_works_in_it_and_in_no_other",
    ),
    "a deadline for each try": SdkBug(
        "connection/transport.py",
        "return send(tries.remaining)",
        "return send(self._timeout.total_seconds())",
        "unit/test_sdk_client.py::test_all_tries_of_a_call_have_one_deadline",
    ),
    "a key that others may read": SdkBug(
        "connection/config_file.py",
        "if mode & _OTHERS:",
        "if False:",
        "unit/test_sdk_config_file.py::"
        "test_a_file_with_a_key_that_others_may_read_is_refused_with_what_to_do",
    ),
    "a name that is not checked": SdkBug(
        "connection/address.py",
        "if len(families) > 1 or 0 in families:",
        "if False:",
        "unit/test_sdk_connection.py::"
        "test_servers_that_cannot_be_called_as_one_are_refused_with_what_can",
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_test_goes_red_with_the_bug(bug: SdkBug, tmp_path: Path) -> None:
    planted = Bug(f"sdk/{bug.file}", bug.guard, bug.instead, in_another_program)
    build(planted, tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{bug.test}"),
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 110)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED, said.decode()

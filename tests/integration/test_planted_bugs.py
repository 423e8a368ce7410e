"""The guards' tests are honest: each goes red on a build that lacks its guard (STYLE, 21)."""

from pathlib import Path

import pytest

from tests.integration import test_audit, test_authenticate, test_request_ids, test_transactions
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

BUGS = {
    "a mutation without its audit event": Bug(
        "service/key_changes.py",
        guard="await writes.audit.insert(",
        instead="(lambda _event: None)(",
        scenario=test_audit.every_mutation_has_its_event,
    ),
    "an audit event in a transaction of its own": Bug(
        "service/key_changes.py",
        guard="await writes.audit.insert(",
        instead="await (lambda event: self.database.writing(lambda own: own.audit.insert(event)))(",
        scenario=test_audit.what_fails_leaves_no_event,
    ),
    "a role that is remembered": Bug(
        "storage/credentials.py",
        guard="rows = await self._connection.fetch(BY_PREFIX, prefixes)",
        instead="rows = globals().setdefault('_seen', {}).get(tuple(prefixes)) or "
        "_seen.setdefault(tuple(prefixes), await self._connection.fetch(BY_PREFIX, prefixes))",
        scenario=test_authenticate.live_role,
    ),
    "a caller that is not checked again": Bug(
        "service/call.py",
        guard="return await self.confirm(writes)",
        instead="seen = await writes.read.workspaces.now("
        "self.caller.credential.workspace_internal_id);"
        " return ConfirmedCall(self.caller, self.call_id, self.address, self.remaining,"
        " self.request, seen.position, seen.workspace)",
        scenario=test_transactions.a_caller_that_falls_meanwhile,
    ),
    "a change that does not hold the workspace": Bug(
        "storage/authority.py",
        guard='locks = sorted(alone | {_SPACES["workspace"] | held_workspace})',
        instead="locks = sorted(alone)",
        scenario=test_transactions.gives_by_what_was_just_taken,
    ),
    "a request id that nobody claims": Bug(
        "service/mutation.py",
        guard="await _claim(writes, call)",
        instead="",
        scenario=lambda running: test_request_ids.one_key_of_many_calls(running, running),
    ),
    "a guest whose keys go on": Bug(
        "domain/decision.py",
        guard="if not role.may_hold_keys:",
        instead="if False:",
        scenario=test_authenticate.guests,
    ),
    "admins that are counted without a lock": Bug(
        "service/users.py",
        guard="workspaces=[call.caller.credential.workspace_internal_id],",
        instead="",
        scenario=test_transactions.the_last_two_admins_disabled_at_once,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)

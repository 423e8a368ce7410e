"""The guards' tests are honest: each goes red on a build that lacks its guard (STYLE, 21)."""

from functools import partial
from pathlib import Path

import pytest

from tests.consistency import subjects, test_each_narrowing
from tests.integration import (
    test_admission,
    test_audit,
    test_authenticate,
    test_metrics,
    test_outage,
    test_replica,
    test_request_ids,
    test_transactions,
    test_waiting,
    test_workers,
)
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

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
        "service/authenticate.py",
        guard="if not self.history.unchanged(known.rests_on, known.as_of):",
        instead="if False:",
        scenario=test_authenticate.live_role,
    ),
    "a key's role that nobody hears of": Bug(
        "domain/decision.py",
        guard="roles = [self.user.role, self.authority.narrowing.role]",
        instead="roles = [self.user.role]",
        scenario=partial(
            test_each_narrowing.is_felt_at_once, make=subjects.of_a_role_that_narrows_a_key
        ),
    ),
    "a granted role that nobody hears of": Bug(
        "domain/decision.py",
        guard="role_ids |= {each.role_internal_id for each in self.authority.grants}",
        instead="pass",
        scenario=partial(
            test_each_narrowing.is_felt_at_once, make=subjects.of_a_narrowed_role_on_a_resource
        ),
    ),
    "a patience that ends while the server stands still": Bug(
        "service/replica/replica.py",
        guard="if not patience.begins_anew():",
        instead="if True:",
        scenario=test_replica.waits_while_the_server_stands_still,
        settings=test_replica.A_WHILE,
    ),
    "a denial by whoever holds no lease": Bug(
        "service/proving.py",
        guard="            await self.replica.leased()\n            raise",
        instead="            raise",
        scenario=test_outage.knows_only_a_database_that_was_left_behind,
    ),
    "a denial from memory by whoever holds no lease": Bug(
        "service/memory.py",
        guard="min(until, self.lease.until)",
        instead="until",
        scenario=test_outage.knows_only_a_database_that_was_left_behind,
    ),
    "look-ups in vain that nobody limits": Bug(
        "service/admission.py",
        guard="        return limited()",
        instead="        return None",
        scenario=test_admission.an_address_that_guesses,
        settings=test_admission.LIMITS,
    ),
    "a look-up that nobody waits for": Bug(
        "service/look_ups.py",
        guard="del self._waiting[prefix], self._asked[prefix]",
        instead="pass",
        scenario=test_admission.tokens_that_nobody_waits_for,
        settings=test_admission.LIMITS,
    ),
    "workers that outlive their supervisor": Bug(
        "app/workers/control.py",
        guard="                stop()\n"
        "                time.sleep((grace + MARGIN).total_seconds())\n"
        "                os._exit(1)",
        instead="                pass",
        scenario=test_workers.a_killed_supervisor_leaves_nobody,
        settings=test_workers.SEVERAL,
    ),
    "an endpoint that takes any number of connections": Bug(
        "app/endpoint.py",
        guard="if self._places.acquire(blocking=False):",
        instead="if self._places.acquire(blocking=False) or True:",
        scenario=test_metrics.silent_connections,
        settings=test_metrics.METRICS,
    ),
    "an endpoint that waits for ever": Bug(
        "app/endpoint.py",
        guard="    timeout = 10",
        instead="    timeout = None",
        scenario=test_metrics.silent_connections,
        settings=test_metrics.METRICS,
    ),
    "a caller that is not checked again": Bug(
        "service/call.py",
        guard="return await self.confirm(writes)",
        instead="seen = await writes.read.workspaces.now("
        "self.caller.credential.workspace_internal_id);"
        " return ConfirmedCall(self.caller, self.call_id, self.address, self.remaining,"
        " self.request, self.settling, seen.position, seen.workspace)",
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
        guard="await claim(writes, actor, call.request, waits=call.waits)",
        instead="None",
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
    "a wait that is over before the database has answered the COMMIT": Bug(
        "storage/database.py",
        guard="""\
                    await commit(connection)
                    if then is not None:
                        await then(Reads(connection), result)
""",
        instead="""\
                    if then is not None:
                        await then(Reads(connection), result)
                    await commit(connection)
""",
        scenario=test_waiting.counts_from_the_receipt,
    ),
    "a narrowing that finds nothing to narrow, and does not wait": Bug(
        "service/mutation.py",
        guard="return Committed(done.value, position)",
        instead="return Committed(done.value, Position(-1, position.tag))",
        scenario=test_waiting.finds_nothing_to_narrow,
    ),
    "a position that is its number alone": Bug(
        "storage/acknowledgements.py",
        guard="OR NOT EXISTS (",
        instead="OR false AND NOT EXISTS (",
        scenario=test_waiting.another_tag,
    ),
    "a history that is looked at for equal numbers alone": Bug(
        "storage/acknowledgements.py",
        guard="OR NOT EXISTS (",
        instead="OR r.applied = $1::bigint AND NOT EXISTS (",
        scenario=test_waiting.further_in_a_history_that_was_lost,
    ),
    "a repetition that does not wait": Bug(
        "service/mutation.py",
        guard="            return replayed\n        done = await",
        instead="            raise replayed\n        done = await",
        scenario=test_waiting.repeats_a_revocation,
    ),
    "a revision that a lost server keeps from everybody": Bug(
        "storage/authority.py",
        guard="SELECT revision, tag, {_AT_ONCE} FROM moved",
        instead="SELECT revision, tag FROM moved",
        scenario=test_waiting.cut_off_before_its_commit,
    ),
    "a wait that keeps its connection from everybody": Bug(
        "service/settling.py",
        guard="if pause == _LONGEST_PAUSE and crowded():",
        instead="if False:",
        scenario=test_waiting.one_connection_for_changes_and_a_long_lease,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)

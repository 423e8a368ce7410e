"""The tests of users, roles, grants and workspaces are honest: each goes red without its guard."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration import (
    test_grants,
    test_roles,
    test_service_users,
    test_user_changes,
    test_workspaces,
)
from tests.integration.test_workspaces import Operators, operating
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed
from tests.support.service import Service

pytestmark = pytest.mark.slow


def operated(
    scenario: Callable[[Operators], Awaitable[None]],
) -> Callable[[Service], Awaitable[None]]:
    """The same scenario, on a server that has no operator yet."""

    async def with_operator(running: Service) -> None:
        async with operating(running) as operators:
            await scenario(operators)

    return with_operator


BUGS = {
    "a last admin that may be demoted": Bug(
        "service/users.py",
        guard="await check_admin_remains(writes.read, user)",
        instead="pass",
        scenario=test_user_changes.what_ends_the_last_admin,
    ),
    "a role edit that leaves no admin": Bug(
        "service/roles.py",
        guard="await check_admin_remains_without_role(writes.read, name.workspace, found.role)",
        instead="pass",
        scenario=test_roles.an_edit_that_would_leave_no_admin,
    ),
    "role edits that do not wait for one another": Bug(
        "service/roles.py",
        guard="workspaces=[call.caller.credential.workspace_internal_id],",
        instead="",
        scenario=test_roles.edits_at_once_that_would_leave_no_admin,
    ),
    "a catalogue that is kept and not looked at": Bug(
        "domain/permissions.py",
        guard="if catalog is None:",
        instead="if True:",
        scenario=operated(test_workspaces.a_catalogue_that_is_kept),
    ),
    "a manager who gets tokens of other people's keys": Bug(
        "domain/access.py",
        guard="return caller.may(p.KEYS_ANY) or manages_resource_of(caller, owner)",
        instead="return True",
        scenario=test_service_users.a_manager_and_other_people_s_keys,
    ),
    "a manager who lets anybody in": Bug(
        "service/grants.py",
        guard="if user is None or not access.manages_resource_of(call.caller, user):",
        instead="if user is None:",
        scenario=test_service_users.a_manager_and_who_is_no_service_user_of_the_resource,
    ),
    "a grant of more than the giver may do": Bug(
        "service/grants.py",
        guard="                role.permissions.patterns,\n",
        instead="                (),\n",
        scenario=test_grants.a_role_above_the_giver_s_authority,
    ),
    "an address that anybody's user can be given": Bug(
        "service/users.py",
        guard="if (changed.email, changed.external_id) != (user.email, user.external_id):",
        instead="if False:",
        scenario=test_user_changes.an_address_of_who_may_do_more,
    ),
    "a policy that does not wait for what is being created": Bug(
        "storage/authority.py",
        guard='("workspace", self.workspace), ',
        instead="",
        scenario=operated(test_workspaces.a_policy_that_is_tightened_while_a_key_is_made),
    ),
    "a policy that does not wait for what is being changed": Bug(
        "storage/authority.py",
        guard='alone | {_SPACES["workspace"] | held_workspace}',
        instead="alone",
        scenario=operated(test_workspaces.a_policy_that_is_tightened_while_a_key_is_changed),
    ),
    "a revocation that does not wait for what is being created": Bug(
        "storage/authority.py",
        guard="rows += [(each.kind.value, each.internal_id) for each in self.calling]",
        instead="rows = rows[:1]",
        scenario=test_user_changes.a_key_that_is_revoked_while_it_makes_keys,
    ),
    "an enabled user who may do more than who enables it": Bug(
        "service/users.py",
        guard='await _check_whole(writes.read, confirmed, user, "name")',
        instead="pass",
        scenario=test_user_changes.who_may_do_more_is_enabled,
    ),
    "keys that are counted without a lock": Bug(
        "service/key_creation.py",
        guard="await writes.authority.count_alone(owner.internal_id)",
        instead="pass",
        scenario=operated(test_workspaces.keys_at_once_under_a_limit),
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_guard_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)

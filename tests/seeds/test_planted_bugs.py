"""The products' tests are honest: each rule's goes red on a build that lacks the rule."""

from pathlib import Path

import pytest

from tests.seeds import test_encord, test_fiftyone, test_labelbox, test_teamai
from tests.support.database import Cluster
from tests.support.planted import Bug, assert_noticed

pytestmark = pytest.mark.slow

FIFTYONE = {
    "guests use keys": Bug(
        "domain/decision.py",
        guard="if not role.may_hold_keys:",
        instead="if False:",
        scenario=test_fiftyone.guests_use_no_keys,
    ),
    "guests get keys": Bug(
        "domain/creation.py",
        guard="if not owner.role.may_hold_keys:",
        instead="if False:",
        scenario=test_fiftyone.guests_create_no_keys,
    ),
    "members delete keys of others": Bug(
        "domain/access.py",
        guard="(key.owner_internal_id == caller.user.internal_id and caller.may(p.KEYS_OWN))",
        instead="caller.may(p.KEYS_OWN)",
        scenario=test_fiftyone.only_admins_delete_keys_of_others,
    ),
    "a permission on one dataset counts for all": Bug(
        "domain/authority.py",
        guard="if resources.covers(each.resource, resource)]",
        instead="]",
        scenario=test_fiftyone.dataset_permissions_are_enforced,
    ),
}
LABELBOX = {
    "keys of disabled accounts go on": Bug(
        "domain/decision.py",
        guard="if user.state is not State.ACTIVE:",
        instead="if False:",
        scenario=test_labelbox.disabled_accounts_have_no_keys,
    ),
    "a role above one's own": Bug(
        "domain/creation.py",
        guard="if above := permissions.lacking(role.permissions.patterns):",
        instead="if above := ():",
        scenario=test_labelbox.a_role_is_at_most_one_s_own,
    ),
    "role names as they are written": Bug(
        "domain/names.py",
        guard="text.lower() if text.isascii() else text",
        instead="text",
        scenario=test_labelbox.role_names_have_no_case,
    ),
    "a validity without a maximum": Bug(
        "domain/policy.py",
        guard="if most is not None and lifetime > most:",
        instead="if False:",
        scenario=test_labelbox.a_validity_is_25_weeks_at_most,
    ),
    "a validity of a second": Bug(
        "domain/policy.py",
        guard="MIN_LIFETIME = timedelta(minutes=1)",
        instead="MIN_LIFETIME = timedelta(seconds=1)",
        scenario=test_labelbox.a_validity_is_a_minute_at_least,
    ),
}
TEAMAI = {
    "keys that are good in every workspace": Bug(
        "service/known.py",
        guard="return self.sees_all or workspace_id == self.principal.workspace_id",
        instead="return True",
        scenario=test_teamai.keys_are_of_one_workspace,
    ),
    "everyone creates keys where only administrators may": Bug(
        "domain/creation.py",
        guard="if policy.key_creation is KeyCreation.ADMINS:",
        instead="if False:",
        scenario=test_teamai.only_administrators_and_managers_of_keys_create_keys,
    ),
    "a revocation that is not felt": Bug(
        "domain/decision.py",
        guard='_deny(Reason.KEY_REVOKED, "the key was revoked")',
        instead="pass",
        scenario=test_teamai.revoking_is_effective_at_once,
    ),
    "keys that were rotated lately are due": Bug(
        "storage/keys.py",
        guard='("s.create_time < {0}", only.unrotated_since),',
        instead="",
        scenario=test_teamai.rotation_is_reminded_of,
    ),
}
ENCORD = {
    "a key of one project is good for all": Bug(
        "domain/authority.py",
        guard="if bound and not resources.covers(bound, resource):",
        instead="if False:",
        scenario=test_encord.a_project_s_key_is_good_for_that_project_only,
    ),
    "everyone creates keys of a project": Bug(
        "domain/creation.py",
        guard="if resource and not free and not caller.may_at(resource, p.KEYS_BOUND):",
        instead="if False:",
        scenario=test_encord.only_project_admins_create_project_keys,
    ),
    "another master key in place of the one that is there": Bug(
        "service/key_creation.py",
        guard="        if differs:\n",
        instead="        if False:\n",
        scenario=test_encord.another_master_key_is_refused,
    ),
    "read-only keys that write": Bug(
        "domain/authority.py",
        guard="if self.narrowing.scopes:",
        instead="if False:",
        scenario=test_encord.a_third_party_reads_and_does_nothing_else,
    ),
    "a shared key that leaves with who made it": Bug(
        "storage/credentials.py",
        guard="JOIN keywright.user u ON u.id = coalesce(k.owner",
        instead="JOIN keywright.user c ON c.id = k.creator "
        "JOIN keywright.user u ON u.id = coalesce(k.owner",
        scenario=test_encord.sharing_outlives_the_manager,
    ),
}
BUGS = FIFTYONE | LABELBOX | TEAMAI | ENCORD


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
async def test_a_build_without_the_rule_is_found_out(
    bug: Bug, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_noticed(bug, cluster, tmp_path)

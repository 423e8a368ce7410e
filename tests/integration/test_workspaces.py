"""Workspaces: what operators do with them, and what a workspace's own policy asks of its keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.names import UserName
from keywright.service.bootstrap import Bootstrap
from keywright.v1 import key_pb2, workspace_pb2
from tests.integration.test_transactions import blocked, held_up
from tests.support.service import PARENT, Caller, RefusedError, Service, first_admin, refusal

ACTIVE, DISABLED = (
    workspace_pb2.WORKSPACE_STATE_ACTIVE,
    workspace_pb2.WORKSPACE_STATE_DISABLED,
)
EVERYONE, ADMINS = workspace_pb2.KEY_CREATION_EVERYONE, workspace_pb2.KEY_CREATION_ADMINS
MINUTE, HOUR, DAY, WEEK = (timedelta(**{unit: 1}) for unit in ("minutes", "hours", "days", "weeks"))


@dataclass
class Tenant:
    """A workspace and its first admin."""

    workspace_id: str
    admin: Caller

    @property
    def name(self) -> str:
        return f"workspaces/{self.workspace_id}"

    async def get(self) -> workspace_pb2.Workspace:
        return (await self.admin.do("GetWorkspace", name=self.name)).workspace

    async def update(self, *paths: str, **given: Any) -> workspace_pb2.Workspace:
        return await update(self.admin, self.name, *paths, **given)

    async def create_key(self, caller: Caller | None = None, **given: Any) -> Any:
        """CreateKey of the admin's own, or of another caller's, with what `Key` does not have."""
        request = {each: given.pop(each) for each in ("ttl", "never_expires") if each in given}
        caller = caller or self.admin
        return await caller.do("CreateKey", parent=self.name, key=given, **request)

    async def lifetimes(self) -> list[tuple[str, int]]:
        """Which keys there are, and when they expire."""
        listed = await self.admin.do("ListKeys", parent=self.name)
        return [(key.name, key.expire_time.seconds) for key in listed.keys]

    async def person(self, user_id: str, role_id: str = "member") -> Caller:
        """A new user with a key of its own."""
        user = {"email": f"{user_id}@example.com", "role": f"{self.name}/roles/{role_id}"}
        await self.admin.do("CreateUser", parent=self.name, user=user, user_id=user_id)
        created = await self.create_key(user=f"{self.name}/users/{user_id}")
        return Caller(self.admin.channel, created.token)


@dataclass
class Operators:
    """A server with its first operator, who makes workspaces."""

    service: Service
    caller: Caller
    bootstrap: Bootstrap

    async def create(
        self, workspace_id: str, admin_email: str = "", **given: Any
    ) -> workspace_pb2.Workspace:
        request = {"workspace_id": workspace_id, "admin_email": admin_email, "workspace": given}
        return (await self.caller.do("CreateWorkspace", **request)).workspace

    async def tenant(self, workspace_id: str, **given: Any) -> Tenant:
        """A new workspace whose admin got a first token on the server's side."""
        await self.create(workspace_id, f"boss@{workspace_id}.example", **given)
        token = await self.bootstrap.admin_key(UserName(workspace_id, "admin"))
        return Tenant(workspace_id, self.service.as_caller(token.reveal()))

    async def authenticate(self, token: str | None, **asked: Any) -> Any:
        return await self.caller.authenticate(token or "", **asked)


@asynccontextmanager
async def operating(service: Service) -> AsyncIterator[Operators]:
    """The first operator of a server, with what is not reached over the network."""
    operator = service.as_caller(await first_admin(service.dsn, "system"))
    parts = await Parts.open(Config(argon2_threads=1), service.dsn)
    try:
        yield Operators(service, operator, await parts.bootstrap())
    finally:
        await parts.close()


@pytest.fixture(scope="module", name="operators")
async def _operators(service: Service) -> AsyncIterator[Operators]:
    async with operating(service) as operators:
        yield operators


async def update(caller: Caller, name: str, *paths: str, **given: Any) -> workspace_pb2.Workspace:
    mask = {"paths": paths} if paths else None
    reply = await caller.do("UpdateWorkspace", workspace={"name": name, **given}, update_mask=mask)
    return reply.workspace


def policy_of(**parts: Any) -> workspace_pb2.KeyPolicy:
    """A policy as it is shown."""
    return workspace_pb2.KeyPolicy(**{"key_creation": EVERYONE, **parts})


async def reason(call: Any) -> str:
    return (await refusal(call)).reason


# --- operators --------------------------------------------------------------------------------


async def test_a_new_workspace_asks_nothing_and_has_the_usual_environments(
    operators: Operators,
) -> None:
    made = await operators.create("plain")

    assert made.name == "workspaces/plain"
    assert made.state == ACTIVE
    assert list(made.environments) == ["live", "test"]
    assert not made.HasField("policy")
    assert not made.HasField("permission_catalog")
    got = await operators.caller.do("GetWorkspace", name=made.name)
    assert got.workspace == made


async def test_a_workspace_has_what_it_was_made_with(operators: Operators) -> None:
    given: dict[str, Any] = {
        "display_name": "Acme & Söhne",
        "labels": {"plan": "gold"},
        "environments": ["prod", "staging"],
        "policy": {"max_ttl": WEEK, "default_ttl": DAY, "expiry_required": True},
        "permission_catalog": {
            "entries": [{"permission": "cats.read", "description": "See the cats"}]
        },
    }
    made = await operators.create("made-with", **given)

    wanted = workspace_pb2.Workspace(**given)
    wanted.policy.key_creation = EVERYONE
    for field in given:
        assert getattr(made, field) == getattr(wanted, field)


async def test_the_first_admin_is_made_with_the_workspace(operators: Operators) -> None:
    reply = await operators.caller.do(
        "CreateWorkspace", workspace={}, workspace_id="led", admin_email="Ann@Led.example"
    )
    token = await operators.bootstrap.admin_key(UserName("led", "ann@led.example"))
    tenant = Tenant("led", operators.service.as_caller(token.reveal()))

    assert reply.admin.email == "Ann@Led.example"
    assert reply.admin.role == "workspaces/led/roles/admin"
    found = await operators.authenticate(token.reveal())
    assert (found.workspace, found.user.name) == ("workspaces/led", reply.admin.name)
    assert list(found.permissions) == ["*"]
    member = await tenant.person("bob")
    assert (await operators.authenticate(member.token)).user.name == "workspaces/led/users/bob"


async def test_without_a_first_admin_there_is_nobody_in_a_workspace(operators: Operators) -> None:
    reply = await operators.caller.do("CreateWorkspace", workspace={}, workspace_id="empty")

    assert not reply.HasField("admin")
    rows = await operators.service.sql(
        "SELECT count(*) FROM keywright.user u JOIN keywright.workspace w ON w.id = u.workspace "
        "WHERE w.workspace_id = 'empty'"
    )
    assert rows[0][0] == 0


async def test_an_id_is_taken_once(operators: Operators) -> None:
    await operators.create("taken")

    for workspace_id in ("taken", "default", "system"):
        error = await refusal(operators.create(workspace_id))
        assert error.code is grpc.StatusCode.ALREADY_EXISTS
        assert (error.reason, error.fields) == ("RESOURCE_ALREADY_EXISTS", ["workspace_id"])


async def test_of_two_who_take_an_id_at_once_one_gets_it(operators: Operators) -> None:
    results = await asyncio.gather(
        *(operators.create("contested", "a@b.example") for _ in range(4)), return_exceptions=True
    )
    refused = [each.reason for each in results if isinstance(each, RefusedError)]
    assert refused == ["RESOURCE_ALREADY_EXISTS"] * 3


async def test_what_cannot_be_a_workspace_is_refused_naming_the_field_and_leaves_nothing(
    operators: Operators,
) -> None:
    policy = "workspace.policy"
    for field, given in (
        ("workspace_id", {"workspace_id": "Upper"}),
        ("workspace_id", {"workspace_id": ""}),
        ("admin_email", {"admin_email": "nobody"}),
        ("workspace.display_name", {"workspace": {"display_name": "x" * 201}}),
        ("workspace.environments[0]", {"workspace": {"environments": ["Live"]}}),
        ("workspace.environments", {"workspace": {"environments": ["live", "live"]}}),
        ("workspace.environments", {"workspace": {"environments": [f"e{n}" for n in range(17)]}}),
        (f"{policy}.max_ttl", {"workspace": {"policy": {"max_ttl": timedelta(seconds=59)}}}),
        (f"{policy}.default_ttl", {"workspace": {"policy": {"default_ttl": timedelta(0)}}}),
        (f"{policy}.rotation_reminder", {"workspace": {"policy": {"rotation_reminder": HOUR}}}),
        (f"{policy}.max_keys_per_user", {"workspace": {"policy": {"max_keys_per_user": -1}}}),
    ):
        request = {"workspace_id": "odd", "workspace": {}, **given}
        error = await refusal(operators.caller.do("CreateWorkspace", **request))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", [field])
    missing = await refusal(operators.caller.do("GetWorkspace", name="workspaces/odd"))
    assert missing.reason == "RESOURCE_NOT_FOUND"


async def test_an_ordinary_admin_makes_ends_and_sees_no_other_workspace(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("ordinary")
    await operators.create("neighbour")

    refused = await refusal(tenant.admin.do("CreateWorkspace", workspace={}, workspace_id="mine"))
    assert refused.reason == "CALLER_PERMISSION_MISSING"
    assert refused.info.metadata["permission"] == "workspaces.manage"
    for method in ("DisableWorkspace", "EnableWorkspace", "DeleteWorkspace"):
        own = await refusal(tenant.admin.do(method, name=tenant.name))
        assert own.reason == "CALLER_PERMISSION_MISSING"
        assert own.info.metadata["permission"] == "workspaces.manage"
        for other in ("workspaces/neighbour", "workspaces/system", "workspaces/nowhere"):
            hidden = await refusal(tenant.admin.do(method, name=other))
            assert hidden.code is grpc.StatusCode.NOT_FOUND
            assert hidden.info.metadata["resource"] == other
    listed = await tenant.admin.do("ListWorkspaces")
    assert [each.name for each in listed.workspaces] == [tenant.name]
    assert await reason(tenant.admin.do("GetWorkspace", name="workspaces/neighbour")) == (
        "RESOURCE_NOT_FOUND"
    )


async def test_everybody_sees_the_own_workspace_whatever_the_key_may_do(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("seen", policy={"max_keys_per_user": 7})
    created = await tenant.create_key(scopes=["labels.read"])
    caller = operators.service.as_caller(created.token)

    found = (await caller.do("GetWorkspace", name=tenant.name)).workspace
    assert found.policy.max_keys_per_user == 7
    assert [each.name for each in (await caller.do("ListWorkspaces")).workspaces] == [tenant.name]


async def test_operators_list_all_by_id_and_pages_put_together_are_the_list(
    operators: Operators,
) -> None:
    for workspace_id in ("page-b", "page-a", "0-page"):
        await operators.create(workspace_id)
    whole = (await operators.caller.do("ListWorkspaces", page_size=1000)).workspaces
    pages: list[workspace_pb2.Workspace] = []
    token = ""
    while True:
        reply = await operators.caller.do("ListWorkspaces", page_size=2, page_token=token)
        assert len(reply.workspaces) <= 2
        pages.extend(reply.workspaces)
        token = reply.next_page_token
        if not token:
            break

    names = [each.name for each in whole]
    assert names == sorted(names)
    assert {"workspaces/system", "workspaces/default", "workspaces/page-a"} <= set(names)
    assert pages == list(whole)


async def test_operators_do_not_see_into_the_workspaces_that_they_made(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("private")

    for method in ("ListKeys", "ListUsers", "ListRoles", "ListGrants"):
        error = await refusal(operators.caller.do(method, parent=tenant.name))
        assert error.reason == "RESOURCE_NOT_FOUND"
    error = await refusal(operators.caller.do("CreateKey", parent=tenant.name))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_an_operator_need_not_be_an_admin_of_the_operators(operators: Operators) -> None:
    system = "workspaces/system"
    permissions = ["workspaces.manage", "auth.authenticate", "auth.authenticateAny"]
    crossing = {"permissions": permissions, "may_hold_keys": True}
    await operators.caller.do("CreateRole", parent=system, role_id="ops", role=crossing)
    user = {"email": "ops@example.com", "role": f"{system}/roles/ops"}
    await operators.caller.do("CreateUser", parent=system, user_id="ops", user=user)
    key = {"user": f"{system}/users/ops"}
    created = await operators.caller.do("CreateKey", parent=system, key=key)
    caller = operators.service.as_caller(created.token)

    await caller.do("CreateWorkspace", workspace={}, workspace_id="by-ops")
    found = await caller.authenticate(operators.service.admin_token)
    assert found.workspace == PARENT
    refused = await refusal(caller.do("ListUsers", parent=system))
    assert refused.reason == "CALLER_PERMISSION_MISSING"


# --- disabling and deleting -------------------------------------------------------------------


async def test_a_disabled_workspace_denies_every_key_until_it_is_enabled(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("paused")
    tokens = [tenant.admin.token, (await tenant.person("eve", "authenticator")).token]
    reply = await operators.caller.do("DisableWorkspace", name=tenant.name)

    assert reply.workspace.state == DISABLED
    for token in tokens:
        error = await refusal(operators.authenticate(token))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert error.reason == "WORKSPACE_DISABLED"
    refused = await refusal(tenant.create_key())
    assert refused.reason == "CALLER_CREDENTIAL_INVALID"
    assert refused.info.metadata["caller_reason"] == "WORKSPACE_DISABLED"

    enabled = await operators.caller.do("EnableWorkspace", name=tenant.name)
    assert enabled.workspace.state == ACTIVE
    for token in tokens:
        await operators.authenticate(token)


async def test_disabling_and_enabling_may_be_repeated(operators: Operators) -> None:
    made = await operators.create("repeated")
    replies = [
        (await operators.caller.do(method, name=made.name)).workspace
        for method in ("EnableWorkspace", "DisableWorkspace", "DisableWorkspace")
    ]

    assert replies[0] == made
    assert replies[1] == replies[2]
    assert replies[1].etag != made.etag


async def test_an_old_etag_changes_disables_enables_and_deletes_nothing(
    operators: Operators,
) -> None:
    made = await operators.create("versioned")
    changed = await update(operators.caller, made.name, etag=made.etag, display_name="new")
    assert changed.etag != made.etag

    for method in ("DisableWorkspace", "EnableWorkspace", "DeleteWorkspace"):
        error = await refusal(operators.caller.do(method, name=made.name, etag=made.etag))
        assert error.code is grpc.StatusCode.ABORTED
        assert error.reason == "ETAG_MISMATCH"
    stale = await refusal(update(operators.caller, made.name, etag=made.etag, display_name="old"))
    assert stale.reason == "ETAG_MISMATCH"
    got = await operators.caller.do("GetWorkspace", name=made.name)
    assert got.workspace == changed
    await operators.caller.do("DisableWorkspace", name=made.name, etag=changed.etag)


async def test_a_workspace_is_deleted_only_when_it_is_disabled(operators: Operators) -> None:
    tenant = await operators.tenant("in-use")
    error = await refusal(operators.caller.do("DeleteWorkspace", name=tenant.name))

    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "STATE_CONFLICT"
    assert error.info.metadata["state"] == "ACTIVE"
    await operators.authenticate(tenant.admin.token)


async def test_with_a_workspace_goes_everything_in_it_but_its_trail_and_its_id_is_not_given_again(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("ended", labels={"plan": "gold"})
    await tenant.admin.do(
        "CreateRole", parent=tenant.name, role_id="own", role={"permissions": ["labels.read"]}
    )
    await tenant.person("flo", "member")
    grant = {
        "user": f"{tenant.name}/users/flo",
        "resource": "projects/a",
        "role": f"{tenant.name}/roles/own",
    }
    await tenant.admin.do("CreateGrant", parent=tenant.name, grant=grant)
    narrowed = await tenant.create_key(role=f"{tenant.name}/roles/own")
    rows = await operators.service.sql(
        "SELECT id FROM keywright.workspace WHERE workspace_id = 'ended'"
    )
    disabled = await operators.caller.do("DisableWorkspace", name=tenant.name)
    reply = await operators.caller.do("DeleteWorkspace", name=tenant.name)

    assert reply.workspace == disabled.workspace
    for token in (tenant.admin.token, narrowed.token):
        assert await reason(operators.authenticate(token)) == "TOKEN_UNKNOWN"
    for method in ("GetWorkspace", "EnableWorkspace", "DisableWorkspace", "DeleteWorkspace"):
        call = operators.caller.do(method, name=tenant.name)
        assert await reason(call) == "RESOURCE_NOT_FOUND"
    listed = await operators.caller.do("ListWorkspaces", page_size=1000)
    assert tenant.name not in [each.name for each in listed.workspaces]
    for table in ("user", "role", "grant", "key"):
        left = await operators.service.sql(
            f"SELECT count(*) FROM keywright.{table} WHERE workspace = $1", rows[0]["id"]
        )
        assert left[0][0] == 0, table
    assert await reason(operators.create("ended")) == "RESOURCE_ALREADY_EXISTS"

    trail = await operators.service.sql(
        "SELECT action, actor FROM keywright.audit_event WHERE workspace_id = 'ended' ORDER BY id"
    )
    actions = [row["action"] for row in trail]
    assert actions[0] == "CreateWorkspace"
    assert actions[-2:] == ["DisableWorkspace", "DeleteWorkspace"]
    assert {"CreateUser", "CreateRole", "CreateGrant", "CreateKey"} <= set(actions)
    assert {trail[0]["actor"], trail[-1]["actor"]} == {"workspaces/system/users/admin"}


async def test_the_operators_own_workspace_stays_and_stays_in_use(operators: Operators) -> None:
    system = "workspaces/system"

    for method in ("DisableWorkspace", "DeleteWorkspace"):
        error = await refusal(operators.caller.do(method, name=system))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "BUILT_IN_IMMUTABLE"
    enabled = await operators.caller.do("EnableWorkspace", name=system)
    assert enabled.workspace.state == ACTIVE
    named = await update(operators.caller, system, display_name="The operators")
    assert named.display_name == "The operators"


# --- updates ----------------------------------------------------------------------------------


async def test_a_workspace_s_own_admin_changes_it_and_so_does_an_operator(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("changed")
    member = await tenant.person("gus")

    own = await tenant.update(display_name="By its admin", policy={"max_ttl": WEEK})
    assert (own.display_name, own.policy.max_ttl.ToTimedelta()) == ("By its admin", WEEK)
    by_operator = await update(operators.caller, tenant.name, labels={"plan": "gold"})
    assert (by_operator.display_name, dict(by_operator.labels)) == (
        "By its admin",
        {"plan": "gold"},
    )
    assert by_operator.policy == own.policy
    refused = await refusal(update(member, tenant.name, display_name="By a member"))
    assert refused.reason == "CALLER_PERMISSION_MISSING"
    assert refused.info.metadata["permission"] == "workspace.manage"
    for other in (PARENT, "workspaces/system", "workspaces/nowhere"):
        assert await reason(update(tenant.admin, other, display_name="x")) == "RESOURCE_NOT_FOUND"


async def test_each_part_of_a_policy_is_kept_and_shown(operators: Operators) -> None:
    tenant = await operators.tenant("kept")
    parts: dict[str, Any] = {
        "max_ttl": WEEK,
        "default_ttl": DAY,
        "expiry_required": True,
        "max_keys_per_user": 5,
        "key_creation": ADMINS,
        "free_binding": True,
        "rotation_reminder": 2 * WEEK,
    }
    given: dict[str, Any] = {}
    for part, value in parts.items():
        given[part] = value
        changed = await tenant.update(f"policy.{part}", policy={part: value})
        assert changed.policy == policy_of(**given)
    assert (await tenant.get()).policy == policy_of(**parts)


async def test_a_mask_changes_one_part_of_a_policy_or_the_whole_or_clears_it(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("masked", policy={"max_ttl": WEEK, "max_keys_per_user": 5})

    one = await tenant.update("policy.max_ttl", policy={"max_ttl": DAY, "max_keys_per_user": 9})
    assert (one.policy.max_ttl.ToTimedelta(), one.policy.max_keys_per_user) == (DAY, 5)
    cleared = await tenant.update("policy.max_ttl")
    assert not cleared.policy.HasField("max_ttl")
    assert cleared.policy.max_keys_per_user == 5
    given = await tenant.update(policy={"free_binding": True})  # no mask: what is not empty
    assert (given.policy.free_binding, given.policy.max_keys_per_user) == (True, 5)
    whole = await tenant.update("policy", policy={"default_ttl": DAY})
    assert whole.policy == policy_of(default_ttl=DAY)
    none = await tenant.update("policy")
    assert not none.HasField("policy")


async def test_a_star_empties_all_that_is_not_given(operators: Operators) -> None:
    tenant = await operators.tenant(
        "starred",
        display_name="Starred",
        labels={"plan": "gold"},
        policy={"max_ttl": WEEK},
        permission_catalog={"entries": [{"permission": "cats.read"}]},
    )
    changed = await tenant.update("*", environments=["live", "prod"])

    assert list(changed.environments) == ["live", "prod"]
    assert (changed.display_name, dict(changed.labels)) == ("", {})
    assert not changed.HasField("policy")
    assert not changed.HasField("permission_catalog")
    error = await refusal(tenant.update("*"))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["workspace.environments"])


async def test_a_mask_of_nothing_or_of_what_cannot_change_is_refused(operators: Operators) -> None:
    tenant = await operators.tenant("fixed")

    for paths in ((), ("name",), ("state",), ("policy.no_such",), ("permission_catalog.entries",)):
        error = await refusal(tenant.update(*paths))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", ["update_mask"])


async def test_a_change_to_what_is_there_already_is_none(operators: Operators) -> None:
    tenant = await operators.tenant("same", policy={"max_ttl": WEEK}, labels={"plan": "gold"})
    before = await tenant.get()
    again = await tenant.update(
        "*", policy={"max_ttl": WEEK}, labels={"plan": "gold"}, environments=["live", "test"]
    )
    assert again == before


async def test_parts_of_a_policy_that_do_not_fit_are_refused_naming_the_part(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("unfit", policy={"max_ttl": DAY})

    for paths, policy in (
        (("policy",), {"max_ttl": DAY, "default_ttl": WEEK}),
        (("policy.default_ttl",), {"default_ttl": WEEK}),  # above the maximum that is there
        (("policy",), {"expiry_required": True, "default_ttl": 26 * WEEK}),  # above 25 weeks
    ):
        error = await refusal(tenant.update(*paths, policy=policy))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", ["workspace.policy.default_ttl"])
    await tenant.update("policy.default_ttl", policy={"default_ttl": DAY})
    lowered = await refusal(tenant.update("policy.max_ttl", policy={"max_ttl": HOUR}))
    assert lowered.fields == ["workspace.policy.default_ttl"]
    assert (await tenant.get()).policy.max_ttl.ToTimedelta() == DAY


# --- the policy is obeyed ---------------------------------------------------------------------


def lives_for(key: key_pb2.Key, lifetime: timedelta) -> bool:
    """To the minute: a lifetime counts from when it was found to fit, not from the first lock."""
    lives = key.expire_time.ToDatetime() - key.create_time.ToDatetime()
    return lifetime <= lives < lifetime + MINUTE


async def test_lifetimes_obey_the_policy(operators: Operators) -> None:
    policy = {"max_ttl": WEEK, "default_ttl": DAY, "expiry_required": True}
    tenant = await operators.tenant("lifetimes", policy=policy)

    assert lives_for((await tenant.create_key()).key, DAY)
    assert lives_for((await tenant.create_key(ttl=WEEK)).key, WEEK)
    longer = await refusal(tenant.create_key(ttl=WEEK + timedelta(seconds=1)))
    assert (longer.reason, longer.fields) == ("POLICY_LIFETIME_TOO_LONG", ["ttl"])
    assert "1 week" in longer.message
    never = await refusal(tenant.create_key(never_expires=True))
    assert (never.reason, never.fields) == ("POLICY_EXPIRY_REQUIRED", ["never_expires"])

    await tenant.update("policy.expiry_required", "policy.default_ttl")
    assert not (await tenant.create_key()).key.HasField("expire_time")


async def test_who_may_create_keys_obeys_the_policy(operators: Operators) -> None:
    tenant = await operators.tenant("creators", policy={"key_creation": ADMINS})
    member = await tenant.person("hal")

    error = await refusal(tenant.create_key(member))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "POLICY_CREATION_NOT_ALLOWED"
    await tenant.create_key(user=f"{tenant.name}/users/hal")
    await operators.authenticate(member.token)  # what there is stays
    await tenant.update("policy.key_creation", policy={"key_creation": EVERYONE})
    await tenant.create_key(member)


async def test_binding_obeys_the_policy(operators: Operators) -> None:
    tenant = await operators.tenant("bindings")
    member = await tenant.person("ida")

    error = await refusal(tenant.create_key(member, resource="projects/a"))
    assert error.info.metadata["permission"] == "keys.bound"
    await tenant.update(policy={"free_binding": True})
    created = await tenant.create_key(member, resource="projects/a")
    await operators.authenticate(created.token, resource="projects/a/1")


async def test_a_user_has_no_more_keys_that_stand_than_the_policy_allows(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("limited")
    member = await tenant.person("jon")
    await tenant.update(policy={"max_keys_per_user": 3})
    second = (await tenant.create_key(member)).key
    await tenant.create_key(member)

    for caller, given in ((member, {}), (tenant.admin, {"user": f"{tenant.name}/users/jon"})):
        error = await refusal(tenant.create_key(caller, **given))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "POLICY_KEY_LIMIT_REACHED"
        assert error.info.metadata["limit"] == "3"
    await tenant.admin.do("DisableKey", name=second.name)
    assert await reason(tenant.create_key(member)) == "POLICY_KEY_LIMIT_REACHED"
    await tenant.admin.do("RevokeKey", name=second.name)
    await tenant.create_key(member)
    await tenant.update("policy.max_keys_per_user", policy={"max_keys_per_user": 1})
    assert await reason(tenant.create_key(member)) == "POLICY_KEY_LIMIT_REACHED"
    await operators.authenticate(member.token)  # what there is stays
    await tenant.update("policy.max_keys_per_user")
    await tenant.create_key(member)


async def keys_at_once_under_a_limit(operators: Operators) -> None:
    """Twenty creations at once, where there may be five keys: each would count the same keys."""
    tenant = await operators.tenant("at-once")
    await tenant.person("kim", "member")
    owner = f"{tenant.name}/users/kim"
    (first,) = (await tenant.admin.do("ListKeys", parent=tenant.name, filter={"user": owner})).keys
    await tenant.admin.do("DeleteKey", name=first.name)
    await tenant.update(policy={"max_keys_per_user": 5})
    # More than there may be come to insert, or to a lock that one of them holds.
    async with held_up(operators.service, "LOCK TABLE keywright.key_secret IN SHARE MODE", calls=6):
        calls = [asyncio.create_task(tenant.create_key(user=owner)) for _ in range(20)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each.reason for each in results if isinstance(each, RefusedError)]

    assert refused == ["POLICY_KEY_LIMIT_REACHED"] * 15
    listed = await tenant.admin.do("ListKeys", parent=tenant.name, filter={"user": owner})
    assert len(listed.keys) == 5


async def test_of_twenty_keys_made_at_once_as_many_stand_as_the_policy_allows(
    operators: Operators,
) -> None:
    await keys_at_once_under_a_limit(operators)


async def seen_when_told(
    service: Service,
    held: str,
    slow: Awaitable[Any],
    narrowing: Awaitable[Any],
    look: Callable[[], Awaitable[Any]],
) -> tuple[Any, Any]:
    """What `look` shows once `narrowing` has returned, and once `slow` has, which began before.

    They are of different callers: two of the same one would wait for each other anyway.
    `held` is a statement that keeps `slow` from writing, after its checks. If what came to be by
    `slow` is only there later, then something came to be by what had been taken away.
    """
    async with held_up(service, held, calls=1):
        writing = asyncio.ensure_future(slow)
        await blocked(service, 1)
        telling = asyncio.ensure_future(narrowing)
        waiting = asyncio.create_task(blocked(service, 2))
        await asyncio.wait({telling, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        early = telling.done()
        seen = await look() if early else None
    await telling
    if not early:
        seen = await look()
    await asyncio.wait({writing})
    return seen, await look()


async def a_policy_that_is_tightened_while_a_key_is_made(operators: Operators) -> None:
    """What comes into being after the change has returned obeys the new policy."""
    tenant = await operators.tenant("tightened")
    seen, later = await seen_when_told(
        operators.service,
        "LOCK TABLE keywright.key_secret IN SHARE MODE",
        slow=tenant.create_key(ttl=WEEK, display_name="long-lived"),
        narrowing=update(operators.caller, tenant.name, policy={"max_ttl": HOUR}),
        look=tenant.lifetimes,
    )
    assert later == seen


async def test_a_tightened_policy_counts_for_all_that_is_created_once_it_is_told(
    operators: Operators,
) -> None:
    await a_policy_that_is_tightened_while_a_key_is_made(operators)


async def a_policy_that_is_tightened_while_a_key_is_changed(operators: Operators) -> None:
    """The key gets a role, too, which the test keeps from being referred to."""
    tenant = await operators.tenant("tightened-too")
    created = (await tenant.create_key(ttl=HOUR)).key
    longer = Timestamp(seconds=created.expire_time.seconds + 1_000_000)
    key = {"name": created.name, "role": f"{tenant.name}/roles/labeler", "expire_time": longer}
    seen, later = await seen_when_told(
        operators.service,
        "SELECT FROM keywright.role WHERE role_id = 'labeler' FOR UPDATE",
        slow=tenant.admin.do("UpdateKey", key=key),
        narrowing=update(operators.caller, tenant.name, policy={"max_ttl": HOUR}),
        look=tenant.lifetimes,
    )
    assert later == seen


async def test_a_tightened_policy_counts_for_all_that_is_changed_once_it_is_told(
    operators: Operators,
) -> None:
    await a_policy_that_is_tightened_while_a_key_is_changed(operators)


# --- environments -----------------------------------------------------------------------------


async def test_keys_are_of_the_environments_that_there_are_the_first_by_default(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("places", environments=["live", "dev"])

    usual = await tenant.create_key()
    assert usual.key.environment == "live"
    assert usual.token.startswith("kw_live_")
    other = await refusal(tenant.create_key(environment="test"))
    assert (other.reason, other.fields) == ("FIELD_INVALID", ["key.environment"])
    await tenant.update(environments=["test", "live", "dev"])
    first = await tenant.create_key()
    assert first.key.environment == "test"
    assert first.token.startswith("kw_test_")
    assert (await operators.authenticate(usual.token)).environment == "live"


async def test_an_environment_that_keys_are_of_stays(operators: Operators) -> None:
    tenant = await operators.tenant("places-used", environments=["live", "dev", "idle"])
    created = await tenant.create_key(environment="dev")

    error = await refusal(tenant.update(environments=["live"]))
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "RESOURCE_IN_USE"
    assert error.info.metadata["used_by"]
    assert "dev" in error.message
    assert list((await tenant.get()).environments) == ["live", "dev", "idle"]
    fewer = await tenant.update(environments=["live", "dev"])
    assert list(fewer.environments) == ["live", "dev"]
    await tenant.admin.do("RevokeKey", name=created.key.name)
    assert list((await tenant.update(environments=["live"])).environments) == ["live"]


# --- the permission catalogue -----------------------------------------------------------------

CATALOG = {
    "entries": [
        {"permission": "cats.read", "description": "See the cats"},
        {"permission": "cats.feed.wet"},
    ]
}


async def a_catalogue_that_is_kept(operators: Operators) -> None:
    """What stands for nothing in the catalogue is refused by name, in scopes and in roles."""
    tenant = await operators.tenant("closed", permission_catalog=CATALOG)

    for unknown in ("cats.raed", "cats", "dogs.*", "cats.feed.dry", "keys.owned"):
        scope = await refusal(tenant.create_key(scopes=["cats.read", unknown]))
        assert scope.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (scope.reason, scope.fields) == ("PERMISSION_UNKNOWN", ["key.scopes[1]"])
        assert scope.info.metadata["permission"] == unknown
        given = {"permissions": ["cats.read", unknown]}
        made = await refusal(
            tenant.admin.do("CreateRole", parent=tenant.name, role_id="unknown", role=given)
        )
        assert made.reason == "PERMISSION_UNKNOWN"
        assert made.info.metadata["permission"] == unknown


async def test_a_scope_or_permission_that_stands_for_nothing_is_refused_by_name(
    operators: Operators,
) -> None:
    await a_catalogue_that_is_kept(operators)


async def test_what_stands_for_something_in_the_catalogue_is_taken(operators: Operators) -> None:
    tenant = await operators.tenant("patterns", permission_catalog=CATALOG)

    for known in (
        "*",
        "cats.*",
        "cats.feed.*",
        "cats.feed.wet",
        "keys.own",
        "keys.*",
        "audit.read",
    ):
        created = await tenant.create_key(scopes=[known])
        assert list(created.key.scopes) == [known]
    role = {"permissions": ["cats.feed.*", "users.read"]}
    await tenant.admin.do("CreateRole", parent=tenant.name, role_id="feeder", role=role)
    name = f"{tenant.name}/roles/feeder"
    wrong = {"name": name, "permissions": ["cats.feed.*", "cats.pet"]}
    error = await refusal(tenant.admin.do("UpdateRole", role=wrong))
    assert error.reason == "PERMISSION_UNKNOWN"
    assert error.info.metadata["permission"] == "cats.pet"


async def test_a_catalogue_is_shown_changed_and_removed_again(operators: Operators) -> None:
    tenant = await operators.tenant("opened")
    before = await tenant.create_key(scopes=["dogs.walk"])

    kept = await tenant.update(permission_catalog=CATALOG)
    assert {each.permission: each.description for each in kept.permission_catalog.entries} == {
        "cats.read": "See the cats",
        "cats.feed.wet": "",
    }
    await operators.authenticate(before.token, required_permissions=["dogs.walk"])
    assert await reason(tenant.create_key(scopes=["dogs.walk"])) == "PERMISSION_UNKNOWN"
    nothing = await tenant.update("permission_catalog", permission_catalog={"entries": []})
    assert nothing.HasField("permission_catalog")
    assert await reason(tenant.create_key(scopes=["cats.read"])) == "PERMISSION_UNKNOWN"
    await tenant.create_key(scopes=["keys.own"])
    free = await tenant.update("permission_catalog")
    assert not free.HasField("permission_catalog")
    await tenant.create_key(scopes=["dogs.walk"])


async def test_what_cannot_be_a_catalogue_is_refused_naming_the_entry(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("catalogues")
    path = "workspace.permission_catalog.entries"

    for field, entries in (
        (f"{path}[0].permission", [{"permission": "cats.*"}]),
        (f"{path}[1].permission", [{"permission": "cats.read"}, {"permission": ""}]),
        (f"{path}[1].permission", [{"permission": "cats.read"}, {"permission": "cats.read"}]),
        (f"{path}[0].description", [{"permission": "cats.read", "description": "x" * 1001}]),
        (path, [{"permission": f"cats.n{number}"} for number in range(1001)]),
    ):
        error = await refusal(tenant.update(permission_catalog={"entries": entries}))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", [field])


async def test_two_changes_at_once_both_count(operators: Operators) -> None:
    tenant = await operators.tenant("both")
    await asyncio.gather(
        tenant.update(display_name="named"),
        tenant.update(policy={"max_ttl": WEEK}),
        tenant.update(policy={"max_keys_per_user": 4}),
        update(operators.caller, tenant.name, labels={"plan": "gold"}),
    )
    found = await tenant.get()

    assert (found.display_name, dict(found.labels)) == ("named", {"plan": "gold"})
    assert found.policy == policy_of(max_ttl=WEEK, max_keys_per_user=4)


async def test_a_key_of_a_token_made_on_the_server_is_of_one_of_the_environments(
    operators: Operators,
) -> None:
    tenant = await operators.tenant("relocated", environments=["prod"])
    (key,) = (await tenant.admin.do("ListKeys", parent=tenant.name)).keys

    assert key.state == key_pb2.KEY_STATE_ACTIVE
    assert key.environment in (await tenant.get()).environments

"""Why a key or a user may do something or not: as `Authenticate` decides, rule by rule."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from keywright.domain.steps import Rule, Verdict
from keywright.v1 import auth_service_pb2 as pb
from keywright.v1 import error_reason_pb2
from tests.security.contract import new_id, new_session
from tests.security.operated import OPERATORS, Operated, operated
from tests.support.database import Cluster
from tests.support.service import PARENT, Caller, RefusedError, Service, refusal, service

READ = "datasets.read"
WRITE = "datasets.write"
HERE = "projects/a"


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Operated]:
    async with service(await cluster.migrated()) as running:
        yield await operated(running)


def rule(step: pb.AccessStep) -> str:
    return pb.AccessRule.Name(step.rule).removeprefix("ACCESS_RULE_")


def verdict(step: pb.AccessStep) -> str:
    return pb.AccessVerdict.Name(step.verdict).removeprefix("ACCESS_VERDICT_")


def reason(of: Any) -> str:
    return error_reason_pb2.ErrorReason.Name(of.reason).removeprefix("ERROR_REASON_")


def decisive(told: pb.ExplainAccessResponse) -> str:
    """The rule that denies, with its reason."""
    for step in told.steps:
        if verdict(step) == "DENIES":
            return f"{rule(step)}: {reason(step)}"
    return "allowed"


def of_rule(told: pb.ExplainAccessResponse, name: str) -> Any:
    (step,) = [each for each in told.steps if rule(each) == name]
    return step


@dataclass
class Case:
    """A user and its key, what is asked, and which rule decides. `after` happens to the key."""

    decides: str
    key: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    role: str = "collaborator"
    grants: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    expired: bool = False


NETWORKS: dict[str, Any] = {"allowed_networks": ["192.0.2.0/24", "2001:db8::/32"]}
CASES = {
    "nothing is asked": Case("allowed"),
    "the user's role gives it": Case("allowed", asked={"permission": READ}),
    "nobody gives it": Case("USER_ROLE: PERMISSION_MISSING", asked={"permission": WRITE}),
    "a grant gives it there": Case(
        "allowed",
        grants=((HERE, "editor"),),
        asked={"permission": WRITE, "resource": f"{HERE}/tasks/1"},
    ),
    "a grant gives it elsewhere": Case(
        "USER_ROLE: PERMISSION_MISSING",
        grants=((HERE, "editor"),),
        asked={"permission": WRITE, "resource": "projects/ab"},
    ),
    "a grant counts on resources only": Case(
        "USER_ROLE: PERMISSION_MISSING", grants=((HERE, "editor"),), asked={"permission": WRITE}
    ),
    "the key's role takes away what a grant gives": Case(
        "KEY_ROLE: PERMISSION_MISSING",
        key={"role": f"{PARENT}/roles/viewer"},
        grants=((HERE, "editor"),),
        asked={"permission": WRITE, "resource": HERE},
    ),
    "the key's role leaves it": Case(
        "allowed", key={"role": f"{PARENT}/roles/viewer"}, asked={"permission": READ}
    ),
    "the scopes take it away": Case(
        "KEY_SCOPES: PERMISSION_MISSING",
        key={"scopes": ["labels.*", "projects.read"]},
        asked={"permission": READ},
    ),
    "the scopes leave it": Case("allowed", key={"scopes": [READ]}, asked={"permission": READ}),
    "the resource is another": Case(
        "KEY_RESOURCE: RESOURCE_MISMATCH",
        key={"resource": HERE},
        asked={"permission": READ, "resource": "projects/b"},
    ),
    "the resource is not said": Case("KEY_RESOURCE: RESOURCE_REQUIRED", key={"resource": HERE}),
    "the resource is the key's": Case(
        "allowed", key={"resource": HERE}, asked={"permission": READ, "resource": f"{HERE}/x"}
    ),
    "the environment is another": Case(
        "ENVIRONMENT: ENVIRONMENT_MISMATCH", asked={"required_environment": "test"}
    ),
    "the environment is the key's": Case("allowed", asked={"required_environment": "live"}),
    "the address is outside of the networks": Case(
        "NETWORK: ADDRESS_NOT_ALLOWED", key=NETWORKS, asked={"client_address": "203.0.113.1"}
    ),
    "the address is not said": Case("NETWORK: ADDRESS_REQUIRED", key=NETWORKS),
    "the address is in the networks": Case(
        "allowed", key=NETWORKS, asked={"client_address": "::ffff:192.0.2.7"}
    ),
    "the key has expired": Case("EXPIRY: KEY_EXPIRED", expired=True),
    "the key has expired while it was disabled": Case(
        "EXPIRY: KEY_EXPIRED", expired=True, after=("DisableKey",)
    ),
    "the key is disabled": Case("CREDENTIAL_STATE: KEY_DISABLED", after=("DisableKey",)),
    "the key is revoked": Case("CREDENTIAL_STATE: KEY_REVOKED", after=("RevokeKey",)),
    "the key was revoked and would have expired": Case(
        "CREDENTIAL_STATE: KEY_REVOKED", expired=True, after=("RevokeKey",)
    ),
    "the user is disabled": Case("USER_STATE: USER_DISABLED", after=("DisableUser",)),
    "the user became a guest": Case("KEY_HOLDING: KEYS_NOT_ALLOWED", after=("guest",)),
    "what crosses workspaces, of an admin": Case(
        "USER_ROLE: PERMISSION_MISSING", role="admin", asked={"permission": "workspaces.manage"}
    ),
    "everything else, of an admin": Case(
        "allowed", role="admin", asked={"permission": "workspace.manage"}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_an_explanation_says_what_authenticate_says_and_which_rule_it_is(
    service: Operated, case: Case
) -> None:
    admin = service.admin
    user = await admin.create_user(new_id("u"), case.role)
    for resource, role in case.grants:
        await grant(admin, user.name, resource, role)
    created = await admin.create_key(user=user.name, **case.key)
    if case.expired:
        await service.sql(
            "UPDATE keywright.key SET expire_time = now() - interval '1 hour' WHERE key_id = $1",
            created.key.name.rpartition("/")[2],
        )
    for what in case.after:
        await befall(admin, what, user.name, created.key.name)

    told = await admin.do("ExplainAccess", name=created.key.name, **case.asked)

    assert decisive(told) == case.decides
    assert told.allowed == (case.decides == "allowed")
    assert told.allowed == (not told.HasField("denial"))
    await assert_authenticate_agrees(admin, created.token, case.asked, told)


async def befall(admin: Caller, what: str, user: str, key: str) -> None:
    match what:
        case "DisableUser":
            await admin.disable_user(user)
        case "guest":
            await admin.do("UpdateUser", user={"name": user, "role": f"{PARENT}/roles/guest"})
        case method:
            await admin.do(method, name=key)


async def grant(admin: Caller, user: str, resource: str, role: str) -> str:
    wanted = {"user": user, "resource": resource, "role": f"{PARENT}/roles/{role}"}
    return str((await admin.do("CreateGrant", parent=PARENT, grant=wanted)).grant.name)


async def assert_authenticate_agrees(
    caller: Caller, token: str, asked: dict[str, str], told: pb.ExplainAccessResponse
) -> None:
    """The same answer, and the same `Denial`."""
    request = {name: value for name, value in asked.items() if name != "permission"}
    required = [asked["permission"]] if "permission" in asked else []
    presented = caller.authenticate(token, required_permissions=required, **request)
    if told.allowed:
        assert (await presented).revision == told.revision
    else:
        assert (await refusal(presented)).denial == told.denial


async def test_each_rule_is_told_with_what_it_is_about_and_what_it_looked_at(
    service: Operated,
) -> None:
    admin = service.admin
    user = (await admin.create_user(new_id("u"), "collaborator")).name
    editor = await grant(admin, user, HERE, "editor")
    viewer = await grant(admin, user, f"{HERE}/x", "viewer")
    await grant(admin, user, "projects/b", "manager")
    narrowed: dict[str, Any] = {
        "role": f"{PARENT}/roles/editor",
        "scopes": ["datasets.*"],
        "resource": HERE,
        **NETWORKS,
    }
    key = (await admin.create_key(user=user, **narrowed)).key
    asked = {"permission": WRITE, "resource": f"{HERE}/x", "client_address": "192.0.2.7"}
    told = await admin.do("ExplainAccess", name=key.name, required_environment="live", **asked)

    assert told.allowed
    collaborator = f"{PARENT}/roles/collaborator"
    assert [(rule(each), verdict(each), each.subject) for each in told.steps] == [
        ("CREDENTIAL_STATE", "ALLOWS", key.name),
        ("EXPIRY", "ALLOWS", key.name),
        ("WORKSPACE_STATE", "ALLOWS", PARENT),
        ("USER_STATE", "ALLOWS", user),
        ("KEY_HOLDING", "ALLOWS", collaborator),
        ("ENVIRONMENT", "ALLOWS", key.name),
        ("NETWORK", "ALLOWS", key.name),
        ("KEY_RESOURCE", "ALLOWS", key.name),
        ("USER_ROLE", "NEUTRAL", collaborator),
        ("GRANT", "ALLOWS", editor),
        ("GRANT", "NEUTRAL", viewer),
        ("KEY_ROLE", "ALLOWS", f"{PARENT}/roles/editor"),
        ("KEY_SCOPES", "ALLOWS", key.name),
    ]
    assert list(of_rule(told, "NETWORK").values) == NETWORKS["allowed_networks"]
    assert list(of_rule(told, "KEY_RESOURCE").values) == [HERE]
    assert list(of_rule(told, "KEY_SCOPES").values) == ["datasets.*"]
    assert WRITE in of_rule(told, "KEY_ROLE").values
    assert list(of_rule(told, "USER_ROLE").values) == sorted(
        ["keys.own", "labels.*", "projects.read", READ]
    )
    assert all(each.message for each in told.steps)


async def test_all_that_stands_in_the_way_is_told_at_once(service: Operated) -> None:
    admin = service.admin
    user = (await admin.create_user(new_id("u"), "collaborator")).name
    key = (await admin.create_key(user=user, resource=HERE, scopes=[READ], **NETWORKS)).key
    await admin.do("DisableKey", name=key.name)
    told = await admin.do(
        "ExplainAccess", name=key.name, permission=WRITE, required_environment="test"
    )
    assert [rule(each) for each in told.steps if verdict(each) == "DENIES"] == [
        *("CREDENTIAL_STATE", "ENVIRONMENT", "NETWORK", "KEY_RESOURCE", "USER_ROLE", "KEY_SCOPES")
    ]
    assert reason(told.denial) == "KEY_DISABLED"
    assert reason(of_rule(told, "NETWORK")) == "ADDRESS_REQUIRED"


async def test_where_grants_would_give_a_permission_is_told_to_whom_it_is_denied(
    service: Operated,
) -> None:
    user = (await service.admin.create_user(new_id("u"), "collaborator")).name
    for resource in ("projects/z", HERE):
        await grant(service.admin, user, resource, "editor")
    await grant(service.admin, user, "projects/v", "viewer")
    told = await service.admin.do("ExplainAccess", name=user, permission=WRITE)
    elsewhere = of_rule(told, "GRANT")
    assert (verdict(elsewhere), elsewhere.subject) == ("NEUTRAL", "")
    assert list(elsewhere.values) == [HERE, "projects/z"]


async def test_a_rotated_key_is_explained_by_its_newest_token(service: Operated) -> None:
    key = (await service.admin.create_key()).key
    await service.admin.do("RotateKey", name=key.name)
    told = await service.admin.do("ExplainAccess", name=key.name)
    assert told.allowed
    assert len([each for each in told.steps if rule(each) == "EXPIRY"]) == 1


async def test_a_key_whose_user_was_deleted_is_denied_for_that(service: Operated) -> None:
    admin = service.admin
    user = (await admin.create_user(new_id("u"))).name
    created = await admin.create_key(user=user)
    await admin.do("DeleteUser", name=user, force=True)
    told = await admin.do("ExplainAccess", name=created.key.name, permission=READ)
    (step,) = told.steps
    assert (rule(step), reason(step), step.subject) == ("USER_STATE", "TOKEN_UNKNOWN", user)
    error = await refusal(admin.authenticate(created.token))
    assert error.reason == "TOKEN_UNKNOWN" == reason(told.denial)
    member = await service.person(new_id("m"))
    assert_hidden(await refusal(member.do("ExplainAccess", name=created.key.name)))


# --- users ----------------------------------------------------------------------------------------


async def test_a_user_is_explained_by_role_and_grants_alone_and_named_by_e_mail(
    service: Operated,
) -> None:
    user_id = new_id("u")
    user = (await service.admin.create_user(user_id, "guest")).name
    given = await grant(service.admin, user, HERE, "editor")
    name = f"{PARENT}/users/{user_id.upper()}@example.com"
    told = await service.admin.do("ExplainAccess", name=name, permission=WRITE, resource=HERE)
    assert told.allowed, "a guest may hold no keys, and is allowed what grants give all the same"
    assert [(rule(each), verdict(each), each.subject) for each in told.steps] == [
        ("WORKSPACE_STATE", "ALLOWS", PARENT),
        ("USER_STATE", "ALLOWS", user),
        ("USER_ROLE", "NEUTRAL", f"{PARENT}/roles/guest"),
        ("GRANT", "ALLOWS", given),
    ]
    await service.admin.disable_user(user)
    told = await service.admin.do("ExplainAccess", name=name, permission=WRITE, resource=HERE)
    assert decisive(told) == "USER_STATE: USER_DISABLED"
    assert reason(told.denial) == "USER_DISABLED"


async def test_a_service_user_of_a_resource_has_no_role_to_speak_of(service: Operated) -> None:
    user = {"kind": "USER_KIND_SERVICE", "resource": HERE}
    made = await service.admin.do("CreateUser", parent=PARENT, user_id=new_id("s"), user=user)
    await grant(service.admin, made.user.name, HERE, "viewer")
    key = (await service.admin.create_key(user=made.user.name, resource=HERE)).key
    for name in (made.user.name, key.name):
        told = await service.admin.do("ExplainAccess", name=name, permission=READ, resource=HERE)
        assert told.allowed
        role = of_rule(told, "USER_ROLE")
        assert (verdict(role), role.subject, list(role.values)) == ("NEUTRAL", "", [])


async def test_only_operators_have_what_crosses_workspaces(service: Operated) -> None:
    for caller, name, allowed in (
        (service.operator, f"{OPERATORS}/users/admin", True),
        (service.admin, f"{PARENT}/users/admin", False),
    ):
        for permission in ("workspaces.manage", "auth.authenticateAny"):
            told = await caller.do("ExplainAccess", name=name, permission=permission)
            assert told.allowed is allowed, (name, permission)
            role = of_rule(told, "USER_ROLE")
            assert ("crosses workspaces" in role.message) is not allowed


async def test_a_disabled_workspace_denies_all_its_keys(service: Operated) -> None:
    """Nobody in it can ask: an operator sees nothing of its keys."""
    told = await service.admin.do("ExplainAccess", name=f"{PARENT}/users/admin")
    assert verdict(of_rule(told, "WORKSPACE_STATE")) == "ALLOWS"
    await service.operator.do("DisableWorkspace", name=PARENT)
    try:
        error = await refusal(service.admin.do("ExplainAccess", name=f"{PARENT}/users/admin"))
    finally:
        await service.operator.do("EnableWorkspace", name=PARENT)
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.info.metadata["caller_reason"] == "WORKSPACE_DISABLED"


# --- who may ask ----------------------------------------------------------------------------------


def assert_hidden(error: RefusedError) -> None:
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_another_workspace_s_keys_and_users_are_as_if_they_were_not(
    service: Operated,
) -> None:
    foreign = (await service.operator.do("CreateKey", parent=OPERATORS, key={})).key.name
    own = (await service.admin.create_key()).key.name
    for caller, name in (
        (service.admin, foreign),
        (service.admin, f"{OPERATORS}/users/admin"),
        (service.operator, own),
        (service.operator, f"{PARENT}/users/admin"),
    ):
        there = await refusal(caller.do("ExplainAccess", name=name))
        missing = await refusal(caller.do("ExplainAccess", name=f"{name}-not"))
        assert_hidden(there)
        assert there.message.replace(name, "") == missing.message.replace(f"{name}-not", "")


async def test_who_sees_a_key_but_not_its_user_s_grants_is_told_nothing(service: Operated) -> None:
    """Each of `keys.any` and `users.read` alone is too little."""
    admin = service.admin
    key = (await admin.create_key()).key.name
    answers = {}
    for permissions in (["keys.any"], ["users.read", "keys.own"], ["keys.any", "users.read"]):
        role = {"permissions": permissions, "may_hold_keys": True}
        role_id = new_id("role")
        await admin.do("CreateRole", parent=PARENT, role_id=role_id, role=role)
        caller = await service.person(new_id("u"), role_id)
        for name in (key, f"{PARENT}/users/admin"):
            try:
                told = (await caller.do("ExplainAccess", name=name)).allowed
            except RefusedError as refused:
                assert_hidden(refused)
                told = False
            answers[",".join(permissions), name] = told
    assert [name for name, told in answers.items() if told] == [
        ("keys.any,users.read", key),
        ("keys.any,users.read", f"{PARENT}/users/admin"),
    ]


async def test_a_key_that_may_do_nothing_may_ask_about_itself_and_no_other(
    service: Operated,
) -> None:
    user = (await service.admin.create_user(new_id("u"))).name
    narrow = await service.admin.create_key(user=user, scopes=[READ], resource=HERE)
    other = (await service.admin.create_key(user=user)).key.name
    caller = service.as_caller(narrow.token)
    asked = {"permission": WRITE, "resource": HERE}
    told = await caller.do("ExplainAccess", name=narrow.key.name, **asked)
    assert decisive(told) == "KEY_SCOPES: PERMISSION_MISSING"
    assert (await caller.do("ExplainAccess", name=user, **asked)).allowed
    assert_hidden(await refusal(caller.do("ExplainAccess", name=other, **asked)))


async def test_a_stranger_is_explained_nothing_also_where_anybody_may_authenticate(
    database: str,
) -> None:
    async with service(database, authenticate_callers="any") as open_to_all:
        stranger = open_to_all.as_caller(None)
        assert (await stranger.authenticate(open_to_all.admin_token)).user.name
        name = f"{PARENT}/users/admin"
        error = await refusal(stranger.do("ExplainAccess", name=name))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "CALLER_CREDENTIAL_MISSING"
        assert (await open_to_all.admin.do("ExplainAccess", name=name)).allowed


# --- bad input ------------------------------------------------------------------------------------

BAD_NAMES = [
    *("", "default", "keys/k", PARENT, f"{PARENT}/keys", f"{PARENT}/keys/", f"{PARENT}/keys/K"),
    *(f"{PARENT}/keys/a@b.example", f"{PARENT}/users/a b", f"{PARENT}/roles/admin"),
    *(f"{PARENT}/grants/g", f"{PARENT}/keys/k/more", f"{PARENT}/sessions/S", "x" * 10_000),
    *(f"{PARENT}/users/u/sshKeys/", "workspaces/W/sessions/s", f"{PARENT}/users/u/keys/k"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_what_can_be_no_name_of_a_key_or_user_is_said_to_be_none(
    service: Service, name: str
) -> None:
    error = await refusal(service.admin.do("ExplainAccess", name=name))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields == ["name"]
    assert "workspaces/{workspace}/" in error.message


@pytest.mark.parametrize(
    "last", ["keys/none", "users/none", "users/no@b.example", "sessions/s", "users/u/sshKeys/k"]
)
async def test_what_is_not_there_is_not_found(service: Service, last: str) -> None:
    """SSH keys are not there yet."""
    error = await refusal(service.admin.do("ExplainAccess", name=f"{PARENT}/{last}"))
    assert_hidden(error)
    assert error.info.metadata["resource"] == f"{PARENT}/{last}"


BAD_FIELDS = [
    ("permission", "datasets.*"),
    ("permission", "*"),
    ("permission", "datasets..read"),
    ("permission", "x" * 200),
    ("permission", "datasets.read "),
    ("resource", "/projects"),
    ("resource", "projects//a"),
    ("resource", "p\0"),
    ("resource", "p" * 600),
    ("required_environment", "LIVE"),
    ("required_environment", "e" * 100),
    ("client_address", "localhost"),
    ("client_address", "192.0.2.0/24"),
    ("client_address", "fe80::1%eth0"),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
async def test_what_cannot_be_asked_names_its_field(
    service: Service, name: str, value: str
) -> None:
    key = f"{PARENT}/keys/whatever"
    error = await refusal(service.admin.do("ExplainAccess", name=key, **{name: value}))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields == [name]


async def test_a_session_is_explained_by_its_state_its_end_and_its_user(service: Operated) -> None:
    user = (await service.admin.create_user("signed-in", "guest")).name
    shown = await new_session(service, service.admin, user)
    me = service.as_caller(shown.token)
    asked = {"name": shown.session.name, "permission": "datasets.read"}
    why = await me.do("ExplainAccess", **asked)
    assert why.denial.reason == error_reason_pb2.ERROR_REASON_PERMISSION_MISSING
    rules = [pb.AccessRule.Name(each.rule).removeprefix("ACCESS_RULE_") for each in why.steps]
    assert rules == ["CREDENTIAL_STATE", "EXPIRY", "WORKSPACE_STATE", "USER_STATE", "USER_ROLE"]
    await service.admin.do("UpdateUser", user={"name": user, "role": f"{PARENT}/roles/member"})
    assert (await me.do("ExplainAccess", **asked)).allowed
    await service.admin.do("RevokeSession", name=shown.session.name)
    why = await service.admin.do("ExplainAccess", **asked)
    assert why.denial.reason == error_reason_pb2.ERROR_REASON_SESSION_REVOKED
    assert why.steps[0].verdict == pb.ACCESS_VERDICT_DENIES
    other = await service.person("onlooker")
    assert_hidden(await refusal(other.do("ExplainAccess", **asked)))
    error = await refusal(service.admin.do("ExplainAccess", **asked, client_address="192.0.2.7"))
    assert error.fields == ["client_address"]


@pytest.mark.parametrize(
    ("name", "value"), [("required_environment", "live"), ("client_address", "192.0.2.7")]
)
async def test_what_limits_keys_is_not_passed_over_for_a_user(
    service: Service, name: str, value: str
) -> None:
    user = f"{PARENT}/users/admin"
    error = await refusal(service.admin.do("ExplainAccess", name=user, **{name: value}))
    assert error.fields == [name]


async def test_explaining_leaves_no_use_of_the_key_behind(service: Operated) -> None:
    key = (await service.admin.create_key()).key
    await service.admin.do("ExplainAccess", name=key.name)
    assert not (await service.admin.get_key(key.name)).HasField("last_used_time")


def test_the_contract_has_the_rules_and_verdicts_of_the_domain() -> None:
    for told, kind in ((pb.AccessRule, Rule), (pb.AccessVerdict, Verdict)):
        unspecified, *names = told.DESCRIPTOR.values_by_name
        prefix = unspecified.removesuffix("UNSPECIFIED")
        assert [name.removeprefix(prefix) for name in names] == list(kind)

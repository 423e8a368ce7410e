"""What is of another workspace is answered for as what does not exist (promise G8)."""

import re
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from keywright.service.call import Call
from keywright.v1 import auth_service_pb2
from tests.security.contract import (
    Place,
    good_request,
    named_places,
    new_role,
    new_session,
    new_workspace,
)
from tests.security.leaks import essence
from tests.security.operated import OPERATORS, Operated, operated
from tests.security.patched import in_process
from tests.support.database import Cluster
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, first_admin, refusal
from tests.support.service import service as running
from tests.support.waiting import sealed

OTHER = "workspaces/other"
GONE = "workspaces/gone"

# In the other workspace, which has something of every kind: what exists there, and what does not.
EXISTING = {
    "Workspace": [OTHER, OPERATORS, "workspaces/asleep"],
    "User": [
        *(f"{OTHER}/users/{each}" for each in ("admin", "ann", "Ann@Other.example", "asleep")),
        *(f"{OTHER}/users/{each}" for each in ("of-project", "ann@other.example")),
        f"{OPERATORS}/users/admin",
    ],
    "Key": [
        *(f"{OTHER}/keys/{each}" for each in ("active", "disabled", "expired", "revoked")),
        *(f"{OTHER}/keys/{each}" for each in ("bound", "of-project", "of-asleep", "of-nobody")),
    ],
    "Role": [
        *(f"{OTHER}/roles/{each}" for each in ("admin", "auditor", "Auditor")),
        f"{OPERATORS}/roles/admin",
    ],
    "Grant": [f"{OTHER}/grants/{each}" for each in ("to-ann", "to-project", "to-admin")],
    "Session": [f"{OTHER}/sessions/{each}" for each in ("active", "revoked")],
    # Their numbers are given for all workspaces together: some of these are of the other one.
    "AuditEvent": [f"{OTHER}/auditEvents/{each}" for each in range(1, 30)],
    "AuditSeal": [f"{OTHER}/auditSeals/1"],
}
MISSING = {
    "Workspace": ["workspaces/nowhere", GONE],
    "User": [f"{OTHER}/users/nobody", f"{OTHER}/users/no@body.example", f"{GONE}/users/admin"],
    "Key": [f"{OTHER}/keys/nothing", "workspaces/nowhere/keys/active", f"{GONE}/keys/active"],
    "Role": [f"{OTHER}/roles/nothing", "workspaces/nowhere/roles/auditor", f"{GONE}/roles/admin"],
    "Grant": [f"{OTHER}/grants/nothing", "workspaces/nowhere/grants/to-ann"],
    "Session": [f"{OTHER}/sessions/nothing", "workspaces/nowhere/sessions/active"],
    "AuditEvent": [f"{OTHER}/auditEvents/999999999", "workspaces/nowhere/auditEvents/9"],
    "AuditSeal": [f"{OTHER}/auditSeals/999999999", "workspaces/nowhere/auditSeals/1"],
}


@dataclass(frozen=True)
class Neighbours:
    """Who is elsewhere, a token that is not the caller's to ask about, and its prefix."""

    other: Caller
    foreign_token: str
    foreign_prefix: str


@pytest.fixture(scope="module", name="neighbours")
async def _neighbours(service: Operated) -> Neighbours:
    return await settled(service)


async def settled(service: Operated) -> Neighbours:
    other = service.as_caller(await first_admin(service.dsn, "other"))
    await other.do("CreateRole", parent=OTHER, role_id="auditor", role={"may_hold_keys": True})
    await populate(other)
    active = await populate_keys(other)
    for session_id in ("active", "revoked"):
        shown = await new_session(service, other, f"{OTHER}/users/ann")
        given = shown.session.name.rpartition("/")[2]
        await service.sql(
            "UPDATE keywright.session SET session_id = $2 WHERE session_id = $1", given, session_id
        )
    await other.do("RevokeSession", name=f"{OTHER}/sessions/revoked")
    await sealed(other, OTHER)
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() - interval '1 second'"
        " WHERE key_id = 'expired'"
    )
    # That an id is remembered here does not make it known there, and the other way round.
    await service.admin.create_user("gone")
    await service.admin.create_key(user=f"{PARENT}/users/gone")
    await service.admin.do("DeleteUser", name=f"{PARENT}/users/gone", force=True)
    for workspace_id in ("asleep", "gone"):
        await service.operator.do("CreateWorkspace", workspace={}, workspace_id=workspace_id)
        await service.operator.do("DisableWorkspace", name=f"workspaces/{workspace_id}")
    await service.operator.do("DeleteWorkspace", name=GONE)
    return Neighbours(other, active.token, active.key.prefix)


async def populate(other: Caller) -> None:
    """Users and grants of the other workspace."""
    for user_id in ("ann", "asleep", "nobody-now"):
        email = f"{user_id}@other.example"
        user = {"email": email, "role": f"{OTHER}/roles/member"}
        await other.do("CreateUser", parent=OTHER, user_id=user_id, user=user)
    project = {"kind": "USER_KIND_SERVICE", "resource": "projects/a"}
    await other.do("CreateUser", parent=OTHER, user_id="of-project", user=project)
    for user_id, grant_id in (
        ("ann", "to-ann"),
        ("of-project", "to-project"),
        ("admin", "to-admin"),
    ):
        grant = {"user": f"{OTHER}/users/{user_id}", "resource": "projects/a"}
        grant["role"] = f"{OTHER}/roles/viewer"
        await other.do("CreateGrant", parent=OTHER, grant_id=grant_id, grant=grant)


async def populate_keys(other: Caller) -> Any:
    """Keys of the other workspace in every state; returns the one that stands."""
    created = {}
    for key_id, owner, resource in (
        *((each, "ann", "") for each in ("active", "disabled", "expired", "revoked")),
        ("bound", "ann", "projects/a"),
        ("of-project", "of-project", "projects/a"),
        ("of-asleep", "asleep", ""),
        ("of-nobody", "nobody-now", ""),
    ):
        key = {"user": f"{OTHER}/users/{owner}", "resource": resource}
        created[key_id] = await other.do("CreateKey", parent=OTHER, key_id=key_id, key=key)
    await other.do("DisableKey", name=f"{OTHER}/keys/disabled")
    await other.revoke_key(f"{OTHER}/keys/revoked")
    await other.disable_user(f"{OTHER}/users/asleep")
    await other.do("DeleteUser", name=f"{OTHER}/users/nobody-now", force=True)
    return created["active"]


@pytest.fixture(scope="module", name="member")
async def _member(service: Operated) -> Caller:
    return await service.person("plain-member")


async def answer(caller: Caller, place: Place, request: Message, name: str) -> tuple[str, ...]:
    """What a caller is told that names `name` at `place`, in an otherwise good request."""
    asked = place.method.request_type()
    asked.CopyFrom(request)
    place.put(asked, name)
    try:
        reply = await caller.send(place.method.path, asked.SerializeToString())
    except RefusedError as refused:
        # A role's id is read, and repeated, without regard to case.
        return essence(refused, name.lower() if place.names == "Role" else name)
    return ("OK", reply.hex())


async def asked_of(
    service: Operated, place: Place, neighbours: Neighbours, of: str = ADMIN
) -> Message:
    """A request that is good but for what will be named at `place`."""
    request: Any = await good_request(service, place.method, of=of)
    if str(place) == "LookupKey.parent":  # where the foreign workspace would have something
        request.prefix = neighbours.foreign_prefix
    return request


async def assert_looks_missing(caller: Caller, place: Place, request: Message) -> tuple[str, ...]:
    expected = await answer(caller, place, request, MISSING[place.names][0])
    assert expected[0] in {"NOT_FOUND", "PERMISSION_DENIED"}
    for name in (*MISSING[place.names], *EXISTING[place.names]):
        assert await answer(caller, place, request, name) == expected, name
    return expected


# All places where the server looks for what is named.
PLACES = [place for place in named_places() if not place.unchangeable]
every_place = pytest.mark.parametrize("place", PLACES, ids=str)
IN_A_WORKSPACE = [each for each in PLACES if each.method.service != "WorkspaceService"]
OF_OPERATORS = [each for each in PLACES if each.method.service == "WorkspaceService"]


@every_place
async def test_a_foreign_resource_looks_missing_to_an_admin(
    service: Operated, neighbours: Neighbours, place: Place
) -> None:
    request = await asked_of(service, place, neighbours)
    foreign = await assert_looks_missing(service.admin, place, request)
    # Also like what is missing in the caller's own workspace.
    own = MISSING[place.names][0].replace(OTHER, PARENT)
    assert await answer(service.admin, place, request, own) == foreign
    # And where the id was somebody's there, or is somebody's here.
    for name in (f"{OTHER}/users/gone", f"{OTHER}/users/plain-member"):
        if place.names == "User":
            assert await answer(service.admin, place, request, name) == foreign


@every_place
async def test_a_foreign_resource_looks_missing_to_a_member(
    service: Operated, neighbours: Neighbours, member: Caller, place: Place
) -> None:
    request = await asked_of(service, place, neighbours, of=f"{PARENT}/users/plain-member")
    await assert_looks_missing(member, place, request)


@pytest.mark.parametrize("place", IN_A_WORKSPACE, ids=str)
async def test_operators_manage_no_workspace_but_their_own(
    service: Operated, neighbours: Neighbours, place: Place
) -> None:
    """To manage workspaces is not to see the keys, users, roles and grants in them."""
    request = await asked_of(service, place, neighbours)
    # But that an admin of whatever workspace can sign in is theirs to see to.
    links = str(place) == "CreateSignInLink.user"
    for name in EXISTING[place.names]:
        if not name.startswith(OPERATORS) and not (links and name == f"{OTHER}/users/admin"):
            told = await answer(service.operator, place, request, name)
            assert told[0] == "NOT_FOUND"


@pytest.mark.parametrize("place", OF_OPERATORS, ids=str)
async def test_an_operator_finds_every_workspace_that_there_is(
    service: Operated, neighbours: Neighbours, place: Place
) -> None:
    """Else that the others do not would tell nothing. A deleted one is gone for operators, too."""
    request = await asked_of(service, place, neighbours)
    told = await answer(service.operator, place, request, await new_workspace(service))
    assert told[0] in {"OK", "FAILED_PRECONDITION"}
    for name in MISSING["Workspace"]:
        assert (await answer(service.operator, place, request, name))[0] == "NOT_FOUND"


async def test_a_workspace_is_listed_to_its_own_users_and_to_operators(
    service: Operated, neighbours: Neighbours, member: Caller
) -> None:
    for caller, seen in (
        (service.admin, {PARENT}),
        (member, {PARENT}),
        (neighbours.other, {OTHER}),
    ):
        listed = await caller.do("ListWorkspaces", page_size=1000)
        assert {each.name for each in listed.workspaces} == seen
        assert not listed.next_page_token
    listed = await service.operator.do("ListWorkspaces", page_size=1000)
    names = {each.name for each in listed.workspaces}
    assert {PARENT, *EXISTING["Workspace"]} <= names
    assert not names & set(MISSING["Workspace"])


async def test_the_prefix_of_a_foreign_token_leads_to_nothing(
    service: Operated, neighbours: Neighbours, member: Caller
) -> None:
    own = (await service.admin.create_key()).key.prefix
    for caller, parent in (
        (service.admin, PARENT),
        (member, PARENT),
        (service.operator, OPERATORS),
    ):

        async def looked_up(prefix: str, caller: Caller = caller, parent: str = parent) -> Any:
            refused = await refusal(caller.do("LookupKey", parent=parent, prefix=prefix))
            return essence(refused, prefix)

        assert await looked_up(neighbours.foreign_prefix) == await looked_up("0" * 12)
    assert await service.admin.do("LookupKey", parent=PARENT, prefix=own)
    foreign = await neighbours.other.do("LookupKey", parent=OTHER, prefix=neighbours.foreign_prefix)
    assert foreign.key.name == f"{OTHER}/keys/active"


async def test_the_other_side_sees_what_is_its_own(
    service: Operated, neighbours: Neighbours
) -> None:
    """Else the tests above would pass in an empty workspace."""
    other = neighbours.other
    for method, kind in (("GetKey", "Key"), ("GetUser", "User"), ("GetRole", "Role")):
        for name in EXISTING[kind]:
            if name.startswith(OTHER):
                await other.do(method, name=name)
    for kind in ("Grant", "Session"):
        for name in EXISTING[kind]:
            await other.do(f"Get{kind}", name=name)
    await other.do("GetWorkspace", name=OTHER)
    states = [
        (await other.get_key(f"{OTHER}/keys/{each}")).state
        for each in ("active", "disabled", "expired", "revoked")
    ]
    assert states == [1, 2, 3, 4]
    error = await refusal(other.get_key((await service.admin.create_key()).key.name))
    assert error.code is grpc.StatusCode.NOT_FOUND


async def test_a_server_that_does_not_check_the_workspace_is_found_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: every workspace is taken for the caller's own."""
    monkeypatch.setattr(Call, "in_workspace", lambda _call, _workspace_id, _name: None)
    overlooked = []
    # Of its own: such a server does away with what the neighbours have.
    async with running(await cluster.migrated()) as whole, in_process(await operated(whole)) as bad:
        neighbours = await settled(bad)
        for place in PLACES:
            request = await asked_of(bad, place, neighbours)
            try:
                await assert_looks_missing(bad.admin, place, request)
            except AssertionError:
                continue
            overlooked.append(str(place))
    # What is to be created somewhere else may still fail to be found there; and what only operators
    # may do to a workspace is refused before it is looked for. Keys whose usage is asked for are
    # looked for in the caller's workspace, whatever their names say.
    expected = (
        "(Create|Ensure).*[.]parent|(Disable|Enable|Delete)Workspace[.]name|QueryUsage[.]keys"
    )
    assert {each for each in overlooked if not re.match(expected, each)} == set()


async def test_nothing_foreign_is_in_a_list(
    service: Operated, neighbours: Neighbours, member: Caller
) -> None:
    await new_grant(service, f"{PARENT}/users/plain-member")
    for caller in (service.admin, member):
        keys = await caller.list_keys(page_size=1000, filter={"states": list(range(1, 5))})
        users = await caller.list_users(page_size=1000)
        roles = await caller.do("ListRoles", parent=PARENT, page_size=1000)
        grants = await caller.do("ListGrants", parent=PARENT, page_size=1000)
        for found in (keys.keys, users.users, roles.roles, grants.grants):
            assert found
            assert all(each.name.startswith(f"{PARENT}/") for each in found)


async def new_grant(service: Operated, user: str) -> None:
    grant = {"user": user, "resource": "projects/a", "role": f"{PARENT}/roles/viewer"}
    await service.admin.do("CreateGrant", parent=PARENT, grant=grant)


async def unknown(caller: Caller, token: str) -> tuple[str, ...]:
    with pytest.raises(RefusedError) as refused:
        await caller.authenticate(token)
    assert refused.value.reason == "TOKEN_UNKNOWN"
    return essence(refused.value)


async def test_a_token_of_another_workspace_is_unknown_to_everybody_but_operators(
    service: Operated, neighbours: Neighbours
) -> None:
    authenticator = await service.person("sidecar", role="authenticator")
    missing = await service.admin.create_key()
    await service.admin.delete_key(missing.key.name)
    operators_token = service.operator.token
    assert operators_token

    for caller in (service.admin, authenticator):
        expected = await unknown(caller, missing.token)
        assert await unknown(caller, neighbours.foreign_token) == expected
        assert await unknown(caller, operators_token) == expected
        assert (await caller.authenticate(service.admin_token)).workspace == PARENT
    assert await unknown(neighbours.other, service.admin_token)

    for token, workspace in (
        (service.admin_token, PARENT),
        (neighbours.foreign_token, OTHER),
        (operators_token, "workspaces/system"),
    ):
        assert (await service.operator.authenticate(token)).workspace == workspace


@pytest.mark.parametrize("permission", ["auth.authenticateAny", "workspaces.manage"])
async def test_what_crosses_workspaces_is_nobodys_but_an_operators(
    service: Operated, neighbours: Neighbours, permission: str
) -> None:
    """`*` is all *in its workspace*, and no key or scope makes more of it."""
    narrowed = await service.admin.create_key(scopes=[permission])
    for token in (service.admin_token, narrowed.token):
        with pytest.raises(RefusedError) as refused:
            await service.admin.authenticate(token, required_permissions=[permission])
        assert refused.value.reason == "PERMISSION_MISSING"
        assert refused.value.denial is not None
        assert list(refused.value.denial.missing_permissions) == [permission]

    with pytest.raises(RefusedError) as refused:
        await service.as_caller(narrowed.token).authenticate(neighbours.foreign_token)
    assert refused.value.reason in {"TOKEN_UNKNOWN", "CALLER_PERMISSION_MISSING"}

    request = auth_service_pb2.AuthenticateRequest(
        token=service.operator.token or "", required_permissions=[permission]
    )
    assert await service.operator.auth("Authenticate", request)


async def test_no_role_makes_an_operator_of_who_is_not_of_the_operators_workspace(
    service: Operated, neighbours: Neighbours
) -> None:
    """Neither by name, nor by a pattern that has the permission in it."""
    for permission in ("workspaces.manage", "auth.authenticateAny"):
        role = {"permissions": [permission], "may_hold_keys": True}
        call = service.admin.do("CreateRole", parent=PARENT, role_id="operator", role=role)
        assert (await refusal(call)).reason == "AUTHORITY_EXCEEDED"
    role_id = await new_role(service.admin, "workspaces.*", "auth.*")
    pretender = await service.person("pretender", role=role_id)
    calls: dict[str, tuple[dict[str, Any], str]] = {
        "CreateWorkspace": ({"workspace": {}, "workspace_id": "taken-over"}, "PERMISSION_DENIED"),
        "GetWorkspace": ({"name": OTHER}, "NOT_FOUND"),
        "DisableWorkspace": ({"name": OTHER}, "NOT_FOUND"),
        "UpdateWorkspace": ({"workspace": {"name": OTHER, "display_name": "x"}}, "NOT_FOUND"),
    }
    for method, (fields, code) in calls.items():
        assert (await refusal(pretender.do(method, **fields))).code.name == code
    await unknown(pretender, neighbours.foreign_token)


async def test_a_narrowed_key_of_an_operator_is_not_an_operators(
    service: Operated, neighbours: Neighbours
) -> None:
    key = {"scopes": ["keys.own", "workspace.manage"]}
    token = (await service.operator.do("CreateKey", parent=OPERATORS, key=key)).token
    caller = service.as_caller(token)
    assert (await caller.do("GetWorkspace", name=OPERATORS)).workspace.name == OPERATORS
    for name in (OTHER, "workspaces/nowhere"):
        error = await refusal(caller.do("GetWorkspace", name=name))
        assert error.reason == "RESOURCE_NOT_FOUND"
    listed = await caller.do("ListWorkspaces", page_size=1000)
    assert {each.name for each in listed.workspaces} == {OPERATORS}


async def test_an_address_of_another_workspaces_user_is_free_to_be_used(
    service: Operated, neighbours: Neighbours
) -> None:
    """That it is taken elsewhere must not show."""
    user = await service.admin.create_user("namesake", email="ann@other.example")
    assert user.email == "ann@other.example"
    created = await service.admin.create_key(user=f"{PARENT}/users/ann@other.example")
    assert created.key.user == user.name
    assert created.key.creator == ADMIN
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_user("namesake-2", email="ANN@other.example")
    assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.value.fields == ["user.email"]

"""What is of another workspace is answered for as what does not exist (promise G8)."""

from dataclasses import dataclass

import grpc
import pytest

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.names import UserName
from keywright.service.call import Call
from keywright.v1 import (
    auth_service_pb2,
    key_pb2,
    key_service_pb2,
    user_pb2,
    user_service_pb2,
)
from tests.security.contract import Place, good_request, named_places
from tests.security.leaks import essence
from tests.security.patched import in_process
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, first_admin

OTHER = "workspaces/other"
OPERATORS = "system"

# In the other workspace, which has users, keys and roles: what exists there, and what does not.
EXISTING = {
    "Workspace": [OTHER, "workspaces/system"],
    "User": [f"{OTHER}/users/{each}" for each in ("admin", "ann", "Ann@Other.example")],
    "Key": [f"{OTHER}/keys/{each}" for each in ("active", "revoked")],
    "Role": [f"{OTHER}/roles/{each}" for each in ("admin", "auditor")],
}
MISSING = {
    "Workspace": ["workspaces/nowhere"],
    "User": [f"{OTHER}/users/nobody", f"{OTHER}/users/no@body.example"],
    "Key": [f"{OTHER}/keys/nothing", "workspaces/nowhere/keys/active"],
    "Role": [f"{OTHER}/roles/nothing", "workspaces/nowhere/roles/auditor"],
}


@dataclass(frozen=True)
class Neighbours:
    """Those who call from elsewhere, and a token that is not theirs to ask about."""

    other: Caller
    operator: Caller
    foreign_token: str


@pytest.fixture(scope="module", name="neighbours")
async def _neighbours(service: Service) -> Neighbours:
    other = service.as_caller(await first_admin(service.dsn, "other"))
    ann = user_pb2.User(email="ann@other.example", role=f"{OTHER}/roles/member")
    await other.users(
        "CreateUser", user_service_pb2.CreateUserRequest(parent=OTHER, user_id="ann", user=ann)
    )
    key = key_pb2.Key(user=f"{OTHER}/users/ann")
    created = [
        await other.keys(
            "CreateKey",
            key_service_pb2.CreateKeyRequest(parent=OTHER, key_id=key_id, key=key),
        )
        for key_id in ("active", "revoked")
    ]
    await other.revoke_key(f"{OTHER}/keys/revoked")
    await service.sql(
        "INSERT INTO keywright.role (workspace, role_id, permissions, may_hold_keys)"
        " SELECT id, 'auditor', '{datasets.read}', true FROM keywright.workspace"
        " WHERE workspace_id = 'other'"
    )
    await service.sql(
        "INSERT INTO keywright.user (workspace, user_id, kind, role, role_scope)"
        " SELECT w.id, 'operator', 'SERVICE', r.id, r.scope"
        " FROM keywright.workspace w, keywright.role r"
        " WHERE w.workspace_id = 'system' AND r.role_id = 'admin' AND r.workspace IS NULL"
    )
    parts = await Parts.open(Config(argon2_threads=1), service.dsn)
    bootstrap = await parts.bootstrap()
    token = await bootstrap.admin_key(UserName(OPERATORS, "operator"))
    await parts.close()
    return Neighbours(other, service.as_caller(token.reveal()), created[0].token)


@pytest.fixture(scope="module", name="member")
async def _member(service: Service) -> Caller:
    return await service.person("plain-member")


async def answer(service: Service, caller: Caller, place: Place, name: str) -> tuple[str, ...]:
    """What a caller is told that names `name` at `place`, in an otherwise good request."""
    request = await good_request(service, place.method)
    place.put(request, name)
    try:
        reply = await caller.send(place.method.path, request.SerializeToString())
    except RefusedError as refused:
        return essence(refused, name)
    return ("OK", reply.hex())


async def assert_looks_missing(service: Service, caller: Caller, place: Place) -> None:
    expected = await answer(service, caller, place, MISSING[place.names][0])
    assert expected[0] in {"NOT_FOUND", "PERMISSION_DENIED"}
    for name in (*MISSING[place.names], *EXISTING[place.names]):
        assert await answer(service, caller, place, name) == expected, name


every_place = pytest.mark.parametrize("place", named_places(), ids=str)


@every_place
async def test_a_foreign_resource_looks_missing_to_an_admin(
    service: Service, neighbours: Neighbours, place: Place
) -> None:
    await assert_looks_missing(service, service.admin, place)
    # Also like what is missing in the caller's own workspace.
    own = MISSING[place.names][0].replace(OTHER, PARENT)
    foreign = await answer(service, service.admin, place, EXISTING[place.names][0])
    assert await answer(service, service.admin, place, own) == foreign


@every_place
async def test_a_foreign_resource_looks_missing_to_a_member(
    service: Service, neighbours: Neighbours, member: Caller, place: Place
) -> None:
    await assert_looks_missing(service, member, place)


@every_place
async def test_operators_manage_no_workspace_but_their_own(
    service: Service, neighbours: Neighbours, place: Place
) -> None:
    """To authenticate tokens of every workspace is not to see its users and keys."""
    for name in EXISTING[place.names]:
        if not name.startswith("workspaces/system"):
            assert (await answer(service, neighbours.operator, place, name))[0] == "NOT_FOUND"


async def test_the_other_side_sees_what_is_its_own(neighbours: Neighbours) -> None:
    """Else the tests above would pass in an empty workspace."""
    other = neighbours.other
    await other.get_key(f"{OTHER}/keys/active")
    for user in EXISTING["User"]:
        await other.users("GetUser", user_service_pb2.GetUserRequest(name=user))
    for role in EXISTING["Role"]:
        of_role = user_pb2.UserFilter(role=role)
        request = user_service_pb2.ListUsersRequest(parent=OTHER, filter=of_role)
        await other.users("ListUsers", request)
    with pytest.raises(RefusedError) as refused:
        await other.get_key(f"{PARENT}/keys/active")
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


async def test_a_server_that_does_not_check_the_workspace_is_found_out(
    service: Service, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: every workspace is taken for the caller's own."""
    places = {str(place): place for place in named_places()}
    monkeypatch.setattr(Call, "in_workspace", lambda _call, _workspace_id, _name: None)
    async with in_process(service) as patched:
        for which in ("GetKey.name", "GetUser.name", "ListKeys.parent", "CreateUser.parent"):
            with pytest.raises(AssertionError):
                await assert_looks_missing(patched, patched.admin, places[which])


async def test_nothing_foreign_is_in_a_list(
    service: Service, neighbours: Neighbours, member: Caller
) -> None:
    for caller in (service.admin, member):
        keys = await caller.list_keys(page_size=1000, filter={"states": list(range(1, 5))})
        users = await caller.users(
            "ListUsers", user_service_pb2.ListUsersRequest(parent=PARENT, page_size=1000)
        )
        assert keys.keys
        assert users.users
        names = [each.name for each in (*keys.keys, *users.users)]
        assert all(name.startswith(f"{PARENT}/") for name in names)


async def unknown(caller: Caller, token: str) -> tuple[str, ...]:
    with pytest.raises(RefusedError) as refused:
        await caller.authenticate(token)
    assert refused.value.reason == "TOKEN_UNKNOWN"
    return essence(refused.value)


async def test_a_token_of_another_workspace_is_unknown_to_everybody_but_operators(
    service: Service, neighbours: Neighbours
) -> None:
    authenticator = await service.person("sidecar", role="authenticator")
    missing = await service.admin.create_key()
    await service.admin.delete_key(missing.key.name)
    operators_token = neighbours.operator.token
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
        assert (await neighbours.operator.authenticate(token)).workspace == workspace


@pytest.mark.parametrize("permission", ["auth.authenticateAny", "workspaces.manage"])
async def test_what_crosses_workspaces_is_nobodys_but_an_operators(
    service: Service, neighbours: Neighbours, permission: str
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
        token=neighbours.operator.token or "", required_permissions=[permission]
    )
    assert await neighbours.operator.auth("Authenticate", request)


async def test_an_address_of_another_workspaces_user_is_free_to_be_used(
    service: Service, neighbours: Neighbours
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

"""FiftyOne Teams: keys act as their users, under roles and dataset permissions that are enforced.

Each test quotes the sentence of the product's documentation that it proves.
"""

from typing import Any

import grpc

from tests.seeds.people import (
    cannot_call,
    denied,
    fresh,
    give,
    key_id,
    listed,
    may,
    own_role,
    person,
    role_name,
    set_role,
    user_name,
)
from tests.support.service import (
    ADMIN,
    METHODS,
    PARENT,
    Caller,
    Service,
    first_admin,
    refusal,
)

# --- every action runs as the key's user --------------------------------------------------------


async def test_whoever_presents_a_key_is_the_key_s_user(service: Service) -> None:
    """“All actions taken via API connections are authenticated based on the user associated with
    the API key”"""
    ann = await person(service)
    made_by_admin = await service.admin.create_key(user=ann.name)

    for token in (ann.token, made_by_admin.token):
        principal = await service.admin.authenticate(token)
        assert (principal.user.name, principal.user.email) == (ann.name, ann.email)
        assert principal.role == role_name("member")
    # That an admin made the key gives it nothing of the admin's.
    acting = service.as_caller(made_by_admin.token)
    refused = await refusal(acting.create_user(fresh("user")))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.info.metadata["permission"] == "users.manage"
    assert (await acting.create_key()).key.creator_email == ann.email


async def user_roles_are_enforced(service: Service) -> None:
    ann = await person(service)
    assert await may(service, ann.token, "datasets.write")

    await set_role(service, ann.name, "collaborator")
    assert await may(service, ann.token, "datasets.read")
    assert not await may(service, ann.token, "datasets.write")

    await set_role(service, ann.name, "member")
    assert await may(service, ann.token, "datasets.write")


async def test_a_user_s_new_role_is_felt_by_the_keys_there_are(service: Service) -> None:
    """“concepts like user roles and dataset permissions are enforced”"""
    await user_roles_are_enforced(service)


async def test_a_change_of_a_role_is_felt_by_the_keys_of_all_who_have_it(service: Service) -> None:
    """“concepts like user roles and dataset permissions are enforced”"""
    role = await own_role(service, "datasets.read", "plugins.run")
    ann, bob = await person(service, role), await person(service, role)

    await service.admin.do(
        "UpdateRole", role={"name": role_name(role), "permissions": ["datasets.read"]}
    )
    for token in (ann.token, bob.token):
        assert await may(service, token, "datasets.read")
        assert not await may(service, token, "plugins.run")

    await service.admin.do(
        "UpdateRole", role={"name": role_name(role), "permissions": ["datasets.*", "plugins.run"]}
    )
    for token in (ann.token, bob.token):
        assert await may(service, token, "datasets.write")
        assert await may(service, token, "plugins.run")


async def dataset_permissions_are_enforced(service: Service) -> None:
    ann = await person(service, "labeler")
    quickstart, other = "datasets/quickstart", "datasets/quickstart-2"
    assert not await may(service, ann.token, "datasets.read", quickstart)

    viewer = await give(service.admin, ann.name, "viewer", quickstart)
    assert await may(service, ann.token, "datasets.read", quickstart)
    assert await may(service, ann.token, "datasets.read", f"{quickstart}/samples/1")
    assert not await may(service, ann.token, "datasets.write", quickstart)
    assert not await may(service, ann.token, "datasets.read", other)
    assert not await may(service, ann.token, "datasets.read")

    editor = await give(service.admin, ann.name, "editor", quickstart)
    assert await may(service, ann.token, "datasets.write", quickstart)
    assert not await may(service, ann.token, "datasets.write", other)

    await service.admin.do("DeleteGrant", name=editor)
    assert await may(service, ann.token, "datasets.read", quickstart)
    assert not await may(service, ann.token, "datasets.write", quickstart)
    await service.admin.do("DeleteGrant", name=viewer)
    assert not await may(service, ann.token, "datasets.read", quickstart)


async def test_a_permission_on_a_dataset_given_and_taken_is_felt_by_the_keys_there_are(
    service: Service,
) -> None:
    """“concepts like user roles and dataset permissions are enforced”"""
    await dataset_permissions_are_enforced(service)


async def test_a_key_may_do_all_that_its_user_may(service: Service) -> None:
    """“API keys provide full programmatic access to perform actions as a user, so secure them as
    you would a password!”"""
    ann = await person(service)
    of_member = await service.admin.do("GetRole", name=role_name("member"))
    held = (await service.admin.authenticate(ann.token)).permissions
    assert list(held) == list(of_member.role.permissions)

    await set_role(service, ann.name, "admin")  # what the user gains, the key gains
    assert list((await service.admin.authenticate(ann.token)).permissions) == ["*"]
    assert (await ann.caller.create_user(fresh("user"))).role == role_name("member")


# --- guests -------------------------------------------------------------------------------------


async def guests_create_no_keys(service: Service) -> None:
    gus = await person(service)
    await set_role(service, gus.name, "guest")
    await give(service.admin, gus.name, "manager", "datasets/quickstart")

    for method in ("CreateKey", "EnsureKey"):
        refused = await refusal(
            service.admin.do(
                method, parent=PARENT, key_id=fresh("key"), key={"user": user_name(gus.email)}
            )
        )
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "KEYS_NOT_ALLOWED"
        assert gus.name in refused.message
        assert "guest" in refused.message
    refused = await refusal(service.admin.do("RotateKey", name=gus.key))
    assert refused.reason == "KEYS_NOT_ALLOWED"
    refused = await refusal(gus.caller.create_key())
    assert refused.reason == "CALLER_CREDENTIAL_INVALID"
    assert refused.info.metadata["caller_reason"] == "KEYS_NOT_ALLOWED"


async def test_no_key_is_created_for_a_guest_by_anybody(service: Service) -> None:
    """“Guests cannot create or use API keys.”"""
    await guests_create_no_keys(service)


async def guests_use_no_keys(service: Service) -> None:
    gus = await person(service)
    await give(service.admin, gus.name, "viewer", "datasets/quickstart")
    await service.admin.authenticate(gus.token)

    await set_role(service, gus.name, "guest")
    assert await denied(service, gus.token) == "KEYS_NOT_ALLOWED"
    # Not even for what a guest may see when signed in.
    assert await denied(service, gus.token, resource="datasets/quickstart") == "KEYS_NOT_ALLOWED"
    assert await cannot_call(gus.caller) == "KEYS_NOT_ALLOWED"

    await set_role(service, gus.name, "collaborator")
    assert await may(service, gus.token, "datasets.read")


async def test_a_key_of_whoever_becomes_a_guest_stops_at_once_and_stands_again_after(
    service: Service,
) -> None:
    """“Guests cannot create or use API keys.”"""
    await guests_use_no_keys(service)


# --- generating keys ----------------------------------------------------------------------------


async def test_users_generate_name_list_and_delete_keys_of_their_own(service: Service) -> None:
    """“Users can generate and manage API keys via the UI or the Management SDK.”"""
    ann, bob = await person(service), await person(service)
    laptop = await ann.caller.create_key(display_name="laptop")
    cluster = await ann.caller.create_key(display_name="cluster")
    theirs = await bob.caller.create_key()

    response = await ann.caller.list_keys()
    assert [key.name for key in response.keys] == [cluster.key.name, laptop.key.name, ann.key]
    assert [key.display_name for key in response.keys] == ["cluster", "laptop", ""]
    assert response.keys[0].create_time == cluster.key.create_time
    assert theirs.key.name not in await listed(ann.caller)

    await ann.caller.do("UpdateKey", key={"name": laptop.key.name, "display_name": "new laptop"})
    assert (await ann.caller.get_key(laptop.key.name)).display_name == "new laptop"
    await ann.caller.delete_key(cluster.key.name)
    assert await listed(ann.caller) == [laptop.key.name, ann.key]


async def test_a_nickname_is_optional_and_need_not_be_unique(service: Service) -> None:
    """“A new key can be generated by clicking on “Generate API key” and optionally providing a
    nickname for the key to identify what it is used for.”"""
    ann = await person(service)
    nameless = await ann.caller.create_key()
    first = await ann.caller.create_key(display_name="Nightly ünïcode 🔑")
    second = await ann.caller.create_key(display_name="Nightly ünïcode 🔑")

    assert nameless.key.display_name == ""
    for created in (first, second):
        shown = await ann.caller.get_key(created.key.name)
        assert shown.display_name == "Nightly ünïcode 🔑"
        principal = await service.admin.authenticate(created.token)
        assert principal.credential.display_name == "Nightly ünïcode 🔑"  # for the product's logs
    assert first.key.name != second.key.name
    assert set(await listed(ann.caller, search="NIGHTLY")) == {first.key.name, second.key.name}


async def test_a_nickname_that_is_too_long_is_refused_by_name(service: Service) -> None:
    """“optionally providing a nickname for the key to identify what it is used for”"""
    ann = await person(service)
    refused = await refusal(ann.caller.create_key(display_name="n" * 201))

    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "FIELD_INVALID"
    assert refused.fields == ["key.display_name"]
    assert "200" in refused.message


async def keys_are_shown_once(service: Service) -> None:
    """Walks every method of management and looks for the tokens in each reply."""
    replies: list[tuple[str, bytes]] = []

    async def walk(caller: Caller, method: str, **fields: Any) -> Any:
        reply = await caller.do(method, **fields)
        replies.append((method, reply.SerializeToString()))
        return reply

    admin, operator = service.admin, service.as_caller(await first_admin(service.dsn, "system"))
    created = await walk(admin, "CreateKey", parent=PARENT, key={"display_name": "once"})
    name, prefix = created.key.name, created.key.prefix
    ensuring = {"parent": PARENT, "key_id": fresh("key"), "key": {"display_name": "once, too"}}
    ensured = await walk(admin, "EnsureKey", **ensuring)
    assert (await walk(admin, "EnsureKey", **ensuring)).token == ""
    await walk(admin, "UpdateKey", key={"name": name, "labels": {"seen": "twice"}})
    rotated = await walk(admin, "RotateKey", name=name, grace={"seconds": 3600})
    shown = [("CreateKey", created), ("EnsureKey", ensured), ("RotateKey", rotated)]

    user = await walk(admin, "CreateUser", parent=PARENT, user={"email": "once@example.com"})
    await walk(admin, "UpdateUser", user={"name": user.user.name, "role": role_name("member")})
    for method in ("DisableUser", "EnableUser", "GetUser"):
        await walk(admin, method, name=user.user.name)
    role = await walk(admin, "CreateRole", parent=PARENT, role_id=fresh("role"), role={})
    await walk(admin, "UpdateRole", role={"name": role.role.name, "description": "any"})
    await walk(admin, "GetRole", name=role.role.name)
    given = {"user": user.user.name, "role": role_name("viewer"), "resource": "datasets/any"}
    grant = await walk(admin, "CreateGrant", parent=PARENT, grant=given)
    await walk(admin, "GetGrant", name=grant.grant.name)
    workspace = await walk(operator, "CreateWorkspace", workspace_id=fresh("ws"), workspace={})
    await walk(admin, "UpdateWorkspace", workspace={"name": PARENT, "display_name": "Any"})
    await walk(admin, "GetWorkspace", name=PARENT)
    await walk(admin, "ListWorkspaces")
    for method in ("DisableWorkspace", "EnableWorkspace", "DisableWorkspace", "DeleteWorkspace"):
        await walk(operator, method, name=workspace.workspace.name)

    every_state = {"states": [1, 2, 3, 4]}
    await walk(admin, "GetKey", name=name)
    await walk(admin, "LookupKey", parent=PARENT, prefix=prefix)
    await walk(admin, "ListKeys", parent=PARENT, filter=every_state)
    for method in ("ListUsers", "ListRoles", "ListGrants"):
        await walk(admin, method, parent=PARENT)
    for each in (created, ensured, rotated):
        await walk(admin, "Authenticate", token=each.token)
    refused = [await refusal(admin.create_key(key_id=key_id(name)))]
    for method in ("DisableKey", "EnableKey", "RevokeKey", "DeleteKey"):
        await walk(admin, method, name=name)
        if method != "EnableKey":
            refused.append(await refusal(admin.authenticate(rotated.token)))
            refused.append(await refusal(service.as_caller(rotated.token).list_keys()))
    replies += [(error.reason, error.status.SerializeToString()) for error in refused]
    await walk(admin, "RevokeKeys", parent=PARENT, filter={"search": "once, too"})
    for method, gone in (
        ("DeleteGrant", grant.grant.name),
        ("DeleteRole", role.role.name),
        ("DeleteUser", user.user.name),
    ):
        await walk(admin, method, name=gone)

    walked = {method for method, _ in replies}
    assert walked - {error.reason for error in refused} == (
        _methods_of_management() | {"Authenticate"}
    )
    assert len([reply for _, reply in replies if prefix.encode() in reply]) > 5  # it would be found
    for method, reply in shown:
        secret = reply.token.partition(reply.key.prefix)[2][:43].encode()
        assert [each for each, content in replies if secret in content] == [method]


def _methods_of_management() -> set[str]:
    services = {"KeyService", "UserService", "RoleService", "GrantService", "WorkspaceService"}
    others = {"ImportKeys", "ReportLeakedToken"}  # they take tokens of elsewhere, and show none
    return {
        method
        for method, (path, _, _) in METHODS.items()
        if path.split("/")[1].rpartition(".")[2] in services
    } - others


async def test_a_key_is_shown_in_the_reply_that_makes_it_and_in_no_other(service: Service) -> None:
    """“Keys are only shown once. Copy the key immediately, as it will not be accessible again.”"""
    await keys_are_shown_once(service)


async def test_an_admin_generates_a_key_for_another_user(service: Service) -> None:
    """“Admins can generate API keys for other users, if desired.”"""
    ann = await person(service)
    created = await service.admin.create_key(user=user_name(ann.email.upper()))

    assert created.key.user == ann.name
    assert created.key.user_email == ann.email
    assert created.key.creator == ADMIN
    assert (await service.admin.authenticate(created.token)).user.email == ann.email
    assert created.key.name in await listed(ann.caller)  # the user sees it among its own
    await ann.caller.delete_key(created.key.name)
    assert await denied(service, created.token) == "TOKEN_UNKNOWN"


async def test_who_is_not_an_admin_generates_no_key_for_another_user(service: Service) -> None:
    """“Admins can generate API keys for other users, if desired.”"""
    ann, bob = await person(service), await person(service)

    for named in (bob.name, user_name(bob.email), user_name("nobody@example.com"), ADMIN):
        refused = await refusal(ann.caller.create_key(user=named))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "CALLER_PERMISSION_MISSING"
        assert "keys.any" in refused.message
    assert await listed(bob.caller) == [bob.key]


async def test_a_key_for_an_unknown_user_is_refused_naming_the_user(service: Service) -> None:
    """“Admins can generate API keys for other users, if desired.”"""
    for named in ("nobody@example.com", "nobody"):
        refused = await refusal(service.admin.create_key(user=user_name(named)))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert refused.reason == "RESOURCE_NOT_FOUND"
        assert refused.info.metadata["resource"] == user_name(named)
        assert user_name(named) in refused.message
    refused = await refusal(service.admin.create_key(user="bob"))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.user"])


# --- deleting keys ------------------------------------------------------------------------------


async def deleting_a_key_removes_its_access(service: Service) -> None:
    ann = await person(service)
    created = await ann.caller.create_key(display_name="find me")
    (found,) = (await ann.caller.list_keys(filter={"search": "find me"})).keys

    deleted = await ann.caller.delete_key(found.name)
    assert deleted.key.name == created.key.name
    assert await denied(service, created.token) == "TOKEN_UNKNOWN"
    assert await cannot_call(service.as_caller(created.token)) == "TOKEN_UNKNOWN"
    assert await listed(ann.caller, states=[1, 2, 3, 4]) == [ann.key]
    assert await may(service, ann.token, "datasets.read")  # her other key stands


async def test_a_key_that_is_found_in_the_list_and_deleted_has_no_access(service: Service) -> None:
    """“To delete a key and remove its access, find the key to delete in the list and click
    “Delete”.”"""
    await deleting_a_key_removes_its_access(service)


async def test_deleting_a_key_that_is_not_there_is_refused_naming_it(service: Service) -> None:
    """“To delete a key and remove its access, find the key to delete in the list”"""
    ann = await person(service)
    gone = (await ann.caller.create_key()).key.name
    await ann.caller.delete_key(gone)

    for name in (gone, f"{PARENT}/keys/no-such-key"):
        refused = await refusal(ann.caller.delete_key(name))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert refused.reason == "RESOURCE_NOT_FOUND"
        assert name in refused.message


async def test_an_admin_finds_and_deletes_a_key_of_another_user(service: Service) -> None:
    """“Admins can delete API keys for other users, if desired.”"""
    ann = await person(service)
    hers = await ann.caller.create_key(display_name="forgotten")

    assert set(await listed(service.admin, user=user_name(ann.email))) == {hers.key.name, ann.key}
    await service.admin.delete_key(hers.key.name)
    assert await denied(service, hers.token) == "TOKEN_UNKNOWN"
    assert await may(service, ann.token, "datasets.read")


async def only_admins_delete_keys_of_others(service: Service) -> None:
    ann, bob = await person(service), await person(service)
    refused = await refusal(bob.caller.list_keys(filter={"user": ann.name}))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert "keys.any" in refused.message
    assert ann.key not in await listed(bob.caller)

    missing = f"{PARENT}/keys/no-such-key"
    for method in ("DeleteKey", "RevokeKey", "DisableKey", "RotateKey", "GetKey"):
        refused = await refusal(bob.caller.do(method, name=ann.key))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        # Whether there is such a key is none of Bob's business either.
        unknown = await refusal(bob.caller.do(method, name=missing))
        assert refused.message.replace(key_id(ann.key), "no-such-key") == unknown.message
    await service.admin.authenticate(ann.token)


async def test_who_is_not_an_admin_deletes_and_sees_no_key_of_another_user(
    service: Service,
) -> None:
    """“Admins can delete API keys for other users, if desired.”"""
    await only_admins_delete_keys_of_others(service)

"""Service users of a resource: a key that is shared with a third party hangs on no person."""

from typing import Any

import grpc
import pytest

from keywright.v1 import user_pb2
from tests.support.service import ADMIN, PARENT, Caller, Service, refusal

SERVICE, HUMAN = user_pb2.USER_KIND_SERVICE, user_pb2.USER_KIND_HUMAN
PROJECT = "projects/a"


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


async def give(caller: Caller, user_id: str, resource: str, role_id: str) -> str:
    grant = {"user": user(user_id), "resource": resource, "role": role(role_id)}
    return (await caller.do("CreateGrant", parent=PARENT, grant=grant)).grant.name


async def create(
    caller: Caller, user_id: str, resource: str = PROJECT, **given: Any
) -> user_pb2.User:
    """CreateUser of a service user of a resource."""
    whole = {"kind": SERVICE, "resource": resource, **given}
    return (await caller.do("CreateUser", parent=PARENT, user_id=user_id, user=whole)).user


async def manager_of(service: Service, user_id: str, resource: str = PROJECT) -> Caller:
    """A collaborator who manages a resource by a grant there."""
    caller = await service.person(user_id, "collaborator")
    await give(service.admin, user_id, resource, "manager")
    return caller


@pytest.fixture(scope="module", name="manager")
async def _manager(service: Service) -> Caller:
    return await manager_of(service, "manager")


# --- making one -------------------------------------------------------------------------------


async def test_who_manages_a_resource_makes_service_users_of_it_and_of_what_is_below(
    service: Service, manager: Caller
) -> None:
    made = await create(manager, "partner", display_name="Partner", labels={"of": "acme"})

    assert (made.kind, made.role, made.resource) == (SERVICE, "", PROJECT)
    assert (made.email, made.display_name, dict(made.labels)) == ("", "Partner", {"of": "acme"})
    assert made.state == user_pb2.USER_STATE_ACTIVE
    assert made == await service.admin.get_user(user("partner"))
    assert (await create(manager, "deeper", f"{PROJECT}/1")).resource == f"{PROJECT}/1"
    assert (await create(service.admin, "by-admin", "projects/b")).resource == "projects/b"


async def test_nobody_makes_one_of_a_resource_that_it_does_not_manage(
    service: Service, manager: Caller
) -> None:
    member = await service.person("member", "member")
    await give(service.admin, "member", PROJECT, "editor")

    for caller, resource in (
        (manager, "projects/b"),
        (manager, "projects"),
        (manager, "projects/ab"),
        (member, PROJECT),
    ):
        error = await refusal(create(caller, "never-made", resource))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "users.manage"


async def test_it_is_a_program_without_a_role(service: Service, manager: Caller) -> None:
    for caller in (manager, service.admin):
        for field, given in (
            ("user.resource", {"kind": HUMAN}),
            ("user.resource", {"kind": 0}),
            ("user.role", {"role": role("viewer")}),
            ("user.role", {"role": role("guest")}),
            ("user.resource", {"resource": f"{PROJECT}//1"}),
        ):
            error = await refusal(create(caller, "never-made", **given))
            assert error.code is grpc.StatusCode.INVALID_ARGUMENT
            assert (error.reason, error.fields) == ("FIELD_INVALID", [field])


async def test_an_ordinary_user_is_made_by_who_manages_users_only(manager: Caller) -> None:
    for given in ({"kind": SERVICE}, {"kind": HUMAN, "email": "h@example.com"}):
        call = manager.do("CreateUser", parent=PARENT, user_id="never-made", user=given)
        error = await refusal(call)
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "users.manage"


# --- what it may do ---------------------------------------------------------------------------


async def test_its_key_shows_no_role_and_has_what_grants_give_there(
    service: Service, manager: Caller
) -> None:
    await create(manager, "reads")
    created = await manager.create_key(user=user("reads"), resource=PROJECT)
    nothing = await service.admin.authenticate(created.token, resource=PROJECT)
    assert list(nothing.permissions) == []

    given = await give(manager, "reads", PROJECT, "viewer")
    found = await service.admin.authenticate(created.token, resource=f"{PROJECT}/tasks/1")
    assert found.role == ""
    assert (found.user.name, found.user.kind, found.user.email) == (user("reads"), SERVICE, "")
    assert list(found.permissions) == ["datasets.read", "labels.read", "projects.read"]
    assert found.resource == PROJECT
    for resource, expected in (("", "RESOURCE_REQUIRED"), ("projects/b", "RESOURCE_MISMATCH")):
        error = await refusal(service.admin.authenticate(created.token, resource=resource))
        assert error.reason == expected

    await manager.do("DeleteGrant", name=given)
    left = await service.admin.authenticate(created.token, resource=PROJECT)
    assert list(left.permissions) == []


async def test_its_key_calls_for_itself_as_far_as_grants_let_it(
    service: Service, manager: Caller
) -> None:
    await create(manager, "calls")
    created = await manager.create_key(user=user("calls"), resource=PROJECT)
    caller = service.as_caller(created.token)

    assert (await caller.get_user(user("calls"))).resource == PROJECT
    assert (await refusal(caller.get_user(user("manager")))).reason == "RESOURCE_NOT_FOUND"
    for call in (caller.create_key(), caller.list_keys(), caller.list_users()):
        assert (await refusal(call)).reason == "CALLER_PERMISSION_MISSING"
    assert (await refusal(caller.get_key(created.key.name))).reason == "RESOURCE_NOT_FOUND"


async def test_it_is_given_roles_on_its_resource_and_below_only(
    service: Service, manager: Caller
) -> None:
    await create(manager, "kept-in")

    for caller in (manager, service.admin):
        for resource in ("projects/b", "projects", "projects/ab"):
            error = await refusal(give(caller, "kept-in", resource, "viewer"))
            assert error.reason in {"FIELD_INVALID", "CALLER_PERMISSION_MISSING"}
            if caller is service.admin:
                assert error.fields == ["grant.resource"]
    await give(manager, "kept-in", f"{PROJECT}/1", "viewer")
    await give(service.admin, "kept-in", PROJECT, "editor")


async def test_its_manager_gives_it_no_more_than_the_manager_may_do_there(
    service: Service, manager: Caller
) -> None:
    await create(manager, "limited")

    for above in ("member", "admin", "authenticator"):
        error = await refusal(give(manager, "limited", PROJECT, above))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert error.info.metadata["field"] == "grant.role"
    await give(manager, "limited", PROJECT, "manager")


async def a_manager_and_who_is_no_service_user_of_the_resource(service: Service) -> None:
    """Who manages a resource gives roles there, but lets no person and no other program in."""
    caller = await manager_of(service, "giver")
    await service.admin.create_user("person")
    await service.admin.create_user("program", kind=SERVICE)
    await create(service.admin, "of-b", "projects/b")
    await create(service.admin, "of-above", "projects")

    for user_id in ("person", "program", "giver", "of-b", "of-above", "nobody"):
        error = await refusal(give(caller, user_id, PROJECT, "viewer"))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "grants.manage"


async def test_a_manager_gives_roles_to_service_users_of_the_resource_and_to_nobody_else(
    service: Service,
) -> None:
    await a_manager_and_who_is_no_service_user_of_the_resource(service)


async def test_a_manager_takes_from_nobody_but_service_users_of_the_resource(
    service: Service, manager: Caller
) -> None:
    await service.admin.create_user("rival", "collaborator")
    own = (await manager.do("ListGrants", parent=PARENT, filter={"user": user("manager")})).grants
    rivals = await give(service.admin, "rival", PROJECT, "manager")

    assert (await refusal(manager.do("DeleteGrant", name=own[0].name))).reason == (
        "CALLER_PERMISSION_MISSING"
    )
    assert (await refusal(manager.do("DeleteGrant", name=rivals))).reason == "RESOURCE_NOT_FOUND"
    await create(manager, "taken-from")
    given = await give(service.admin, "taken-from", PROJECT, "editor")
    await manager.do("DeleteGrant", name=given)


# --- its keys ---------------------------------------------------------------------------------


async def test_its_manager_makes_keys_for_it_that_are_bound_and_none_else(
    service: Service, manager: Caller
) -> None:
    await create(manager, "keyed")
    await give(manager, "keyed", PROJECT, "editor")

    unbound = await refusal(manager.create_key(user=user("keyed")))
    assert unbound.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (unbound.reason, unbound.fields) == ("FIELD_INVALID", ["key.resource"])
    for elsewhere in ("projects/b", "projects"):
        error = await refusal(manager.create_key(user=user("keyed"), resource=elsewhere))
        assert error.info.metadata["permission"] == "keys.bound"
    made = await manager.create_key(
        user=user("keyed"), resource=f"{PROJECT}/1", scopes=["labels.*"]
    )
    assert (made.key.user, made.key.creator) == (user("keyed"), user("manager"))
    found = await service.admin.authenticate(made.token, resource=f"{PROJECT}/1")
    assert list(found.permissions) == ["labels.read", "labels.write"]
    await service.admin.create_key(user=user("keyed"))  # who has keys.any may


async def test_its_manager_makes_no_key_of_more_than_the_manager_may_do(
    service: Service, manager: Caller
) -> None:
    await create(manager, "strong")
    strong = {"permissions": ["deploys.*", "projects.read"]}
    await service.admin.do("CreateRole", parent=PARENT, role_id="deployer", role=strong)
    await give(service.admin, "strong", PROJECT, "deployer")

    error = await refusal(manager.create_key(user=user("strong"), resource=PROJECT))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "AUTHORITY_EXCEEDED"
    assert "deploys.*" in error.message
    scopes = ["projects.*"]
    made = await manager.create_key(user=user("strong"), resource=PROJECT, scopes=scopes)
    await service.admin.authenticate(
        made.token, resource=PROJECT, required_permissions=["projects.read"]
    )


async def test_a_manager_makes_no_keys_for_anybody_else(service: Service, manager: Caller) -> None:
    await service.admin.create_user("other", "member")
    await service.admin.create_user("robot", kind=SERVICE)
    await create(service.admin, "of-other", "projects/b")

    for user_id in ("other", "robot", "of-other", "admin", "nobody"):
        error = await refusal(manager.create_key(user=user(user_id), resource=PROJECT))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "keys.any"


async def a_manager_and_other_people_s_keys(service: Service) -> None:
    """Who manages a resource ends any key to it, but gets no token that acts as a person."""
    caller = await manager_of(service, "key-manager", "projects/k")
    await service.admin.create_user("victim", "member")
    bound: dict[str, Any] = {"resource": "projects/k", "scopes": ["projects.read"]}
    created = await service.admin.create_key(user=user("victim"), **bound)

    assert (await caller.get_key(created.key.name)).user == user("victim")
    error = await refusal(caller.do("RotateKey", name=created.key.name))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert error.info.metadata["permission"] == "keys.any"
    await service.admin.authenticate(created.token, resource="projects/k")
    await caller.do("DisableKey", name=created.key.name)
    await caller.do("EnableKey", name=created.key.name)
    await caller.revoke_key(created.key.name)


async def test_a_manager_ends_other_people_s_keys_to_the_resource_but_gets_no_token_of_them(
    service: Service,
) -> None:
    await a_manager_and_other_people_s_keys(service)


async def test_its_manager_gets_a_new_token_of_it(service: Service, manager: Caller) -> None:
    await create(manager, "rotated")
    await give(manager, "rotated", PROJECT, "viewer")
    created = await manager.create_key(user=user("rotated"), resource=PROJECT)
    second = await manager_of(service, "second-manager")

    rotated = await second.do("RotateKey", name=created.key.name)
    found = await service.admin.authenticate(rotated.token, resource=PROJECT)
    assert found.user.name == user("rotated")


# --- managing it ------------------------------------------------------------------------------


async def test_its_manager_sees_changes_disables_and_deletes_it(
    service: Service, manager: Caller
) -> None:
    made = await create(manager, "managed")
    token = (await manager.create_key(user=made.name, resource=PROJECT)).token

    assert await manager.get_user(made.name) == made
    renamed = {"name": made.name, "display_name": "Renamed", "labels": {"of": "acme"}}
    assert (await manager.do("UpdateUser", user=renamed)).user.display_name == "Renamed"
    disabled = await manager.disable_user(made.name)
    assert disabled.user.state == user_pb2.USER_STATE_DISABLED
    error = await refusal(service.admin.authenticate(token, resource=PROJECT))
    assert error.reason == "USER_DISABLED"
    await manager.enable_user(made.name)
    await service.admin.authenticate(token, resource=PROJECT)
    in_use = await refusal(manager.do("DeleteUser", name=made.name))
    assert in_use.reason == "RESOURCE_IN_USE"
    await manager.do("DeleteUser", name=made.name, force=True)
    assert (await refusal(manager.get_user(made.name))).reason == "RESOURCE_NOT_FOUND"


async def test_a_key_bound_to_the_resource_manages_its_service_users_too(
    service: Service,
) -> None:
    caller = await manager_of(service, "bound-manager", "projects/bound")
    bound = service.as_caller((await caller.create_key(resource="projects/bound")).token)

    made = await create(bound, "by-bound-key", "projects/bound")
    given = await give(bound, "by-bound-key", "projects/bound", "viewer")
    renamed = {"name": made.name, "display_name": "Renamed"}
    assert (await bound.do("UpdateUser", user=renamed)).user.display_name == "Renamed"
    key = await bound.create_key(user=made.name, resource="projects/bound/1")
    await service.admin.authenticate(key.token, resource="projects/bound/1")
    await bound.disable_user(made.name)
    await bound.enable_user(made.name)
    await bound.do("DeleteGrant", name=given)
    await bound.do("DeleteUser", name=made.name, force=True)
    elsewhere = await refusal(create(bound, "never-made", "projects/elsewhere"))
    assert elsewhere.reason == "CALLER_PERMISSION_MISSING"


async def test_who_it_is_to_the_whole_workspace_is_not_its_manager_s_to_say(
    service: Service, manager: Caller
) -> None:
    made = await create(manager, "nameless")

    for field in ("email", "external_id"):
        value = {field: f"{field}@partner.example"}
        for call in (
            create(manager, "never-made", **value),
            manager.do("UpdateUser", user={"name": made.name, **value}),
        ):
            error = await refusal(call)
            assert error.code is grpc.StatusCode.PERMISSION_DENIED
            assert error.reason == "CALLER_PERMISSION_MISSING"
            assert error.info.metadata["permission"] == "users.manage"
        changed = await service.admin.do("UpdateUser", user={"name": made.name, **value})
        assert getattr(changed.user, field) == value[field]
    assert (await manager.get_user(user("email@partner.example"))).name == made.name


async def test_its_manager_does_not_enable_it_once_it_may_do_more(
    service: Service, manager: Caller
) -> None:
    made = await create(manager, "promoted")
    await give(service.admin, "promoted", PROJECT, "admin")
    await manager.disable_user(made.name)

    error = await refusal(manager.enable_user(made.name))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "AUTHORITY_EXCEEDED"
    await service.admin.enable_user(made.name)


async def test_it_is_given_no_role_later_on_either(service: Service, manager: Caller) -> None:
    made = await create(manager, "roleless")

    for caller in (manager, service.admin):
        for paths in ((), ("role",), ("*",)):
            changed = {"name": made.name, "role": role("viewer")}
            mask = {"paths": paths} if paths else None
            error = await refusal(caller.do("UpdateUser", user=changed, update_mask=mask))
            assert (error.reason, error.fields) == ("FIELD_INVALID", ["user.role"])
    emptied = {"user": {"name": made.name}, "update_mask": {"paths": ["*"]}}
    assert (await manager.do("UpdateUser", **emptied)).user == made


async def test_a_manager_does_nothing_to_ordinary_users_or_those_of_other_resources(
    service: Service, manager: Caller
) -> None:
    await service.admin.create_user("ordinary")
    await create(service.admin, "foreign", "projects/b")

    for name in (user("ordinary"), user("foreign"), ADMIN, user("nobody")):
        changed = {"name": name, "display_name": "x"}
        for call in (
            manager.get_user(name),
            manager.do("UpdateUser", user=changed),
            manager.disable_user(name),
            manager.enable_user(name),
            manager.do("DeleteUser", name=name, force=True),
        ):
            error = await refusal(call)
            assert error.code is grpc.StatusCode.NOT_FOUND
            assert error.info.metadata["resource"] == name
    itself = await refusal(manager.do("DeleteUser", name=user("manager"), force=True))
    assert itself.reason == "CALLER_PERMISSION_MISSING"


async def test_a_manager_lists_the_service_users_of_the_resource_and_their_grants(
    service: Service,
) -> None:
    caller = await manager_of(service, "lister", "projects/l")
    for user_id, resource in (
        ("l-1", "projects/l"),
        ("l-2", "projects/l"),
        ("l-3", "projects/l/x"),
    ):
        await create(caller, user_id, resource)
    given = [await give(caller, user_id, "projects/l/x", "viewer") for user_id in ("l-1", "l-3")]
    await service.admin.create_user("l-person")
    await give(service.admin, "l-person", "projects/l", "viewer")

    exactly = await caller.list_users(filter={"resource": "projects/l"})
    assert [each.name for each in exactly.users] == [user("l-2"), user("l-1")]
    for filter_ in ({}, {"resource": "projects/b"}, {"resource": "projects"}):
        error = await refusal(caller.list_users(filter=filter_))
        assert error.info.metadata["permission"] == "users.read"
    listed = (await caller.do("ListGrants", parent=PARENT)).grants
    theirs = [each.name for each in listed if each.user != user("lister")]
    assert theirs == given[::-1]


async def test_who_does_not_manage_the_resource_any_more_does_nothing_with_its_service_users(
    service: Service,
) -> None:
    caller = await service.person("former", "collaborator")
    managing = await give(service.admin, "former", "projects/f", "manager")
    made = await create(caller, "left", "projects/f")
    await give(caller, "left", "projects/f", "manager")
    created = await caller.create_key(user=made.name, resource="projects/f")
    await service.admin.do("DeleteGrant", name=managing)

    assert (await refusal(caller.get_user(made.name))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(create(caller, "never-made", "projects/f"))).reason == (
        "CALLER_PERMISSION_MISSING"
    )
    assert (await refusal(caller.revoke_key(created.key.name))).reason == "RESOURCE_NOT_FOUND"
    found = await service.admin.authenticate(created.token, resource="projects/f")
    assert "keys.bound" in found.permissions  # what was given hangs on no person


async def test_keys_of_service_users_obey_who_may_create_keys(service: Service) -> None:
    caller = await manager_of(service, "obedient", "projects/o")
    made = await create(caller, "obeys", "projects/o")
    only_admins = {"name": PARENT, "policy": {"key_creation": 2}}
    await service.admin.do("UpdateWorkspace", workspace=only_admins)
    try:
        error = await refusal(caller.create_key(user=made.name, resource="projects/o"))
        assert error.reason == "POLICY_CREATION_NOT_ALLOWED"
        await service.admin.create_key(user=made.name, resource="projects/o")
    finally:
        mask = {"paths": ["policy"]}
        await service.admin.do("UpdateWorkspace", workspace={"name": PARENT}, update_mask=mask)

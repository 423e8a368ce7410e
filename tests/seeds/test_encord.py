"""Encord: keys for one project or dataset, with a title and scopes, made by who manages it.

`APIKeyScopes.LABEL_READ` is the scope `labels.read` here, `LABEL_WRITE` is `labels.write`, and so
on. Each test quotes the sentence of the product's documentation that it proves.
"""

import asyncio
from typing import Any

import grpc
import pytest

from keywright.v1 import key_pb2, user_pb2
from tests.seeds.people import (
    Person,
    denied,
    fresh,
    give,
    key_id,
    listed,
    may,
    person,
    role_name,
    set_role,
    user_name,
    workspace_with,
)
from tests.support.service import PARENT, Caller, RefusedError, Service, refusal

LABELS = ["labels.read", "labels.write"]
READ_ONLY = ["datasets.read", "labels.read", "projects.read"]
ANY_STATE = [1, 2, 3, 4]


async def manager(service: Service, resource: str) -> Person:
    """The admin of a project or a dataset, and of nothing else."""
    boss = await person(service, "labeler")
    await give(service.admin, boss.name, "manager", resource)
    return boss


async def ensure(caller: Caller, key: str, **attributes: Any) -> Any:
    return await caller.do("EnsureKey", parent=PARENT, key_id=key, key=attributes)


# --- project keys -------------------------------------------------------------------------------


async def a_project_s_key_is_good_for_that_project_only(service: Service) -> None:
    project = fresh("projects/p")
    boss = await manager(service, project)
    created = await boss.caller.create_key(
        resource=project, display_name="Example API key title", scopes=LABELS
    )

    assert created.key.display_name == "Example API key title"
    assert (created.key.resource, sorted(created.key.scopes)) == (project, LABELS)
    principal = await service.admin.authenticate(created.token, resource=project)
    assert list(principal.permissions) == LABELS
    assert principal.resource == project
    assert principal.credential.display_name == "Example API key title"
    assert await may(service, created.token, "labels.write", f"{project}/labels/7")

    for elsewhere in (f"{project}2", "projects/other", "projects", "datasets/xyz"):
        assert await denied(service, created.token, resource=elsewhere) == "RESOURCE_MISMATCH"
    # Nor is it good for anything when the application does not say what it is used on.
    assert await denied(service, created.token) == "RESOURCE_REQUIRED"


async def test_a_project_key_is_good_for_that_project_with_the_given_scopes(
    service: Service,
) -> None:
    """“You use the <project_id> and <project_api_key> to obtain a Resource authentication which is
    specific to the project with the specified permissions.”"""
    await a_project_s_key_is_good_for_that_project_only(service)


async def scopes_say_what_a_project_s_key_may(service: Service) -> None:
    project = fresh("projects/p")
    boss = await manager(service, project)
    asked = {
        "label.read": ["labels.read"],
        "labels": LABELS,
        "labels and datasets": [*LABELS, "datasets.read"],
        "all of labels": ["labels.*"],
    }
    wanted = ("labels.read", "labels.write", "labels.delete", "datasets.read", "datasets.write")
    allowed = {}
    for title, scopes in asked.items():
        token = (
            await boss.caller.create_key(resource=project, display_name=title, scopes=scopes)
        ).token
        allowed[title] = [each for each in wanted if await may(service, token, each, project)]
    assert allowed == {
        "label.read": ["labels.read"],
        "labels": LABELS,
        "labels and datasets": [*LABELS, "datasets.read"],
        "all of labels": ["labels.read", "labels.write", "labels.delete"],
    }


async def test_each_scope_counts_and_no_other(service: Service) -> None:
    """“scopes: A list of APIKeyScopes enum values specifying what is accessible with the API
    key.”"""
    await scopes_say_what_a_project_s_key_may(service)


async def test_a_scope_that_there_is_not_is_refused_where_scopes_are_a_closed_list(
    service: Service,
) -> None:
    """“scopes: A list of APIKeyScopes enum values”"""
    project = fresh("projects/p")
    boss = await manager(service, project)
    entries = [{"permission": each} for each in (*LABELS, "datasets.read")]
    async with workspace_with(service, permission_catalog={"entries": entries}):
        await boss.caller.create_key(resource=project, scopes=LABELS)
        refused = await refusal(
            boss.caller.create_key(resource=project, scopes=["labels.read", "labels.wirte"])
        )
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "PERMISSION_UNKNOWN"
    assert refused.info.metadata["permission"] == "labels.wirte"
    assert "labels.wirte" in refused.message
    refused = await refusal(boss.caller.create_key(resource=project, scopes=["LABEL READ"]))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.scopes[0]"])


async def only_project_admins_create_project_keys(service: Service) -> None:
    project = fresh("projects/p")
    boss, stranger = await manager(service, project), await manager(service, "projects/other")
    editor, member = await person(service, "labeler"), await person(service)
    await give(service.admin, editor.name, "editor", project)

    for who in (editor, member, stranger):
        refused = await refusal(who.caller.create_key(resource=project, scopes=["labels.read"]))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "CALLER_PERMISSION_MISSING"
        assert refused.info.metadata["permission"] == "keys.bound"
        assert "keys.bound" in refused.message
        refused = await refusal(ensure(who.caller, fresh("master"), resource=project))
        assert refused.info.metadata["permission"] == "keys.bound"
    for caller in (boss.caller, service.admin):
        created = await caller.create_key(resource=project, scopes=["labels.read"])
        assert await may(service, created.token, "labels.read", project)


async def test_only_the_admins_of_a_project_create_keys_of_it(service: Service) -> None:
    """“Only project admins can create Project API keys”"""
    await only_project_admins_create_project_keys(service)


async def test_who_is_no_longer_the_project_s_admin_creates_no_more_keys_of_it(
    service: Service,
) -> None:
    """“Only project admins can create Project API keys”"""
    project = fresh("projects/p")
    boss = await person(service, "labeler")
    grant = await give(service.admin, boss.name, "manager", project)
    await boss.caller.create_key(resource=project)

    await service.admin.do("DeleteGrant", name=grant)
    refused = await refusal(boss.caller.create_key(resource=project))
    assert refused.info.metadata["permission"] == "keys.bound"
    await set_role(service, boss.name, "guest")
    refused = await refusal(boss.caller.create_key(resource=project))
    assert refused.info.metadata["caller_reason"] == "KEYS_NOT_ALLOWED"


async def test_a_project_s_admin_creates_no_key_that_acts_as_another_person(
    service: Service,
) -> None:
    """“Only project admins can create Project API keys”"""
    project = fresh("projects/p")
    boss, colleague = await manager(service, project), await manager(service, project)
    refused = await refusal(boss.caller.create_key(resource=project, user=colleague.name))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.info.metadata["permission"] == "keys.any"


async def test_a_project_s_key_loses_what_its_owner_loses(service: Service) -> None:
    """“Resource authentication using an API key allows you to authenticate specific Datasets and
    Projects.”"""
    project = fresh("projects/p")
    boss = await person(service, "collaborator")
    grant = await give(service.admin, boss.name, "manager", project)
    created = await boss.caller.create_key(resource=project, scopes=["projects.*"])
    assert await may(service, created.token, "projects.write", project)

    await service.admin.do("DeleteGrant", name=grant)
    assert await may(service, created.token, "projects.read", project)
    assert not await may(service, created.token, "projects.write", project)


# --- dataset keys -------------------------------------------------------------------------------


async def test_a_dataset_key_reads_and_writes_that_dataset(service: Service) -> None:
    """“Use the example below to create a Dataset API key.”, “"Full Access API Key",
    [DatasetScope.READ, DatasetScope.WRITE]”"""
    dataset = fresh("datasets/d")
    boss = await manager(service, dataset)
    created = await boss.caller.create_key(
        resource=dataset,
        display_name="Full Access API Key",
        scopes=["datasets.read", "datasets.write"],
    )

    assert (created.key.resource, created.key.display_name) == (dataset, "Full Access API Key")
    for permission in ("datasets.read", "datasets.write"):
        assert await may(service, created.token, permission, dataset)
    for permission in ("datasets.delete", "labels.read", "projects.read"):
        assert not await may(service, created.token, permission, dataset)
    for elsewhere in (f"{dataset}-2", "projects/any"):
        assert await denied(service, created.token, resource=elsewhere) == "RESOURCE_MISMATCH"


async def test_a_dataset_of_a_project_has_keys_of_its_own(service: Service) -> None:
    """“Resource authentication using an API key allows you to authenticate specific Datasets and
    Projects.”"""
    project = fresh("projects/p")
    boss = await manager(service, project)
    first, second = f"{project}/datasets/1", f"{project}/datasets/2"
    created = await boss.caller.create_key(resource=first, scopes=["datasets.read"])

    assert await may(service, created.token, "datasets.read", first)
    for elsewhere in (second, project):
        assert await denied(service, created.token, resource=elsewhere) == "RESOURCE_MISMATCH"


async def test_only_who_manages_a_dataset_creates_keys_of_it(service: Service) -> None:
    """“Creating a Dataset API key”"""
    dataset = fresh("datasets/d")
    viewer = await person(service, "labeler")
    await give(service.admin, viewer.name, "viewer", dataset)
    refused = await refusal(viewer.caller.create_key(resource=dataset, scopes=["datasets.read"]))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.info.metadata["permission"] == "keys.bound"
    refused = await refusal(viewer.caller.create_key(resource="datasets//x"))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.resource"])


# --- the master key -----------------------------------------------------------------------------


async def the_master_key_is_got_or_created(service: Service) -> None:
    project, master = fresh("projects/p"), fresh("master")
    boss = await manager(service, project)

    created = await ensure(boss.caller, master, resource=project)
    assert created.created
    assert created.token
    for _ in range(2):
        got = await ensure(boss.caller, master, resource=project)
        assert not got.created
        assert got.token == ""
        assert got.key.name == created.key.name
        assert got.key.prefix == created.key.prefix
    assert list(created.key.scopes) == []
    for permission in (*LABELS, "labels.delete", "datasets.write", "projects.manage"):
        assert await may(service, created.token, permission, project)
    assert await denied(service, created.token, resource="projects/other") == "RESOURCE_MISMATCH"


async def test_the_master_key_of_a_project_is_created_once_with_full_access_and_got_again(
    service: Service,
) -> None:
    """“It is also possible to create or get a master API key with full access to all
    APIKeyScopes.”"""
    await the_master_key_is_got_or_created(service)


async def test_a_lost_master_key_gets_a_new_token_and_stays_the_same_key(service: Service) -> None:
    """“The following example show how to obtain a master API key”"""
    project, master = fresh("projects/p"), fresh("master")
    boss = await manager(service, project)
    lost = await ensure(boss.caller, master, resource=project)

    again = await boss.caller.do("RotateKey", name=lost.key.name)
    assert (again.key.name, again.key.resource) == (lost.key.name, project)
    assert await may(service, again.token, "labels.write", project)
    assert await denied(service, lost.token, resource=project) == "TOKEN_RETIRED"
    assert (await ensure(boss.caller, master, resource=project)).key.prefix == again.key.prefix


async def test_all_who_manage_a_project_get_the_same_master_key(service: Service) -> None:
    """“It is also possible to create or get a master API key with full access to all
    APIKeyScopes.”"""
    project, master = fresh("projects/p"), fresh("master")
    boss, colleague = await manager(service, project), await manager(service, project)
    # A key acts as its user: what is to be of the project, and of no person, has its service user.
    service_user = {"kind": user_pb2.USER_KIND_SERVICE, "resource": project}
    of_project = (await boss.caller.do("CreateUser", parent=PARENT, user=service_user)).user.name
    await give(boss.caller, of_project, "manager", project)

    created = await ensure(boss.caller, master, resource=project, user=of_project)
    got = await ensure(colleague.caller, master, resource=project, user=of_project)
    assert (got.key.name, got.created, got.token) == (created.key.name, False, "")
    assert await may(service, created.token, "labels.delete", project)
    # Without it each has a master key of its own, and is told that this one is another's.
    refused = await refusal(ensure(colleague.caller, master, resource=project))
    assert refused.info.metadata["differs"] == "user"

    await service.admin.do("DeleteUser", name=boss.name, force=True)
    again = await colleague.caller.do("RotateKey", name=created.key.name)
    assert await may(service, again.token, "labels.delete", project)


async def another_master_key_is_refused(service: Service) -> None:
    project, master = fresh("projects/p"), fresh("master")
    boss = await manager(service, project)
    created = await ensure(boss.caller, master, resource=project)

    for differing, attributes in (
        ("scopes", {"resource": project, "scopes": ["labels.read"]}),
        ("resource", {"resource": f"{project}/datasets/1"}),
        ("display_name", {"resource": project, "display_name": "Mine"}),
        ("role", {"resource": project, "role": role_name("labeler")}),
        ("labels", {"resource": project, "labels": {"team": "vision"}}),
    ):
        refused = await refusal(ensure(boss.caller, master, **attributes))
        assert refused.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.reason == "RESOURCE_ALREADY_EXISTS"
        assert refused.info.metadata["differs"] == differing
        assert f"{created.key.name} exists with another {differing}" in refused.message
    assert await may(service, created.token, "labels.write", project)


async def test_a_master_key_with_other_attributes_is_refused_naming_them(service: Service) -> None:
    """“It is also possible to create or get a master API key”"""
    await another_master_key_is_refused(service)


async def test_of_many_who_get_or_create_at_once_one_is_shown_the_token(service: Service) -> None:
    """“It is also possible to create or get a master API key”"""
    project, master = fresh("projects/p"), fresh("master")
    boss = await manager(service, project)
    replies = await asyncio.gather(
        *(ensure(boss.caller, master, resource=project) for _ in range(8))
    )

    (token,) = [reply.token for reply in replies if reply.token]
    assert [reply.created for reply in replies].count(True) == 1
    assert {reply.key.name for reply in replies} == {f"{PARENT}/keys/{master}"}
    assert await may(service, token, "labels.write", project)


async def test_a_master_key_that_was_revoked_is_not_got_again(service: Service) -> None:
    """“It is also possible to create or get a master API key”"""
    project, master = fresh("projects/p"), fresh("master")
    boss = await manager(service, project)
    created = await ensure(boss.caller, master, resource=project)
    await boss.caller.revoke_key(created.key.name)

    refused = await refusal(ensure(boss.caller, master, resource=project))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert f"{created.key.name} exists, and is revoked" in refused.message
    await boss.caller.delete_key(created.key.name)
    assert (await ensure(boss.caller, master, resource=project)).created


# --- fetching keys ------------------------------------------------------------------------------


async def the_keys_of_a_project_are_listed(service: Service) -> None:
    project, other = fresh("projects/p"), fresh("projects/p")
    boss, colleague = await manager(service, project), await manager(service, project)
    await give(service.admin, boss.name, "manager", other)
    assert await listed(boss.caller, resource=project) == []  # none has been added yet

    mine = await boss.caller.create_key(
        resource=project, display_name="Example title", scopes=LABELS
    )
    theirs = await colleague.caller.create_key(resource=project, display_name="Colleague's")
    elsewhere = await boss.caller.create_key(resource=other)
    below = await boss.caller.create_key(resource=f"{project}/datasets/1")

    found = (await boss.caller.list_keys(filter={"resource": project})).keys
    assert [(key.name, key.display_name, sorted(key.scopes)) for key in found] == [
        (theirs.key.name, "Colleague's", []),
        (mine.key.name, "Example title", LABELS),
    ]
    assert await listed(boss.caller, resource=other) == [elsewhere.key.name]
    assert await listed(boss.caller, resource=f"{project}/datasets/1") == [below.key.name]


async def test_all_keys_of_a_project_are_listed_with_title_and_scopes(service: Service) -> None:
    """“All API keys for an existing project can be obtained using the <project_hash> which uniquely
    identifies a project.”"""
    await the_keys_of_a_project_are_listed(service)


async def test_a_list_of_keys_never_contains_the_keys_themselves(service: Service) -> None:
    """“Fetching Project API keys”"""
    # In Encord's lists the keys themselves are shown again. Here they are not, on purpose: who
    # may list keys need not be able to use them, and a lost one is replaced by RotateKey.
    project = fresh("projects/p")
    boss = await manager(service, project)
    created = await boss.caller.create_key(resource=project)
    reply = await boss.caller.list_keys(filter={"resource": project})

    assert reply.keys[0].prefix == created.key.prefix
    secret = created.token.partition(created.key.prefix)[2][:43]
    assert secret.encode() not in reply.SerializeToString()


async def test_all_keys_of_a_dataset_are_listed(service: Service) -> None:
    """“Fetching Dataset API keys”"""
    dataset, other = fresh("datasets/d"), fresh("datasets/d")
    boss = await manager(service, dataset)
    await give(service.admin, boss.name, "manager", other)
    made = [
        await boss.caller.create_key(resource=dataset, scopes=[each])
        for each in ("datasets.read", "datasets.write")
    ]
    await boss.caller.create_key(resource=other)

    assert await listed(boss.caller, resource=dataset) == [each.key.name for each in made[::-1]]


async def test_who_does_not_manage_a_project_is_shown_none_of_its_keys(service: Service) -> None:
    """“All API keys for an existing project can be obtained using the <project_hash>”"""
    project = fresh("projects/p")
    boss, member = await manager(service, project), await person(service)
    created = await boss.caller.create_key(resource=project)

    assert await listed(member.caller, resource=project) == []
    refused = await refusal(member.caller.get_key(created.key.name))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert created.key.name in await listed(service.admin, resource=project)


# --- sharing with a third party -----------------------------------------------------------------


async def third_party(boss: Person, project: str) -> tuple[Any, Any]:
    """The project's service user for somebody outside, made by its manager, with its key."""
    user = (
        await boss.caller.do(
            "CreateUser",
            parent=PARENT,
            user_id=fresh("auditors"),
            user={
                "display_name": "Auditors Ltd.",
                "kind": user_pb2.USER_KIND_SERVICE,
                "resource": project,
            },
        )
    ).user
    await give(boss.caller, user.name, "viewer", project)
    created = await boss.caller.create_key(
        user=user.name, resource=project, display_name="For the auditors", scopes=READ_ONLY
    )
    return user, created


async def a_third_party_reads_and_does_nothing_else(service: Service) -> None:
    project = fresh("projects/p")
    boss = await manager(service, project)
    user, shared = await third_party(boss, project)

    principal = await service.admin.authenticate(shared.token, resource=project)
    assert sorted(principal.permissions) == READ_ONLY
    assert (principal.user.name, principal.user.email) == (user.name, "")
    for permission in READ_ONLY:
        assert await may(service, shared.token, permission, project)
    for permission in ("labels.write", "projects.write", "datasets.delete", "keys.bound"):
        assert not await may(service, shared.token, permission, project)
    assert await denied(service, shared.token, resource="projects/other") == "RESOURCE_MISMATCH"
    for attempt in ({}, {"resource": project}, {"scopes": ["labels.read"]}):
        refused = await refusal(service.as_caller(shared.token).create_key(**attempt))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED

    await give(boss.caller, user.name, "editor", project)  # the scopes keep the key as it is
    # A new key is looked up, so from here on the server knows of the grant.
    wide = await boss.caller.create_key(user=user.name, resource=project)
    assert await may(service, wide.token, "labels.write", project)
    assert not await may(service, shared.token, "labels.write", project)


async def test_a_third_party_can_read_the_project_and_nothing_else(service: Service) -> None:
    """“This can be useful if you, for example, want to share read-only access with some
    third-party.”"""
    await a_third_party_reads_and_does_nothing_else(service)


@pytest.mark.parametrize("leaving", ["demoted", "disabled", "deleted"])
async def test_what_a_third_party_has_does_not_hang_on_the_person_who_shared_it(
    service: Service, leaving: str
) -> None:
    """“share read-only access with some third-party”"""
    await sharing_outlives_the_manager(service, leaving)


async def sharing_outlives_the_manager(service: Service, leaving: str = "deleted") -> None:
    project = fresh("projects/p")
    boss = await manager(service, project)
    _, shared = await third_party(boss, project)

    match leaving:
        case "demoted":
            await set_role(service, boss.name, "guest")
        case "disabled":
            await service.admin.disable_user(boss.name)
        case "deleted":
            await service.admin.do("DeleteUser", name=boss.name, force=True)
    assert await denied(service, boss.token) in (
        "KEYS_NOT_ALLOWED",
        "USER_DISABLED",
        "TOKEN_UNKNOWN",
    )
    assert await still_reads(service, shared.token, project)
    record = await service.admin.get_key(shared.key.name)
    assert (record.state, record.creator_email) == (key_pb2.KEY_STATE_ACTIVE, boss.email)
    # The next manager finds it, and ends it.
    successor = await manager(service, project)
    assert await listed(successor.caller, resource=project) == [shared.key.name]
    await successor.caller.revoke_key(shared.key.name)
    assert await denied(service, shared.token, resource=project) == "KEY_REVOKED"


async def still_reads(service: Service, token: str, project: str) -> bool:
    """Whether the third party has what it had; any denial is a no."""
    try:
        principal = await service.admin.authenticate(token, resource=project)
    except RefusedError:
        return False
    return sorted(principal.permissions) == READ_ONLY


async def test_the_next_manager_gives_a_third_party_a_new_token(service: Service) -> None:
    """“share read-only access with some third-party”"""
    project = fresh("projects/p")
    boss, successor = await manager(service, project), await manager(service, project)
    _, shared = await third_party(boss, project)
    await service.admin.do("DeleteUser", name=boss.name, force=True)

    again = await successor.caller.do("RotateKey", name=shared.key.name)
    assert await denied(service, shared.token, resource=project) == "TOKEN_RETIRED"
    assert await still_reads(service, again.token, project)
    stranger = await manager(service, "projects/other")
    refused = await refusal(stranger.caller.do("RotateKey", name=shared.key.name))
    assert refused.code is grpc.StatusCode.NOT_FOUND


async def test_what_one_third_party_has_ends_alone(service: Service) -> None:
    """“share read-only access with some third-party”"""
    project = fresh("projects/p")
    boss = await manager(service, project)
    user, shared = await third_party(boss, project)
    second = await boss.caller.create_key(user=user.name, resource=project, scopes=["labels.read"])
    _, others = await third_party(boss, project)

    await boss.caller.revoke_key(shared.key.name)
    assert await denied(service, shared.token, resource=project) == "KEY_REVOKED"
    assert await may(service, second.token, "labels.read", project)

    await boss.caller.do("DisableUser", name=user.name)  # all that this third party has
    assert await denied(service, second.token, resource=project) == "USER_DISABLED"
    assert await may(service, others.token, "labels.read", project)
    assert await may(service, boss.token, "labels.write", project)


async def test_a_project_s_manager_shares_no_more_than_the_project(service: Service) -> None:
    """“share read-only access with some third-party”"""
    project = fresh("projects/p")
    boss = await manager(service, project)
    user, _ = await third_party(boss, project)

    async def sharing(role: str, resource: str, with_whom: str = user.name) -> tuple[str, str]:
        refused = await refusal(give(boss.caller, with_whom, role, resource))
        assert refused.code in (
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        return refused.reason, refused.message

    reason, message = await sharing("admin", project)
    assert reason == "AUTHORITY_EXCEEDED"
    assert "the role admin has *" in message
    reason, message = await sharing("viewer", "projects/other")
    assert reason == "FIELD_INVALID"
    assert project in message
    stranger = await person(service)
    assert (await sharing("viewer", project, stranger.name))[0] == "CALLER_PERMISSION_MISSING"

    for resource in ("", "projects/other"):
        refused = await refusal(boss.caller.create_key(user=user.name, resource=resource))
        assert refused.reason in ("FIELD_INVALID", "CALLER_PERMISSION_MISSING")
    outside = {"kind": user_pb2.USER_KIND_SERVICE, "resource": "projects/other"}
    refused = await refusal(boss.caller.do("CreateUser", parent=PARENT, user=outside))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    person_of_project = {"resource": project}
    refused = await refusal(boss.caller.do("CreateUser", parent=PARENT, user=person_of_project))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["user.resource"])


async def test_a_person_outside_is_given_a_key_of_a_project_by_an_admin_only(
    service: Service,
) -> None:
    """“Only project admins can create Project API keys”"""
    project = fresh("projects/p")
    guest = await service.admin.create_user(fresh("guest"), "guest")
    await give(service.admin, guest.name, "viewer", project)
    refused = await refusal(service.admin.create_key(user=user_name(guest.email), resource=project))
    assert refused.reason == "KEYS_NOT_ALLOWED"

    await set_role(service, guest.name, "labeler")
    created = await service.admin.create_key(
        user=user_name(guest.email), resource=project, scopes=READ_ONLY
    )
    assert await may(service, created.token, "projects.read", project)
    assert key_id(created.key.user) == key_id(guest.name)

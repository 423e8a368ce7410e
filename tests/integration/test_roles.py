"""Roles: a workspace's own beside the built-in ones, and what becomes of who has one."""

import asyncio
from typing import Any

import grpc

from keywright.v1 import role_pb2
from tests.integration.test_transactions import MOVE_ON, held_up_at_their_events
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, refusal

BUILT_IN = [
    *("guest", "labeler", "collaborator", "member", "admin", "authenticator"),
    *("viewer", "editor", "manager"),
]


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def create(
    caller: Caller, role_id: str, *permissions: str, may_hold_keys: bool = True, **more: Any
) -> role_pb2.Role:
    given = {"permissions": permissions, "may_hold_keys": may_hold_keys, **more}
    return (await caller.do("CreateRole", parent=PARENT, role_id=role_id, role=given)).role


async def get(caller: Caller, role_id: str) -> role_pb2.Role:
    return (await caller.do("GetRole", name=role(role_id))).role


async def update(caller: Caller, role_id: str, *paths: str, **given: Any) -> role_pb2.Role:
    mask = {"paths": paths} if paths else None
    changed = {"name": role(role_id), **given}
    return (await caller.do("UpdateRole", role=changed, update_mask=mask)).role


async def delete(caller: Caller, role_id: str, **more: Any) -> role_pb2.Role:
    return (await caller.do("DeleteRole", name=role(role_id), **more)).role


async def permissions_of(service: Service, token: str | None, **asked: Any) -> list[str]:
    return list((await service.admin.authenticate(token or "", **asked)).permissions)


async def only_admins_by(service: Service, *role_ids: str) -> list[Caller]:
    """Make roles of which each makes one admin, and see to it that these are the only admins."""
    await no_other_admins(service)
    callers = []
    for role_id in role_ids:
        await create(service.admin, role_id, "*")
        callers.append(await service.person(f"has-{role_id}", role_id))
    await set_first_admin_s_role(service, "member")
    return callers


async def no_other_admins(service: Service) -> None:
    """Disable the admins that other tests have made."""
    for row in await service.sql(
        "SELECT user_id FROM keywright.user u JOIN keywright.role r ON r.id = u.role "
        "WHERE '*' = ANY(r.permissions) AND user_id <> 'admin'"
    ):
        await service.admin.disable_user(user(row["user_id"]))


async def set_first_admin_s_role(service: Service, role_id: str) -> None:
    """Behind the server's back, where no rule is in the way."""
    await service.sql(
        "UPDATE keywright.user u SET role = r.id, role_scope = r.scope FROM keywright.role r "
        "WHERE u.user_id = 'admin' AND r.role_id = $1",
        role_id,
    )
    await service.sql(MOVE_ON)


# --- what there is ----------------------------------------------------------------------------


async def test_a_role_has_what_it_was_made_of(service: Service) -> None:
    made = await create(
        service.admin,
        "reviewer",
        "reviews.*",
        "keys.own",
        display_name="Reviewer",
        description="Reads,\nand says what it thinks.",
    )

    assert made.name == role("reviewer")
    assert (made.display_name, made.description) == (
        "Reviewer",
        "Reads,\nand says what it thinks.",
    )
    assert list(made.permissions) == ["keys.own", "reviews.*"]
    assert made.may_hold_keys
    assert not made.built_in
    assert made.create_time == made.update_time
    assert made == await get(service.admin, "reviewer")


async def test_who_is_given_an_own_role_may_do_what_it_says_and_nothing_else(
    service: Service,
) -> None:
    await create(service.admin, "auditor", "audit.read", "labels.read")
    person = await service.person("amy", "auditor")

    found = await service.admin.authenticate(person.token or "")
    assert found.role == role("auditor")
    assert list(found.permissions) == ["audit.read", "labels.read"]
    assert (await refusal(person.create_key())).reason == "CALLER_PERMISSION_MISSING"


async def test_the_built_in_roles_are_listed_first_and_then_the_own_ones_by_id(
    service: Service,
) -> None:
    for role_id in ("z-last", "0-first", "m-middle"):
        await create(service.admin, role_id)
    listed = (await service.admin.do("ListRoles", parent=PARENT, page_size=1000)).roles
    ids = [each.name.removeprefix(role("")) for each in listed]
    own = ids[len(BUILT_IN) :]

    assert ids[: len(BUILT_IN)] == BUILT_IN
    assert own == sorted(own)
    assert {"z-last", "0-first", "m-middle"} <= set(own)
    assert [each.built_in for each in listed] == [True] * len(BUILT_IN) + [False] * len(own)


async def test_pages_put_together_are_the_whole_list(service: Service) -> None:
    for number in range(3):
        await create(service.admin, f"page-{number}")
    whole = list((await service.admin.do("ListRoles", parent=PARENT, page_size=1000)).roles)
    pages, token = [], ""
    while True:
        reply = await service.admin.do("ListRoles", parent=PARENT, page_size=4, page_token=token)
        assert len(reply.roles) <= 4
        pages.extend(reply.roles)
        token = reply.next_page_token
        if not token:
            break

    assert pages == whole


async def test_a_page_token_is_good_for_its_caller_only(service: Service) -> None:
    first = await service.admin.do("ListRoles", parent=PARENT, page_size=2)
    other = await service.person("page-thief", "admin")
    stolen = {"page_size": 2, "page_token": first.next_page_token}

    error = await refusal(other.do("ListRoles", parent=PARENT, **stolen))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "PAGE_TOKEN_INVALID"


async def test_one_s_own_role_is_seen_without_permission_and_others_are_not(
    service: Service,
) -> None:
    await create(service.admin, "blinkered", "labels.read")
    person = await service.person("abe", "blinkered")

    assert (await get(person, "Blinkered")).name == role("blinkered")
    for call in (get(person, "member"), get(person, "no-such")):
        error = await refusal(call)
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "roles.read"
    listing = await refusal(person.do("ListRoles", parent=PARENT))
    assert listing.info.metadata["permission"] == "roles.read"


async def test_a_role_that_is_missing_or_another_workspace_s_is_not_found(
    service: Service,
) -> None:
    for name in (role("no-such"), "workspaces/system/roles/admin"):
        for call in (
            service.admin.do("GetRole", name=name),
            service.admin.do("UpdateRole", role={"name": name, "display_name": "x"}),
            service.admin.do("DeleteRole", name=name),
        ):
            error = await refusal(call)
            assert error.code is grpc.StatusCode.NOT_FOUND
            assert error.info.metadata["resource"] == name


async def test_an_id_is_read_without_regard_to_case_wherever_a_role_is_named(
    service: Service,
) -> None:
    await create(service.admin, "cased", "labels.read", "keys.own")
    made = await service.admin.create_user("cal", "CASED")
    created = await service.admin.create_key(user=made.name, role=role("Cased"))
    grant = await service.admin.do(
        "CreateGrant",
        parent=PARENT,
        grant={"user": made.name, "resource": "projects/case", "role": role("cAsEd")},
    )

    assert {made.role, created.key.role, grant.grant.role} == {role("cased")}
    assert (await get(service.admin, "CaseD")).name == role("cased")
    assert (await update(service.admin, "CASED", display_name="x")).name == role("cased")
    listed = await service.admin.list_users(filter={"role": role("CASED")})
    assert [each.name for each in listed.users] == [made.name]


# --- creation ---------------------------------------------------------------------------------


async def test_an_id_is_taken_once_and_a_built_in_one_never(service: Service) -> None:
    await create(service.admin, "twice")

    for role_id in ("twice", *BUILT_IN):
        error = await refusal(create(service.admin, role_id))
        assert error.code is grpc.StatusCode.ALREADY_EXISTS
        assert (error.reason, error.fields) == ("RESOURCE_ALREADY_EXISTS", ["role_id"])


async def test_of_two_who_take_an_id_at_once_one_gets_it(service: Service) -> None:
    results = await asyncio.gather(
        *(create(service.admin, "contested", "labels.read") for _ in range(5)),
        return_exceptions=True,
    )
    refused = [each.reason for each in results if isinstance(each, RefusedError)]
    assert refused == ["RESOURCE_ALREADY_EXISTS"] * 4


async def test_what_cannot_be_a_role_is_refused_naming_the_field(service: Service) -> None:
    for field, role_id, given in (
        ("role_id", "Upper", {}),
        ("role_id", "", {}),
        ("role.permissions[1]", "odd", {"permissions": ["labels.read", "labels..read"]}),
        ("role.permissions[0]", "odd", {"permissions": ["*.read"]}),
        ("role.permissions", "odd", {"permissions": ["labels.read", "labels.read"]}),
        ("role.permissions", "odd", {"permissions": [f"p.n{number}" for number in range(501)]}),
        ("role.display_name", "odd", {"display_name": "x" * 201}),
        ("role.description", "odd", {"description": "x" * 1001}),
    ):
        call = service.admin.do("CreateRole", parent=PARENT, role_id=role_id, role=given)
        error = await refusal(call)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", [field])


async def test_nobody_makes_a_role_of_more_than_it_has_itself(service: Service) -> None:
    await create(service.admin, "role-maker", "roles.manage", "labels.*")
    maker = await service.person("dot", "role-maker")

    for above in ("datasets.read", "labels", "keys.own", "*"):
        error = await refusal(create(maker, "more", "labels.read", above))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert error.info.metadata["field"] == "role.permissions"
        assert above in error.message
    await create(maker, "less", "labels.read", "roles.manage")
    error = await refusal(update(maker, "less", permissions=["labels.read", "users.read"]))
    assert error.reason == "AUTHORITY_EXCEEDED"
    assert list((await update(maker, "less", permissions=["labels.*"])).permissions) == ["labels.*"]


async def test_what_is_above_the_editor_may_stay_and_may_be_taken_away(service: Service) -> None:
    await create(service.admin, "editor-of-roles", "roles.manage", "labels.*")
    editor = await service.person("eli", "editor-of-roles")
    await create(service.admin, "above", "datasets.*", "users.read")

    kept = await update(editor, "above", permissions=["datasets.*", "users.read", "labels.read"])
    assert list(kept.permissions) == ["datasets.*", "labels.read", "users.read"]
    narrower = await update(editor, "above", permissions=["datasets.read"])
    assert list(narrower.permissions) == ["datasets.read"]
    back = await refusal(update(editor, "above", permissions=["datasets.*"]))
    assert back.reason == "AUTHORITY_EXCEEDED"


async def test_nobody_lets_keys_stand_again_that_may_do_more(service: Service) -> None:
    await create(service.admin, "switches-roles", "roles.manage", "labels.*")
    switcher = await service.person("dov", "switches-roles")
    await create(service.admin, "strong", "datasets.*")
    await create(service.admin, "weak", "labels.read")
    for role_id in ("strong", "weak"):
        await update(switcher, role_id, "may_hold_keys")

    error = await refusal(update(switcher, "strong", may_hold_keys=True))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "AUTHORITY_EXCEEDED"
    assert error.info.metadata["field"] == "role.may_hold_keys"
    assert (await update(switcher, "weak", may_hold_keys=True)).may_hold_keys
    assert (await update(service.admin, "strong", may_hold_keys=True)).may_hold_keys


async def test_a_narrowed_key_of_an_admin_makes_no_role_of_more_than_the_key_has(
    service: Service,
) -> None:
    narrow = await service.admin.create_key(scopes=["roles.manage", "labels.*"])
    caller = service.as_caller(narrow.token)

    assert (await refusal(create(caller, "wider", "datasets.read"))).reason == "AUTHORITY_EXCEEDED"
    await create(caller, "as-wide", "labels.write")


async def test_no_role_of_an_ordinary_workspace_reaches_into_others(service: Service) -> None:
    for crossing in ("workspaces.manage", "auth.authenticateAny"):
        error = await refusal(create(service.admin, "crossing", crossing))
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert crossing in error.message
    await create(service.admin, "by-pattern", "workspaces.*", "auth.*")
    person = await service.person("fay", "by-pattern")

    refused = await refusal(person.do("CreateWorkspace", workspace={}, workspace_id="never-made"))
    assert refused.info.metadata["permission"] == "workspaces.manage"
    hidden = await refusal(person.do("GetWorkspace", name="workspaces/system"))
    assert hidden.reason == "RESOURCE_NOT_FOUND"
    asked = person.authenticate(person.token or "", required_permissions=["workspaces.manage"])
    assert (await refusal(asked)).reason == "PERMISSION_MISSING"


async def test_a_member_makes_changes_and_deletes_no_roles(service: Service) -> None:
    await create(service.admin, "untouched")
    member = await service.person("gil", "member")

    for call in (
        create(member, "never-made"),
        update(member, "untouched", display_name="x"),
        update(member, "member", display_name="x"),
        delete(member, "untouched"),
        delete(member, "no-such"),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "roles.manage"


# --- edits ------------------------------------------------------------------------------------


async def test_an_edit_is_felt_by_keys_that_are_there_and_taken_back_it_is_too(
    service: Service,
) -> None:
    await create(service.admin, "shifting", "datasets.*", "keys.own")
    person = await service.person("hal", "shifting")
    scoped = (await person.create_key(scopes=["datasets.*"])).token

    await update(service.admin, "shifting", permissions=["datasets.read"])
    assert await permissions_of(service, person.token) == ["datasets.read"]
    assert await permissions_of(service, scoped) == ["datasets.read"]
    await update(service.admin, "shifting", permissions=["datasets.*", "keys.own", "labels.*"])
    assert await permissions_of(service, person.token) == ["datasets.*", "keys.own", "labels.*"]
    assert await permissions_of(service, scoped) == ["datasets.*"]
    await update(service.admin, "shifting", "permissions")
    assert await permissions_of(service, person.token) == []


async def test_an_edit_is_felt_where_a_grant_or_a_key_has_the_role(service: Service) -> None:
    await create(service.admin, "lent", "tasks.*")
    await service.admin.create_user("ida", "member")
    grant = {"user": user("ida"), "resource": "projects/lent", "role": role("lent")}
    await service.admin.do("CreateGrant", parent=PARENT, grant=grant)
    owned = await service.admin.create_key(user=user("ida"))
    narrowed = await service.admin.create_key(role=role("lent"))

    await update(service.admin, "lent", permissions=["tasks.read"])
    there = await permissions_of(service, owned.token, resource="projects/lent/1")
    assert "tasks.read" in there
    assert "tasks.*" not in there
    assert await permissions_of(service, narrowed.token) == ["tasks.read"]


async def test_who_may_not_hold_keys_any_more_has_dead_ones_until_it_may_again(
    service: Service,
) -> None:
    await create(service.admin, "holder", "labels.read")
    person = await service.person("jim", "holder")
    token = person.token or ""

    await update(service.admin, "holder", "may_hold_keys")
    error = await refusal(service.admin.authenticate(token))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "KEYS_NOT_ALLOWED"
    refused = await refusal(service.admin.create_key(user=user("jim")))
    assert refused.reason == "KEYS_NOT_ALLOWED"
    assert (await refusal(person.list_keys())).info.metadata["caller_reason"] == "KEYS_NOT_ALLOWED"

    await update(service.admin, "holder", may_hold_keys=True)
    assert await permissions_of(service, token) == ["labels.read"]


async def test_without_a_mask_only_what_is_given_changes(service: Service) -> None:
    made = await create(
        service.admin, "masked", "labels.read", display_name="Masked", description="what for"
    )
    changed = await update(service.admin, "masked", display_name="Renamed")

    assert changed.display_name == "Renamed"
    assert changed.description == "what for"
    assert changed.permissions == made.permissions
    assert changed.may_hold_keys
    assert changed.etag != made.etag
    assert changed.create_time == made.create_time


async def test_a_mask_empties_what_it_names_and_a_star_all(service: Service) -> None:
    given: dict[str, Any] = {"display_name": "Starred", "description": "what for"}
    await create(service.admin, "starred", "labels.read", **given)

    changed = await update(service.admin, "starred", "description", display_name="passed over")
    assert (changed.display_name, changed.description) == ("Starred", "")
    emptied = await update(service.admin, "starred", "*")
    assert emptied.display_name == ""
    assert list(emptied.permissions) == []
    assert not emptied.may_hold_keys


async def test_a_mask_of_nothing_or_of_what_cannot_change_is_refused(service: Service) -> None:
    await create(service.admin, "fixed", "labels.read")

    for paths in ((), ("name",), ("built_in",), ("permissions.0",), ("*", "display_name")):
        error = await refusal(update(service.admin, "fixed", *paths))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", ["update_mask"])


async def test_an_old_etag_changes_and_deletes_nothing(service: Service) -> None:
    made = await create(service.admin, "versioned", "labels.read")
    changed = await update(service.admin, "versioned", etag=made.etag, display_name="one")

    for call in (
        update(service.admin, "versioned", etag=made.etag, display_name="two"),
        delete(service.admin, "versioned", etag=made.etag),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.ABORTED
        assert error.reason == "ETAG_MISMATCH"
    assert await get(service.admin, "versioned") == changed
    same = await update(service.admin, "versioned", etag=changed.etag, display_name="one")
    assert same == changed
    await delete(service.admin, "versioned", etag=changed.etag)


async def test_built_in_roles_neither_change_nor_go(service: Service) -> None:
    before = (await service.admin.do("ListRoles", parent=PARENT)).roles[: len(BUILT_IN)]

    for role_id in BUILT_IN:
        for call in (
            update(service.admin, role_id, display_name="x"),
            update(service.admin, role_id.upper(), "permissions"),
            delete(service.admin, role_id),
        ):
            error = await refusal(call)
            assert error.code is grpc.StatusCode.FAILED_PRECONDITION
            assert error.reason == "BUILT_IN_IMMUTABLE"
    after = (await service.admin.do("ListRoles", parent=PARENT)).roles[: len(BUILT_IN)]
    assert after == before


# --- deletion ---------------------------------------------------------------------------------


async def test_a_role_that_nobody_has_is_deleted_and_its_id_is_free(service: Service) -> None:
    made = await create(service.admin, "brief", "labels.read")
    assert await delete(service.admin, "Brief") == made

    assert (await refusal(get(service.admin, "brief"))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(delete(service.admin, "brief"))).reason == "RESOURCE_NOT_FOUND"
    await create(service.admin, "brief", "labels.write")


async def test_a_role_that_is_had_stays_and_it_is_said_by_whom(service: Service) -> None:
    await create(service.admin, "in-use", "labels.read")
    await service.admin.create_user("kay", "in-use")
    bound = {"user": user("kay"), "resource": "projects/used", "role": role("in-use")}
    grant = {"parent": PARENT, "grant_id": "of-in-use", "grant": bound}
    await service.admin.do("CreateGrant", **grant)
    await service.admin.create_key(key_id="narrowed-to-it", role=role("in-use"))

    async def used_by() -> set[str]:
        error = await refusal(delete(service.admin, "in-use"))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "RESOURCE_IN_USE"
        return set(error.info.metadata["used_by"].split(","))

    assert await used_by() == {"users/kay", "grants/of-in-use", "keys/narrowed-to-it"}
    changed = {"name": user("kay"), "role": role("member")}
    await service.admin.do("UpdateUser", user=changed)
    assert await used_by() == {"grants/of-in-use", "keys/narrowed-to-it"}
    await service.admin.do("DeleteGrant", name=f"{PARENT}/grants/of-in-use")
    assert await used_by() == {"keys/narrowed-to-it"}
    await service.admin.delete_key(f"{PARENT}/keys/narrowed-to-it")
    await delete(service.admin, "in-use")


async def test_of_many_who_have_a_role_some_are_named_and_the_others_counted(
    service: Service,
) -> None:
    await create(service.admin, "popular")
    await asyncio.gather(*(service.admin.create_user(f"fan-{n}", "popular") for n in range(8)))
    error = await refusal(delete(service.admin, "popular"))

    named = error.info.metadata["used_by"].split(",")
    assert 0 < len(named) < 8
    assert f"{8 - len(named)} more" in error.message


# --- an admin remains -------------------------------------------------------------------------


async def an_edit_that_would_leave_no_admin(service: Service) -> None:
    """The only admin is one by a role of the workspace's own."""
    (boss,) = await only_admins_by(service, "boss")
    try:
        for paths, given in (
            (("permissions",), {"permissions": ["keys.any", "roles.manage", "users.manage"]}),
            (("permissions",), {}),
            (("may_hold_keys",), {}),  # an admin without any key could do nothing
            (("*",), {}),
        ):
            error = await refusal(update(boss, "boss", *paths, **given))
            assert error.code is grpc.StatusCode.FAILED_PRECONDITION
            assert error.reason == "LAST_ADMIN"
        renamed = await update(boss, "boss", display_name="Boss")
        assert list(renamed.permissions) == ["*"]
    finally:
        await set_first_admin_s_role(service, "admin")


async def test_an_edit_that_would_leave_no_admin_is_refused(service: Service) -> None:
    await an_edit_that_would_leave_no_admin(service)
    # Another admin is there again, so the very same edit is allowed.
    await update(service.admin, "boss", permissions=["labels.read"])


async def edits_at_once_that_would_leave_no_admin(service: Service) -> None:
    """Two roles make one admin each, and are edited at once: each sees the other's admin."""
    await create(service.admin, "roles-only", "roles.manage")
    callers = [await service.person(f"edits-{n}", "roles-only") for n in range(2)]
    await only_admins_by(service, "left", "right")
    try:
        async with held_up_at_their_events(service, calls=2):
            calls = [
                asyncio.create_task(update(caller, role_id, "permissions"))
                for caller, role_id in zip(callers, ("left", "right"), strict=True)
            ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        rows = await service.sql(
            "SELECT count(*) FROM keywright.user u JOIN keywright.role r ON r.id = u.role "
            "WHERE user_id IN ('has-left', 'has-right') AND '*' = ANY(r.permissions)"
        )
    finally:
        await set_first_admin_s_role(service, "admin")
    assert rows[0][0] == 1
    refused = [each.reason for each in results if isinstance(each, RefusedError)]
    assert refused == ["LAST_ADMIN"]


async def test_of_two_edits_at_once_that_would_leave_no_admin_one_is_refused(
    service: Service,
) -> None:
    await edits_at_once_that_would_leave_no_admin(service)


async def test_an_admin_is_who_has_all_permissions_by_whatever_role(service: Service) -> None:
    await no_other_admins(service)
    await create(service.admin, "almost-all", "keys.*", "users.*", "roles.*")
    await create(service.admin, "all-but-in-name", "*")
    await create(service.admin, "all-without-keys", "*", may_hold_keys=False)

    for role_id in ("almost-all", "all-without-keys"):
        demotion = {"name": ADMIN, "role": role(role_id)}
        assert (await refusal(service.admin.do("UpdateUser", user=demotion))).reason == "LAST_ADMIN"
    for role_id in ("all-but-in-name", "admin"):
        changed = {"name": ADMIN, "role": role(role_id)}
        assert (await service.admin.do("UpdateUser", user=changed)).user.role == role(role_id)

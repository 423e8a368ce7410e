"""Grants: who gets which role on which resource, who may give it, and who sees that."""

import asyncio
from typing import Any

import grpc

from keywright.v1 import grant_pb2
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, refusal


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def give(
    caller: Caller, user_id: str, resource: str, role_id: str = "editor", *, grant_id: str = ""
) -> grant_pb2.Grant:
    grant = {"user": user(user_id), "resource": resource, "role": role(role_id)}
    reply = await caller.do("CreateGrant", parent=PARENT, grant=grant, grant_id=grant_id)
    return reply.grant


async def get(caller: Caller, name: str) -> grant_pb2.Grant:
    return (await caller.do("GetGrant", name=name)).grant


async def take(caller: Caller, name: str) -> grant_pb2.Grant:
    return (await caller.do("DeleteGrant", name=name)).grant


async def listed(caller: Caller, **only: str) -> list[str]:
    """Names of the grants that match a filter."""
    reply = await caller.do("ListGrants", parent=PARENT, filter=only, page_size=1000)
    assert not reply.next_page_token
    return [each.name for each in reply.grants]


async def may(service: Service, token: str | None, permission: str, resource: str = "") -> bool:
    """Whether a token has a permission on a resource."""
    try:
        await service.admin.authenticate(
            token or "", resource=resource, required_permissions=[permission]
        )
    except RefusedError as refused:
        if refused.reason != "PERMISSION_MISSING":
            raise
        return False
    return True


async def own_role(service: Service, role_id: str, *permissions: str) -> None:
    given = {"permissions": permissions, "may_hold_keys": True}
    await service.admin.do("CreateRole", parent=PARENT, role_id=role_id, role=given)


# --- what a grant does ------------------------------------------------------------------------


async def test_a_grant_says_who_has_what_where_and_who_gave_it(service: Service) -> None:
    await service.admin.create_user("ann")
    made = await give(service.admin, "ANN@example.com", "projects/told", "Editor", grant_id="told")

    assert made.name == f"{PARENT}/grants/told"
    assert (made.user, made.user_email) == (user("ann"), "ann@example.com")
    assert (made.resource, made.role) == ("projects/told", role("editor"))
    assert made.creator == ADMIN
    assert made.create_time.seconds
    assert made == await get(service.admin, made.name)


async def test_a_key_that_is_there_feels_a_grant_at_once_and_its_end_too(service: Service) -> None:
    person = await service.person("bea", "collaborator")
    assert not await may(service, person.token, "projects.write", "projects/live")

    made = await give(service.admin, "bea", "projects/live")
    assert await may(service, person.token, "projects.write", "projects/live")
    assert await take(service.admin, made.name) == made
    assert not await may(service, person.token, "projects.write", "projects/live")
    assert await may(service, person.token, "projects.read", "projects/live")  # by her role


async def test_a_grant_covers_its_resource_and_all_below_and_nothing_beside(
    service: Service,
) -> None:
    person = await service.person("cal", "labeler")
    await give(service.admin, "cal", "projects/a")

    for resource in ("projects/a", "projects/a/tasks", "projects/a/tasks/1"):
        assert await may(service, person.token, "projects.write", resource)
    for resource in ("", "projects", "projects/ab", "projects/A", "projects/b", "x/projects/a"):
        assert not await may(service, person.token, "projects.write", resource)


async def test_grants_on_one_resource_and_above_it_add_up(service: Service) -> None:
    person = await service.person("dan", "labeler")
    await own_role(service, "tasks-only", "tasks.read")
    await give(service.admin, "dan", "projects/sum", "viewer")
    await give(service.admin, "dan", "projects/sum/1", "tasks-only")

    below = await service.admin.authenticate(person.token or "", resource="projects/sum/1/x")
    assert list(below.permissions) == [
        *("datasets.read", "keys.own", "labels.*", "projects.read", "tasks.read"),
    ]
    assert not await may(service, person.token, "tasks.read", "projects/sum")


async def test_a_key_s_own_limits_hold_for_what_grants_give(service: Service) -> None:
    person = await service.person("eli", "collaborator")
    await give(service.admin, "eli", "projects/limits", "manager")
    scoped = (await person.create_key(scopes=["projects.read", "datasets.*"])).token
    bound = (await person.create_key(resource="projects/limits/1")).token

    assert await may(service, scoped, "datasets.write", "projects/limits")
    assert not await may(service, scoped, "projects.write", "projects/limits")
    assert await may(service, bound, "projects.write", "projects/limits/1")
    error = await refusal(service.admin.authenticate(bound, resource="projects/limits"))
    assert error.reason == "RESOURCE_MISMATCH"


async def test_a_guest_with_a_grant_holds_no_keys_for_all_that(service: Service) -> None:
    await service.admin.create_user("fay", "guest")
    await give(service.admin, "fay", "projects/guests", "manager")

    refused = await refusal(service.admin.create_key(user=user("fay")))
    assert refused.reason == "KEYS_NOT_ALLOWED"


# --- giving -----------------------------------------------------------------------------------


async def test_the_same_grant_is_given_once_and_an_id_is_taken_once(service: Service) -> None:
    await service.admin.create_user("gil")
    await give(service.admin, "gil", "projects/once", grant_id="once")

    same = await refusal(give(service.admin, "gil@example.com", "projects/once", "EDITOR"))
    assert same.code is grpc.StatusCode.ALREADY_EXISTS
    assert (same.reason, same.fields) == ("RESOURCE_ALREADY_EXISTS", ["grant"])
    taken = await refusal(give(service.admin, "gil", "projects/other", grant_id="once"))
    assert (taken.reason, taken.fields) == ("RESOURCE_ALREADY_EXISTS", ["grant_id"])
    await give(service.admin, "gil", "projects/once", "viewer")
    await give(service.admin, "gil", "projects/once/below")


async def test_a_user_has_a_thousand_grants_and_no_more(service: Service) -> None:
    await service.admin.create_user("gus")
    await service.sql(
        'INSERT INTO keywright.grant (workspace, grant_id, "user", resource, role, role_scope) '
        "SELECT u.workspace, 'of-gus-' || n, u.id, 'many/' || n, r.id, r.scope "
        "FROM keywright.user u, keywright.role r, generate_series(1, 999) AS n "
        "WHERE u.user_id = 'gus' AND r.role_id = 'viewer'"
    )
    await give(service.admin, "gus", "many/last")

    error = await refusal(give(service.admin, "gus", "many/more"))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["grant.user"])
    await service.admin.do("DeleteUser", name=user("gus"))


async def test_of_many_who_give_the_same_at_once_one_does(service: Service) -> None:
    await service.admin.create_user("hal")
    results = await asyncio.gather(
        *(give(service.admin, "hal", "projects/at-once") for _ in range(5)),
        return_exceptions=True,
    )

    refused = [each.reason for each in results if isinstance(each, RefusedError)]
    assert refused == ["RESOURCE_ALREADY_EXISTS"] * 4
    assert len(await listed(service.admin, user=user("hal"))) == 1


async def test_what_cannot_be_a_grant_is_refused_naming_the_field(service: Service) -> None:
    whole = {"user": ADMIN, "resource": "projects/odd", "role": role("viewer")}

    for field, given in (
        ("grant.resource", {"resource": ""}),
        ("grant.resource", {"resource": "projects//odd"}),
        ("grant.resource", {"resource": "/projects"}),
        ("grant.user", {"user": ""}),
        ("grant.user", {"user": "users/ann"}),
        ("grant.role", {"role": ""}),
        ("grant.role", {"role": "editor"}),
    ):
        call = service.admin.do("CreateGrant", parent=PARENT, grant={**whole, **given})
        error = await refusal(call)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", [field])


async def test_who_or_what_is_not_there_or_another_workspace_s_is_not_found(
    service: Service,
) -> None:
    await service.admin.create_user("ida")
    whole = {"user": user("ida"), "resource": "projects/none", "role": role("viewer")}

    for given in (
        {"user": user("nobody")},
        {"user": user("nobody@example.com")},
        {"user": "workspaces/system/users/ida"},
        {"role": role("no-such")},
        {"role": "workspaces/system/roles/viewer"},
    ):
        call = service.admin.do("CreateGrant", parent=PARENT, grant={**whole, **given})
        error = await refusal(call)
        assert error.code is grpc.StatusCode.NOT_FOUND
        assert [error.info.metadata["resource"]] == list(given.values())


async def a_role_above_the_giver_s_authority(service: Service) -> None:
    """Who may give grants on a resource gives no more than what it may do there itself."""
    await own_role(service, "granter", "grants.manage", "keys.own")
    giver = await service.person("jim", "granter")
    await service.admin.create_user("jon")
    await give(service.admin, "jim", "projects/limited", "viewer")

    for resource, above in (
        ("projects/limited", "editor"),
        ("projects/limited", "manager"),
        ("projects/limited", "admin"),
        ("projects/elsewhere", "viewer"),
        ("projects", "viewer"),
    ):
        error = await refusal(give(giver, "jon", resource, above))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert error.info.metadata["field"] == "grant.role"
    given = await give(giver, "jon", "projects/limited/1", "viewer")
    assert given.creator == user("jim")


async def test_nobody_gives_what_it_may_not_do_there_itself(service: Service) -> None:
    await a_role_above_the_giver_s_authority(service)


async def test_a_narrowed_key_of_an_admin_gives_no_more_than_the_key_may_do(
    service: Service,
) -> None:
    await service.admin.create_user("kay")
    scopes = ["grants.manage", "projects.*", "datasets.read", "labels.read"]
    caller = service.as_caller((await service.admin.create_key(scopes=scopes)).token)

    error = await refusal(give(caller, "kay", "projects/narrow", "editor"))
    assert error.reason == "AUTHORITY_EXCEEDED"
    await give(caller, "kay", "projects/narrow", "viewer")


async def test_grants_manage_that_was_given_on_a_resource_works_there_only(
    service: Service,
) -> None:
    await own_role(service, "local-granter", "grants.manage", "projects.*")
    await own_role(service, "reads-projects", "projects.read")
    giver = await service.person("lea", "labeler")
    await service.admin.create_user("leo")
    await give(service.admin, "lea", "projects/local", "local-granter")
    elsewhere = await give(service.admin, "leo", "projects/far", "reads-projects")

    for resource in ("projects/far", "projects", "projects/locals"):
        error = await refusal(give(giver, "leo", resource, "reads-projects"))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "grants.manage"
    assert (await refusal(take(giver, elsewhere.name))).reason == "RESOURCE_NOT_FOUND"

    here = await give(giver, "leo", "projects/local/1", "reads-projects")
    assert await get(giver, here.name) == here
    assert here.name in await listed(giver)
    assert elsewhere.name not in await listed(giver)
    await take(giver, here.name)


async def test_who_may_not_give_grants_learns_nothing_of_who_there_is(service: Service) -> None:
    member = await service.person("max", "member")
    await service.admin.create_user("mia")

    errors = [
        await refusal(give(member, user_id, "projects/secret", role_id))
        for user_id, role_id in (("mia", "viewer"), ("nobody", "viewer"), ("max", "viewer"))
    ]
    assert {each.reason for each in errors} == {"CALLER_PERMISSION_MISSING"}
    assert len({each.message for each in errors}) == 1


async def test_nobody_takes_a_grant_away_that_it_only_sees(service: Service) -> None:
    await own_role(service, "grant-reader", "grants.read")
    await give(service.admin, "admin", "projects/kept", grant_id="kept")
    reader = await service.person("nia", "grant-reader")
    own = await give(service.admin, "nia", "projects/kept")

    for name in (f"{PARENT}/grants/kept", own.name):
        assert (await get(reader, name)).name == name
        error = await refusal(take(reader, name))
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "grants.manage"
    assert (await refusal(give(reader, "nia", "projects/kept"))).reason == (
        "CALLER_PERMISSION_MISSING"
    )


async def test_what_was_taken_away_is_gone_and_may_be_given_again(service: Service) -> None:
    await service.admin.create_user("oli")
    made = await give(service.admin, "oli", "projects/again", grant_id="again")
    await take(service.admin, made.name)

    for call in (get(service.admin, made.name), take(service.admin, made.name)):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.NOT_FOUND
        assert error.info.metadata["resource"] == made.name
    await give(service.admin, "oli", "projects/again", grant_id="again")


async def test_of_many_who_take_a_grant_away_at_once_one_does(service: Service) -> None:
    await service.admin.create_user("pam")
    made = await give(service.admin, "pam", "projects/contested")
    results = await asyncio.gather(
        *(take(service.admin, made.name) for _ in range(5)), return_exceptions=True
    )

    refused = [each.reason for each in results if isinstance(each, RefusedError)]
    assert refused == ["RESOURCE_NOT_FOUND"] * 4
    events = await service.sql(
        "SELECT count(*) FROM keywright.audit_event WHERE resource = $1 "
        "AND action = 'DeleteGrant' AND outcome = 'DONE'",
        made.name,
    )
    assert events[0][0] == 1


async def test_grants_go_with_their_user(service: Service) -> None:
    made = await service.admin.create_user("quy")
    grant = await give(service.admin, "quy", "projects/gone", grant_id="of-quy")
    await service.admin.do("DeleteUser", name=made.name)

    assert (await refusal(get(service.admin, grant.name))).reason == "RESOURCE_NOT_FOUND"
    assert await listed(service.admin, resource="projects/gone") == []
    events = await service.sql(
        "SELECT actor FROM keywright.audit_event WHERE resource = $1 AND action = 'DeleteGrant'",
        grant.name,
    )
    assert [event["actor"] for event in events] == [ADMIN]
    again = await service.person("quy", "collaborator")
    assert not await may(service, again.token, "projects.write", "projects/gone")


# --- seeing -----------------------------------------------------------------------------------


async def test_everybody_sees_the_own_grants_and_readers_all(service: Service) -> None:
    await own_role(service, "sees-grants", "grants.read")
    ray, reader = await service.person("ray", "labeler"), await service.person("rob", "sees-grants")
    own = await give(service.admin, "ray", "projects/sight")
    other = await give(service.admin, "rob", "projects/sight")

    assert await get(ray, own.name) == own
    assert await listed(ray) == [own.name]
    assert await listed(ray, user=user("Ray@Example.com")) == [own.name]
    assert {own.name, other.name} <= set(await listed(reader))
    hidden = await refusal(get(ray, other.name))
    missing = await refusal(get(ray, f"{PARENT}/grants/no-such"))
    assert hidden.reason == missing.reason == "RESOURCE_NOT_FOUND"
    assert hidden.message.replace(other.name, f"{PARENT}/grants/no-such") == missing.message


async def test_grants_read_that_was_given_on_a_resource_shows_what_is_there_and_below(
    service: Service,
) -> None:
    await own_role(service, "local-reader", "grants.read")
    sam = await service.person("sam", "labeler")
    await service.admin.create_user("sol")
    seeing = await give(service.admin, "sam", "projects/seen", "local-reader")
    seen = [
        await give(service.admin, "sol", resource, "viewer")
        for resource in ("projects/seen", "projects/seen/1")
    ]
    unseen = [
        await give(service.admin, "sol", resource, "viewer")
        for resource in ("projects/seen-not", "projects", "projects/unseen")
    ]

    assert set(await listed(sam)) == {seeing.name, *(each.name for each in seen)}
    for each in seen:
        assert await get(sam, each.name) == each
    for each in unseen:
        assert (await refusal(get(sam, each.name))).reason == "RESOURCE_NOT_FOUND"


async def test_a_list_has_what_matches_newest_first(service: Service) -> None:
    for user_id in ("tea", "tim"):
        await service.admin.create_user(user_id)
    made = {
        (user_id, resource, role_id): (await give(service.admin, user_id, resource, role_id)).name
        for user_id in ("tea", "tim")
        for resource in ("shelves/1", "shelves/1/x")
        for role_id in ("viewer", "editor")
    }

    def expected(**only: str) -> list[str]:
        wanted = only.values()
        return [name for key, name in reversed(made.items()) if set(wanted) <= set(key)]

    assert await listed(service.admin, user=user("tea")) == expected(user="tea")
    assert await listed(service.admin, user=user("TIM@example.com")) == expected(user="tim")
    assert await listed(service.admin, resource="shelves/1") == expected(resource="shelves/1")
    both = {"user": user("tim"), "role": role("EDITOR")}
    assert await listed(service.admin, **both) == expected(user="tim", role="editor")
    assert await listed(service.admin, resource="shelves/2") == []


async def test_a_filter_by_who_or_what_is_not_there_is_not_found(service: Service) -> None:
    labeler = await service.person("uma", "labeler")

    for caller, only in (
        (service.admin, {"user": user("nobody")}),
        (service.admin, {"user": "workspaces/system/users/uma"}),
        (service.admin, {"role": role("no-such")}),
        (labeler, {"user": ADMIN}),
    ):
        assert (await refusal(listed(caller, **only))).reason == "RESOURCE_NOT_FOUND"


async def test_pages_put_together_are_the_whole_list(service: Service) -> None:
    await service.admin.create_user("val")
    for number in range(5):
        await give(service.admin, "val", f"pages/{number}")
    only: dict[str, Any] = {"parent": PARENT, "filter": {"user": user("val")}}
    pages: list[str] = []
    token = ""
    while True:
        reply = await service.admin.do("ListGrants", **only, page_size=2, page_token=token)
        assert len(reply.grants) <= 2
        pages.extend(each.name for each in reply.grants)
        token = reply.next_page_token
        if not token:
            break
        stolen = refusal(service.admin.do("ListGrants", parent=PARENT, page_token=token))
        assert (await stolen).reason == "PAGE_TOKEN_INVALID"

    assert pages == await listed(service.admin, user=user("val"))

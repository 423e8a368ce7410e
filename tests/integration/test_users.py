"""Users: who may make them, see them, disable them; and that an admin always remains."""

import asyncio

import grpc
import pytest

from keywright.v1 import key_pb2, user_pb2, user_service_pb2
from tests.support.service import ADMIN, PARENT, Caller, Service, refusal


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


async def create(caller: Caller, user_id: str = "", **given: object) -> user_pb2.User:
    """CreateUser with nothing but what is given."""
    spec = user_pb2.User(**given)  # type: ignore[arg-type]  # whatever a caller might send
    request = user_service_pb2.CreateUserRequest(parent=PARENT, user_id=user_id, user=spec)
    return (await caller.users("CreateUser", request)).user


# --- creation ---------------------------------------------------------------------------------


async def test_a_new_user_is_a_guest_and_a_person_unless_told_otherwise(service: Service) -> None:
    made = await create(service.admin, "ann", email="Ann@Example.com")

    assert made.name == user("ann")
    assert made.email == "Ann@Example.com"
    assert made.role == role("guest")
    assert made.kind == user_pb2.USER_KIND_HUMAN
    assert made.state == user_pb2.USER_STATE_ACTIVE
    assert made == await service.admin.get_user(user("ann"))


async def test_an_id_is_given_where_none_is_chosen(service: Service) -> None:
    one = await create(service.admin, email="given-1@example.com")
    two = await create(service.admin, email="given-2@example.com")

    assert one.name != two.name
    assert (await service.admin.get_user(one.name)).email == "given-1@example.com"


async def test_all_that_is_asked_for_is_on_the_record(service: Service) -> None:
    asked = {
        "email": "bot@example.com",
        "display_name": "Build 🤖",
        "kind": user_pb2.USER_KIND_SERVICE,
        "external_id": "auth0|62af",
        "labels": {"team": "vision"},
    }
    made = await create(service.admin, "bot", role=role("Authenticator"), **asked)

    assert made.role == role("authenticator")
    for field, value in asked.items():
        found = getattr(made, field)
        assert (dict(found) if field == "labels" else found) == value


async def test_a_person_needs_an_address_and_a_service_does_not(service: Service) -> None:
    error = await refusal(create(service.admin, "no-address"))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["user.email"])

    made = await create(service.admin, "silent", kind=user_pb2.USER_KIND_SERVICE)
    assert made.email == ""


async def test_ids_addresses_and_external_ids_are_taken_once(service: Service) -> None:
    await create(service.admin, "bea", email="bea@example.com", external_id="x-1")

    for field, user_id, given in (
        ("user_id", "bea", {"email": "other@example.com"}),
        ("user.email", "bea-2", {"email": "BEA@Example.COM"}),
        ("user.external_id", "bea-3", {"email": "bea-3@example.com", "external_id": "x-1"}),
    ):
        error = await refusal(create(service.admin, user_id, **given))
        assert error.code is grpc.StatusCode.ALREADY_EXISTS
        assert (error.reason, error.fields) == ("RESOURCE_ALREADY_EXISTS", [field])


async def test_the_same_address_in_another_workspace_is_another_user(service: Service) -> None:
    await service.sql(
        "INSERT INTO keywright.user "
        "(workspace, user_id, kind, email, email_key, role, role_scope) "
        "SELECT w.id, 'cem', 'HUMAN', 'cem@example.com', 'cem@example.com', r.id, r.scope "
        "FROM keywright.workspace w, keywright.role r "
        "WHERE w.workspace_id = 'system' AND r.role_id = 'guest'"
    )
    made = await create(service.admin, "cem", email="cem@example.com")

    assert made.name == user("cem")
    error = await refusal(service.admin.get_user("workspaces/system/users/cem@example.com"))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_member_makes_no_users(service: Service) -> None:
    dan = await service.person("dan")

    for call in (
        create(dan, "eve", email="eve@example.com"),
        dan.disable_user(ADMIN),
        dan.enable_user(ADMIN),
        dan.disable_user(user("nobody")),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "users.manage"


async def test_nobody_gives_a_role_above_its_own_authority(service: Service) -> None:
    narrow = await service.admin.create_key(scopes=["users.manage", "keys.own", "labels.*"])
    caller = service.as_caller(narrow.token)

    for above in ("admin", "member", "collaborator", "authenticator", "manager"):
        error = await refusal(create(caller, email="fay@example.com", role=role(above)))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert error.info.metadata["field"] == "user.role"
    made = await create(caller, "fay", email="fay@example.com", role=role("labeler"))
    assert made.role == role("labeler")


async def test_a_role_that_is_not_there_is_not_found(service: Service) -> None:
    for name in (role("no-such"), "workspaces/system/roles/admin"):
        error = await refusal(create(service.admin, email="gil@example.com", role=name))
        assert error.reason == "RESOURCE_NOT_FOUND"
    request = user_service_pb2.CreateUserRequest(
        parent="workspaces/system", user=user_pb2.User(email="gil@example.com")
    )
    assert (await refusal(service.admin.users("CreateUser", request))).reason == (
        "RESOURCE_NOT_FOUND"
    )


# --- who sees whom ----------------------------------------------------------------------------


async def test_everybody_sees_itself_and_readers_see_all(service: Service) -> None:
    hal, ida = await service.person("hal", "labeler"), await service.person("ida", "member")

    for name in (user("hal"), user("hal@example.com"), user("HAL@example.com")):
        assert (await hal.get_user(name)).name == user("hal")
    assert (await ida.get_user(user("hal"))).email == "hal@example.com"
    hidden = await refusal(hal.get_user(user("ida")))
    missing = await refusal(hal.get_user(user("nobody")))
    assert hidden.reason == missing.reason == "RESOURCE_NOT_FOUND"
    assert hidden.message.replace("ida", "nobody") == missing.message


async def test_listing_users_needs_users_read(service: Service) -> None:
    jim, kay = await service.person("jim", "labeler"), await service.person("kay", "member")

    error = await refusal(jim.list_users())
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert error.info.metadata["permission"] == "users.read"
    assert user("jim") in [each.name for each in (await kay.list_users()).users]


# --- disabling and enabling -------------------------------------------------------------------


async def test_a_disabled_user_s_keys_are_dead_at_once_and_alive_again_when_enabled(
    service: Service,
) -> None:
    lea = await service.person("lea")
    tokens = [lea.token or "", (await lea.create_key()).token]
    disabled = await service.admin.disable_user(user("lea@example.com"))

    assert disabled.user.state == user_pb2.USER_STATE_DISABLED
    for token in tokens:
        error = await refusal(service.admin.authenticate(token))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert error.reason == "USER_DISABLED"
    assert (await refusal(lea.list_keys())).reason == "CALLER_CREDENTIAL_INVALID"

    enabled = await service.admin.enable_user(user("lea"))
    assert enabled.user.state == user_pb2.USER_STATE_ACTIVE
    for token in tokens:
        await service.admin.authenticate(token)


async def test_what_was_revoked_stays_revoked_when_its_user_is_enabled(service: Service) -> None:
    await service.admin.create_user("max")
    created = await service.admin.create_key(user=user("max"))
    await service.admin.disable_user(user("max"))
    await service.admin.revoke_key(created.key.name)
    await service.admin.enable_user(user("max"))

    assert (await refusal(service.admin.authenticate(created.token))).reason == "KEY_REVOKED"
    assert (await service.admin.get_key(created.key.name)).state == key_pb2.KEY_STATE_REVOKED


async def test_disabling_and_enabling_may_be_repeated(service: Service) -> None:
    await service.admin.create_user("nia")
    first = await service.admin.disable_user(user("nia"))
    again = await service.admin.disable_user(user("nia"))
    assert again.user == first.user

    first_enabled = await service.admin.enable_user(user("nia"))
    again_enabled = await service.admin.enable_user(user("nia"))
    assert again_enabled.user == first_enabled.user
    assert len({first.user.etag, first_enabled.user.etag}) == 2


async def test_a_change_under_an_old_etag_is_refused(service: Service) -> None:
    made = await service.admin.create_user("oli")
    disable = user_service_pb2.DisableUserRequest(name=made.name, etag=made.etag)
    disabled = await service.admin.users("DisableUser", disable)

    enable = user_service_pb2.EnableUserRequest(name=made.name, etag=made.etag)
    error = await refusal(service.admin.users("EnableUser", enable))
    assert error.code is grpc.StatusCode.ABORTED
    assert error.reason == "ETAG_MISMATCH"
    assert (await service.admin.get_user(made.name)).state == user_pb2.USER_STATE_DISABLED
    enable.etag = disabled.user.etag
    await service.admin.users("EnableUser", enable)


async def test_disabling_somebody_who_is_not_there_is_not_found(service: Service) -> None:
    for name in (user("nobody"), user("nobody@example.com"), "workspaces/system/users/admin"):
        assert (await refusal(service.admin.disable_user(name))).reason == "RESOURCE_NOT_FOUND"


# --- the last admin ---------------------------------------------------------------------------


async def test_the_last_admin_cannot_be_disabled(service: Service) -> None:
    await service.person("pia", "member")
    error = await refusal(service.admin.disable_user(ADMIN))

    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "LAST_ADMIN"
    await service.admin.authenticate(service.admin_token)


async def test_a_disabled_admin_does_not_count_as_another(service: Service) -> None:
    other = (await service.admin.create_user("quy", "admin")).name
    await service.admin.disable_user(other)
    try:
        assert (await refusal(service.admin.disable_user(ADMIN))).reason == "LAST_ADMIN"
    finally:
        await service.sql("DELETE FROM keywright.user WHERE user_id = 'quy'")


async def test_an_admin_may_go_when_another_stays(service: Service) -> None:
    ray = await service.person("ray", "admin")
    await ray.disable_user(ADMIN)
    try:
        error = await refusal(ray.disable_user(user("ray")))
    finally:
        await ray.enable_user(ADMIN)
    assert error.reason == "LAST_ADMIN"
    await service.admin.disable_user(user("ray"))


@pytest.mark.parametrize("attempt", range(3))
async def test_of_two_admins_who_disable_each_other_at_once_exactly_one_wins(
    service: Service, attempt: int
) -> None:
    rival = await service.person(f"rival-{attempt}", "admin")
    results = await asyncio.gather(
        service.admin.disable_user(user(f"rival-{attempt}")),
        rival.disable_user(ADMIN),
        return_exceptions=True,
    )
    states = await service.sql(
        "SELECT state FROM keywright.user WHERE user_id = ANY($1)", ["admin", f"rival-{attempt}"]
    )
    await service.sql("UPDATE keywright.user SET state = 'ACTIVE' WHERE user_id = 'admin'")
    await service.sql(
        "UPDATE keywright.user SET state = 'DISABLED' WHERE user_id = $1", f"rival-{attempt}"
    )

    assert sorted(row[0] for row in states) == ["ACTIVE", "DISABLED"]
    assert sum(isinstance(each, BaseException) for each in results) == 1

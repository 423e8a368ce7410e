"""Changes of users: who may make which, and what becomes of the keys of who is changed or gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from keywright.v1 import key_pb2, user_pb2
from tests.integration.test_roles import no_other_admins, set_first_admin_s_role
from tests.integration.test_transactions import held_up_at_their_events
from tests.integration.test_workspaces import seen_when_told
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, refusal

SERVICE = user_pb2.USER_KIND_SERVICE
ALL_STATES = [value for value in key_pb2.KeyState.values() if value]
FLOOD_SECONDS = 3


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


async def update(caller: Caller, user_id: str, *paths: str, **given: Any) -> user_pb2.User:
    mask = {"paths": paths} if paths else None
    changed = {"name": user(user_id), **given}
    return (await caller.do("UpdateUser", user=changed, update_mask=mask)).user


async def delete(caller: Caller, user_id: str, **more: Any) -> user_pb2.User:
    return (await caller.do("DeleteUser", name=user(user_id), **more)).user


async def own_role(service: Service, role_id: str, *permissions: str) -> None:
    given = {"permissions": permissions, "may_hold_keys": True}
    await service.admin.do("CreateRole", parent=PARENT, role_id=role_id, role=given)


async def steward(service: Service, name: str) -> Caller:
    """Somebody who may manage users, and what a labeler may."""
    await own_role(service, name, "users.manage", "keys.own", "labels.*")
    return await service.person(name, name)


async def permissions_of(service: Service, caller: Caller) -> list[str]:
    return list((await service.admin.authenticate(caller.token or "")).permissions)


async def keys(caller: Caller, **only: Any) -> list[str]:
    """Names of all keys that match, in whatever state."""
    listed = await caller.list_keys(filter={"states": ALL_STATES, **only}, page_size=1000)
    return [key.name for key in listed.keys]


# --- what changes -----------------------------------------------------------------------------


async def test_all_that_can_change_does_and_nothing_else(service: Service) -> None:
    made = await service.admin.create_user("ann")
    changed = await update(
        service.admin,
        "ann",
        email="Ann.New@Example.com",
        display_name="Ann N.",
        role=role("Labeler"),
        external_id="sso|1",
        labels={"team": "vision"},
    )

    assert changed.name == made.name
    assert changed.email == "Ann.New@Example.com"
    assert changed.display_name == "Ann N."
    assert changed.role == role("labeler")
    assert changed.external_id == "sso|1"
    assert dict(changed.labels) == {"team": "vision"}
    assert (changed.kind, changed.state, changed.create_time) == (
        made.kind,
        made.state,
        made.create_time,
    )
    assert changed.etag != made.etag
    assert changed == await service.admin.get_user(user("ann.new@example.com"))
    assert (await refusal(service.admin.get_user(user("ann@example.com")))).reason == (
        "RESOURCE_NOT_FOUND"
    )


async def test_without_a_mask_only_what_is_given_changes(service: Service) -> None:
    given: dict[str, Any] = {
        "display_name": "Bea",
        "labels": {"team": "a"},
        "external_id": "sso|bea",
    }
    made = await service.admin.create_user("bea", **given)
    changed = await update(service.admin, "bea@example.com", display_name="Beatrix")

    assert changed.display_name == "Beatrix"
    for field in ("email", "role", "external_id", "labels"):
        assert getattr(changed, field) == getattr(made, field)


async def test_a_mask_empties_what_it_names_and_passes_the_rest_over(service: Service) -> None:
    given: dict[str, Any] = {
        "display_name": "Cem",
        "labels": {"team": "a"},
        "external_id": "sso|cem",
    }
    await service.admin.create_user("cem", **given)

    changed = await update(service.admin, "cem", "labels", "external_id", display_name="passed")
    assert (changed.display_name, dict(changed.labels), changed.external_id) == ("Cem", {}, "")
    demoted = await update(service.admin, "cem", "role")
    assert demoted.role == role("guest")  # as without one at creation
    error = await refusal(update(service.admin, "cem", "email"))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["user.email"])


async def test_a_service_user_may_go_without_an_address(service: Service) -> None:
    await service.admin.create_user("bot", kind=SERVICE)

    assert (await update(service.admin, "bot", "email")).email == ""
    assert (await refusal(service.admin.get_user(user("bot@example.com")))).reason == (
        "RESOURCE_NOT_FOUND"
    )
    await service.admin.create_user("bot-heir", email="bot@example.com")


async def test_a_star_is_all_that_can_change(service: Service) -> None:
    given: dict[str, Any] = {
        "display_name": "Dan",
        "labels": {"team": "a"},
        "external_id": "sso|dan",
    }
    await service.admin.create_user("dan", **given)
    whole = {"email": "dan@example.com", "role": role("labeler")}
    changed = await update(service.admin, "dan", "*", **whole)

    assert (changed.email, changed.role) == ("dan@example.com", role("labeler"))
    assert (changed.display_name, dict(changed.labels), changed.external_id) == ("", {}, "")


async def test_what_cannot_change_is_refused_naming_the_mask(service: Service) -> None:
    await service.admin.create_user("eve")

    for paths in ((), ("name",), ("kind",), ("state",), ("resource",), ("*", "email")):
        error = await refusal(update(service.admin, "eve", *paths, kind=SERVICE, resource="a/b"))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", ["update_mask"])


async def test_values_that_cannot_be_are_refused_naming_the_field(service: Service) -> None:
    await service.admin.create_user("fay")

    for field, value in (
        ("email", "no-address"),
        ("display_name", "x" * 201),
        ("role", "labeler"),
        ("external_id", "x" * 257),
    ):
        error = await refusal(update(service.admin, "fay", **{field: value}))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.reason, error.fields) == ("FIELD_INVALID", [f"user.{field}"])
    missing = await refusal(update(service.admin, "fay", role=role("no-such")))
    assert missing.reason == "RESOURCE_NOT_FOUND"
    foreign = await refusal(update(service.admin, "fay", role="workspaces/system/roles/admin"))
    assert foreign.reason == "RESOURCE_NOT_FOUND"


async def test_an_old_etag_changes_and_deletes_nothing(service: Service) -> None:
    made = await service.admin.create_user("gil")
    changed = await update(service.admin, "gil", etag=made.etag, display_name="one")

    for call in (
        update(service.admin, "gil", etag=made.etag, display_name="two"),
        delete(service.admin, "gil", etag=made.etag),
    ):
        error = await refusal(call)
        assert error.code is grpc.StatusCode.ABORTED
        assert error.reason == "ETAG_MISMATCH"
    assert await service.admin.get_user(made.name) == changed
    assert await update(service.admin, "gil", etag=changed.etag, display_name="one") == changed
    await delete(service.admin, "gil", etag=changed.etag)


async def test_an_address_is_one_s_own_however_it_is_written(service: Service) -> None:
    await service.admin.create_user("hal")
    await service.admin.create_user("ida", external_id="sso|ida")

    for field, value in (
        ("email", "ida@example.com"),
        ("email", "IDA@Example.COM"),
        ("email", "\uff49\uff44\uff41@example.com"),  # full-width letters
        ("external_id", "sso|ida"),
    ):
        error = await refusal(update(service.admin, "hal", **{field: value}))
        assert error.code is grpc.StatusCode.ALREADY_EXISTS
        assert (error.reason, error.fields) == ("RESOURCE_ALREADY_EXISTS", [f"user.{field}"])
    assert (await update(service.admin, "ida", email="Ida@Example.com")).email == "Ida@Example.com"
    await update(service.admin, "hal", email="hal+ida@example.com")


async def test_a_key_shows_the_address_and_name_that_its_user_has_now(service: Service) -> None:
    person = await service.person("jim")
    created = await person.create_key()
    await update(service.admin, "jim", email="jimmy@example.com", display_name="Jimmy")

    key = await service.admin.get_key(created.key.name)
    assert (key.user_email, key.creator_email) == ("jimmy@example.com", "jimmy@example.com")
    found = await service.admin.authenticate(created.token)
    assert (found.user.email, found.user.display_name) == ("jimmy@example.com", "Jimmy")


async def test_another_role_is_felt_by_keys_that_are_there_both_ways(service: Service) -> None:
    person = await service.person("kay", "labeler")
    await update(service.admin, "kay", role=role("collaborator"))
    assert "datasets.read" in await permissions_of(service, person)

    await update(service.admin, "kay", role=role("labeler"))
    assert await permissions_of(service, person) == ["keys.own", "labels.*"]
    await update(service.admin, "kay", "role")
    error = await refusal(service.admin.authenticate(person.token or ""))
    assert error.reason == "KEYS_NOT_ALLOWED"
    await update(service.admin, "kay", role=role("labeler"))
    assert await permissions_of(service, person) == ["keys.own", "labels.*"]


# --- who may ----------------------------------------------------------------------------------


async def test_everybody_changes_the_own_display_name_and_nothing_else(service: Service) -> None:
    lea = await service.person("lea", "labeler")
    await service.admin.create_user("leo")

    assert (await update(lea, "lea", display_name="Lea")).display_name == "Lea"
    assert (await update(lea, "LEA@example.com", "display_name")).display_name == ""
    for paths, given in (
        ((), {"email": "lea-2@example.com"}),
        ((), {"role": role("labeler")}),
        ((), {"external_id": "sso|lea"}),
        ((), {"labels": {"team": "a"}}),
        ((), {"display_name": "Lea", "labels": {"team": "a"}}),
        (("*",), {"display_name": "Lea", "email": "lea@example.com", "role": role("labeler")}),
    ):
        error = await refusal(update(lea, "lea", *paths, **given))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert error.reason == "CALLER_PERMISSION_MISSING"
        assert error.info.metadata["permission"] == "users.manage"
    other = await refusal(update(lea, "leo", display_name="Leo"))
    assert other.reason == "CALLER_PERMISSION_MISSING"
    narrow = service.as_caller((await lea.create_key(scopes=["labels.read"])).token)
    assert (await update(narrow, "lea", display_name="Lea again")).display_name == "Lea again"


async def test_who_may_not_manage_users_learns_nothing_of_who_there_is(service: Service) -> None:
    member = await service.person("max")
    await service.admin.create_user("mia")

    for method, given in (
        ("UpdateUser", lambda name: {"user": {"name": name, "display_name": "x"}}),
        ("DeleteUser", lambda name: {"name": name}),
    ):
        errors = [
            await refusal(member.do(method, **given(user(user_id))))
            for user_id in ("mia", "nobody")
        ]
        assert {each.reason for each in errors} == {"CALLER_PERMISSION_MISSING"}
        assert errors[0].message == errors[1].message


async def test_nobody_raises_anyone_above_the_own_authority(service: Service) -> None:
    raiser = await steward(service, "raiser")
    await service.admin.create_user("nia", "guest")

    for above in ("admin", "member", "collaborator", "authenticator"):
        for user_id in ("nia", "raiser"):
            error = await refusal(update(raiser, user_id, role=role(above)))
            assert error.code is grpc.StatusCode.PERMISSION_DENIED
            assert error.reason == "AUTHORITY_EXCEEDED"
            assert error.info.metadata["field"] == "user.role"
    assert (await update(raiser, "nia", role=role("labeler"))).role == role("labeler")
    await service.admin.create_user("noa", "member")
    assert (await update(raiser, "noa", role=role("guest"))).role == role("guest")


async def an_address_of_who_may_do_more(service: Service) -> None:
    """People sign in by address and external id: a new one hands over what its user may do."""
    thief = await steward(service, "thief")
    await service.admin.create_user("able", "collaborator")
    await service.admin.create_user("granted", "labeler")
    grant = {"user": user("granted"), "resource": "projects/a", "role": role("viewer")}
    given = (await service.admin.do("CreateGrant", parent=PARENT, grant=grant)).grant

    for user_id in ("able", "granted", "admin"):
        for field, value in (("email", f"taken-{user_id}@example.com"), ("external_id", "taken")):
            error = await refusal(update(thief, user_id, **{field: value}))
            assert error.code is grpc.StatusCode.PERMISSION_DENIED
            assert error.reason == "AUTHORITY_EXCEEDED"
            assert error.info.metadata["field"] == f"user.{field}"
    demoting = await refusal(update(thief, "able", email="t@x.example", role=role("guest")))
    assert demoting.reason == "AUTHORITY_EXCEEDED"
    assert (await update(thief, "able", display_name="Able")).display_name == "Able"
    await service.admin.do("DeleteGrant", name=given.name)
    assert (await update(thief, "granted", email="new@example.com")).email == "new@example.com"


async def test_nobody_takes_over_who_may_do_more_by_another_address(service: Service) -> None:
    await an_address_of_who_may_do_more(service)


async def test_a_narrowed_key_takes_nobody_over_not_even_its_own_user(service: Service) -> None:
    narrow = await service.admin.create_key(scopes=["users.manage", "labels.*"])
    caller = service.as_caller(narrow.token)
    await service.admin.create_user("pia", "guest")
    await service.admin.create_user("pat", "member")

    for user_id in ("admin", "pat"):
        error = await refusal(update(caller, user_id, email=f"{user_id}@taken.example"))
        assert error.reason == "AUTHORITY_EXCEEDED"
    assert (await update(caller, "pia", email="pia@new.example")).email == "pia@new.example"


async def who_may_do_more_is_enabled(service: Service) -> None:
    """Enabling lets keys stand again: it takes all that they may do."""
    enabler = await steward(service, "enabler")
    strong, weak = await service.person("strong", "member"), await service.person("weak", "labeler")
    for user_id in ("strong", "weak"):
        await enabler.disable_user(user(user_id))

    error = await refusal(enabler.enable_user(user("strong")))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert error.reason == "AUTHORITY_EXCEEDED"
    refused = await refusal(service.admin.authenticate(strong.token or ""))
    assert refused.reason == "USER_DISABLED"
    await enabler.enable_user(user("weak"))
    assert await permissions_of(service, weak) == ["keys.own", "labels.*"]


async def test_nobody_enables_who_may_do_more(service: Service) -> None:
    await who_may_do_more_is_enabled(service)


# --- the last admin ---------------------------------------------------------------------------


async def what_ends_the_last_admin(service: Service) -> None:
    """Nothing that would leave the workspace without an admin is done, by whoever may do it."""
    await no_other_admins(service)
    for method, request in (
        ("UpdateUser", {"user": {"name": ADMIN, "role": role("member")}}),
        ("UpdateUser", {"user": {"name": ADMIN}, "update_mask": {"paths": ["role"]}}),
        ("DisableUser", {"name": ADMIN}),
        ("DeleteUser", {"name": ADMIN}),
        ("DeleteUser", {"name": ADMIN, "force": True}),
    ):
        error = await refusal(service.admin.do(method, **request))
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "LAST_ADMIN"
    assert await permissions_of(service, service.admin) == ["*"]


async def test_the_last_admin_is_neither_demoted_nor_deleted(service: Service) -> None:
    await what_ends_the_last_admin(service)


async def test_an_admin_goes_when_another_stays(service: Service) -> None:
    other, third = await service.person("oli", "admin"), await service.person("ola", "admin")
    await service.admin.create_user("pam", "admin")

    await delete(service.admin, "pam")
    assert (await update(other, "oli", role=role("member"))).role == role("member")
    assert (await refusal(update(other, "oli", role=role("admin")))).reason == (
        "CALLER_PERMISSION_MISSING"
    )
    assert (await delete(third, "ola", force=True)).name == user("ola")
    assert (await refusal(third.list_users())).reason == "CALLER_CREDENTIAL_INVALID"


async def demote(caller: Caller, user_id: str) -> Any:
    return await update(caller, user_id, role=role("guest"))


async def disable(caller: Caller, user_id: str) -> Any:
    return await caller.disable_user(user(user_id))


Ending = Callable[[Caller, str], Coroutine[Any, Any, Any]]


@pytest.mark.parametrize(
    ("one", "two"),
    [(demote, demote), (delete, delete), (demote, delete), (disable, demote), (delete, disable)],
)
async def test_of_the_last_two_admins_one_remains_whatever_becomes_of_them_at_once(
    service: Service, one: Ending, two: Ending
) -> None:
    await no_other_admins(service)
    pair = f"{one.__name__}-{two.__name__}"
    await own_role(service, f"ends-{pair}", "users.manage")
    callers = [await service.person(f"ends-{pair}-{n}", f"ends-{pair}") for n in range(2)]
    for n in range(2):
        await service.admin.create_user(f"{pair}-{n}", "admin")
    await set_first_admin_s_role(service, "member")
    try:
        async with held_up_at_their_events(service, calls=2):
            calls = [
                asyncio.create_task(end(caller, f"{pair}-{n}"))
                for n, (end, caller) in enumerate(zip((one, two), callers, strict=True))
            ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        left = await service.sql(
            "SELECT count(*) FROM keywright.user u JOIN keywright.role r ON r.id = u.role "
            "WHERE r.role_id = 'admin' AND state = 'ACTIVE'"
        )
    finally:
        await set_first_admin_s_role(service, "admin")
    assert left[0][0] == 1
    assert [each.reason for each in results if isinstance(each, RefusedError)] == ["LAST_ADMIN"]


# --- deletion ---------------------------------------------------------------------------------


async def test_who_has_no_keys_is_deleted_and_its_names_are_free(service: Service) -> None:
    made = await service.admin.create_user("quy", external_id="sso|quy")
    assert await delete(service.admin, "Quy@example.com") == made

    for name in (made.name, user("quy@example.com")):
        assert (await refusal(service.admin.get_user(name))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(delete(service.admin, "quy"))).reason == "RESOURCE_NOT_FOUND"
    again = await service.admin.create_user("quy", external_id="sso|quy")
    assert again.create_time != made.create_time


async def test_who_has_keys_is_deleted_by_force_only(service: Service) -> None:
    await service.person("ray")
    ended = (await service.admin.create_key(key_id="ended", user=user("ray"))).key.name
    await service.admin.revoke_key(ended)
    disabled = (await service.admin.create_key(key_id="paused", user=user("ray"))).key.name
    await service.admin.do("DisableKey", name=disabled)
    error = await refusal(delete(service.admin, "ray"))

    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "RESOURCE_IN_USE"
    named = error.info.metadata["used_by"].split(",")
    assert "keys/paused" in named
    assert "keys/ended" not in named
    assert (await service.admin.get_key(disabled)).state == key_pb2.KEY_STATE_DISABLED
    for name in await keys(service.admin, user=user("ray")):
        await service.admin.revoke_key(name)
    await delete(service.admin, "ray")


async def test_force_revokes_the_keys_and_their_records_stay(service: Service) -> None:
    sam = await service.person("sam", "admin")
    own = await sam.create_key(display_name="Sam's own")
    ended = await sam.create_key()
    await sam.revoke_key(ended.key.name)
    for_others = await sam.create_key(user=ADMIN)
    live = set(await keys(service.admin, user=user("sam"))) - {ended.key.name}
    await delete(service.admin, "sam", force=True)

    record = await service.admin.get_key(own.key.name)
    assert record.state == key_pb2.KEY_STATE_REVOKED
    assert record.HasField("revoke_time")
    assert (record.user, record.user_email) == (user("sam"), "sam@example.com")
    assert record.display_name == "Sam's own"
    made = await service.admin.get_key(for_others.key.name)
    assert (made.creator, made.creator_email) == (user("sam"), "sam@example.com")
    assert made.state == key_pb2.KEY_STATE_ACTIVE
    await service.admin.authenticate(for_others.token)
    for token in (own.token, ended.token, sam.token or ""):
        error = await refusal(service.admin.authenticate(token))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED

    await service.admin.delete_key(own.key.name)
    assert (await refusal(service.admin.get_key(own.key.name))).reason == "RESOURCE_NOT_FOUND"

    events = await service.sql(
        "SELECT action, resource, actor FROM keywright.audit_event WHERE call_id = "
        "(SELECT call_id FROM keywright.audit_event "
        "WHERE action = 'DeleteUser' AND resource = $1)",
        user("sam"),
    )
    assert {event["actor"] for event in events} == {ADMIN}
    assert {(event["action"], event["resource"]) for event in events} == {
        ("DeleteUser", user("sam")),
        *(("RevokeKey", name) for name in live),
    }


async def test_the_keys_of_who_is_gone_are_found_by_the_id_that_they_remember(
    service: Service,
) -> None:
    tea = await service.person("tea", "admin")
    own = (await tea.create_key()).key.name
    for_others = await tea.create_key(user=ADMIN)
    before = await keys(service.admin, user=user("tea"))
    await delete(service.admin, "tea", force=True)

    assert await keys(service.admin, user=user("tea")) == before
    assert own in before
    made = await keys(service.admin, creator=user("tea"))
    assert set(made) == {own, for_others.key.name}
    revoked = await service.admin.do("RevokeKeys", parent=PARENT, filter={"creator": user("tea")})
    assert revoked.count == 1
    again = await service.admin.do("RevokeKeys", parent=PARENT, filter={"user": user("tea")})
    assert again.count == 0  # they were revoked when she was deleted
    error = await refusal(service.admin.authenticate(for_others.token))
    assert error.reason == "KEY_REVOKED"


async def test_nobody_but_who_sees_all_keys_finds_those_of_who_is_gone(service: Service) -> None:
    await service.person("tim")
    await delete(service.admin, "tim", force=True)
    member = await service.person("tom")
    reader_of_users = await service.person("ted", "admin")
    narrow = await reader_of_users.create_key(scopes=["keys.own", "users.read"])

    for caller in (member, service.as_caller(narrow.token)):
        error = await refusal(keys(caller, user=user("tim")))
        assert error.reason == "CALLER_PERMISSION_MISSING"
    for foreign in ("workspaces/system/users/tim", "workspaces/nowhere/users/tim"):
        assert (await refusal(keys(service.admin, user=foreign))).reason == "RESOURCE_NOT_FOUND"


async def test_who_gets_the_id_of_somebody_gone_gets_none_of_its_keys(service: Service) -> None:
    first = await service.person("uma")
    old = await keys(service.admin, user=user("uma"))
    await delete(service.admin, "uma", force=True)
    second = await service.person("uma")
    own = await keys(second)

    assert not set(own) & set(old)
    assert await keys(service.admin, user=user("uma")) == own
    assert (await refusal(second.get_key(old[0]))).reason == "RESOURCE_NOT_FOUND"
    assert (await refusal(second.revoke_key(old[0]))).reason == "RESOURCE_NOT_FOUND"
    assert await permissions_of(service, second)
    error = await refusal(service.admin.authenticate(first.token or ""))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert (await service.admin.get_key(old[0])).state == key_pb2.KEY_STATE_REVOKED


async def test_a_key_that_is_made_while_its_user_is_deleted_is_dead_when_that_returns(
    service: Service,
) -> None:
    for attempt in range(3):
        user_id = f"val-{attempt}"
        await service.admin.create_user(user_id)
        creations = [
            asyncio.create_task(service.admin.create_key(user=user(user_id))) for _ in range(4)
        ]
        await delete(service.admin, user_id, force=True)
        for each in await asyncio.gather(*creations, return_exceptions=True):
            if isinstance(each, RefusedError):
                assert each.reason in {"RESOURCE_NOT_FOUND", "CONCURRENT_UPDATE"}
                continue
            assert not isinstance(each, BaseException)
            record = await service.admin.get_key(each.key.name)
            assert record.state == key_pb2.KEY_STATE_REVOKED
            error = await refusal(service.admin.authenticate(each.token))
            assert error.code is grpc.StatusCode.UNAUTHENTICATED


async def test_keys_outlive_the_deletion_of_who_made_them_for_others(service: Service) -> None:
    maker = await service.person("wim", "admin")
    await service.admin.create_user("xia")
    created = await maker.create_key(user=user("xia"))
    await delete(service.admin, "wim", force=True)
    await service.admin.create_user("wim", email="heir@example.com")

    await service.admin.authenticate(created.token)
    key = await service.admin.get_key(created.key.name)
    assert (key.creator, key.creator_email) == (user("wim"), "wim@example.com")


# --- what comes into being by what is taken away ----------------------------------------------


async def mint(caller: Caller, label: str) -> None:
    """Create keys until the caller's own key is refused."""
    while True:
        try:
            await caller.create_key(labels={"minted": label})
        except RefusedError as refused:
            if refused.reason != "CALLER_CREDENTIAL_INVALID":
                raise
            return


@asynccontextmanager
async def slow_disk(service: Service) -> AsyncIterator[None]:
    """Each creation of a key takes a while between its last check and its end.

    On a fast one what is wrong would be over before anybody could look.
    """
    await service.sql(
        "CREATE FUNCTION keywright.take_time() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$"
    )
    await service.sql(
        "CREATE TRIGGER slow BEFORE INSERT ON keywright.key_secret "
        "FOR EACH ROW EXECUTE FUNCTION keywright.take_time()"
    )
    try:
        yield
    finally:
        await service.sql("DROP FUNCTION keywright.take_time CASCADE")


async def a_key_that_is_revoked_while_it_makes_keys(service: Service) -> None:
    """What it made is there when the revocation returns, and nothing is added to that."""
    async with slow_disk(service):
        for attempt in range(20):
            minting = await service.admin.create_key()
            caller, label = service.as_caller(minting.token), f"race-{attempt}"
            minters = [asyncio.create_task(mint(caller, label)) for _ in range(3)]
            await caller.create_key(labels={"minted": label})  # it is under way
            await service.admin.revoke_key(minting.key.name)
            told = await keys(service.admin, labels={"minted": label})
            await asyncio.gather(*minters)
            assert await keys(service.admin, labels={"minted": label}) == told


async def test_nothing_made_by_a_key_appears_once_its_revocation_has_returned(
    service: Service,
) -> None:
    await a_key_that_is_revoked_while_it_makes_keys(service)


async def test_a_revocation_comes_through_a_flood_of_creations_by_the_key(
    service: Service,
) -> None:
    flooding = await service.admin.create_key()
    caller = service.as_caller(flooding.token)
    ends = asyncio.get_running_loop().time() + FLOOD_SECONDS

    async def flood() -> str:
        """Create keys without a pause, until refused for good or time is over."""
        while asyncio.get_running_loop().time() < ends:
            try:
                await caller.create_key(labels={"minted": "flood"})
            except RefusedError as refused:
                if refused.reason != "OVERLOADED":
                    return refused.reason
        return "TIME_OVER"

    floods = [asyncio.create_task(flood()) for _ in range(32)]
    await caller.create_key(labels={"minted": "flood"})
    revoked = await service.admin.revoke_key(flooding.key.name)
    ended = await asyncio.gather(*floods)

    assert revoked.key.state == key_pb2.KEY_STATE_REVOKED
    assert set(ended) <= {"CALLER_CREDENTIAL_INVALID", "TIME_OVER"}


async def test_a_role_that_lost_a_permission_gives_no_token_once_that_is_told(
    service: Service,
) -> None:
    await own_role(service, "rotator", "keys.any", "labels.*", "keys.own")
    rotator = await service.person("rotator", "rotator")
    await service.admin.create_user("yan", "labeler")
    created = (await service.admin.create_key(user=user("yan"))).key

    async def prefix() -> str:
        return (await service.admin.get_key(created.name)).prefix

    narrower = {"name": role("rotator"), "permissions": ["labels.*"]}
    seen, later = await seen_when_told(
        service,
        "LOCK TABLE keywright.key_secret IN SHARE MODE",
        slow=rotator.do("RotateKey", name=created.name),
        narrowing=service.admin.do("UpdateRole", role=narrower),
        look=prefix,
    )
    assert later == seen

"""Sessions: who may sign in and how, what a session may do, and when it ends."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from keywright.domain.token import Token, TokenFormat
from keywright.v1 import error_reason_pb2, principal_pb2, session_pb2
from tests.integration.test_authenticate_stream import answer, ask, ended
from tests.integration.test_transactions import held_up
from tests.support.database import Cluster
from tests.support.service import ADMIN, PARENT, Caller, RefusedError, Service, another, refusal
from tests.support.service import service as serving

EVERYTHING = {"states": [1, 2, 3]}


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


async def guest(running: Service, user_id: str) -> str:
    """A new user who may hold no key; returns its name."""
    return (await running.admin.create_user(user_id, "guest")).name


async def link(caller: Caller, name: str) -> str:
    return str((await caller.do("CreateSignInLink", user=name)).link_token)


async def signed_in(running: Service, name: str) -> Any:
    """The reply to a sign-in by a link that the admin made."""
    return await running.as_caller(None).do(
        "CreateSession", link_token=await link(running.admin, name)
    )


async def refused_sign_in(running: Service, **proof: Any) -> RefusedError:
    return await refusal(running.as_caller(None).do("CreateSession", **proof))


async def denial_of(running: Service, token: str) -> str:
    """Why a token is denied; "" if it is not."""
    try:
        await running.admin.authenticate(token)
    except RefusedError as refused:
        return refused.reason
    return ""


async def sessions(caller: Caller, **only: Any) -> list[str]:
    listed = await caller.do("ListSessions", parent=PARENT, filter=only)
    return [each.name for each in listed.sessions]


# --- signing in by a link ---------------------------------------------------------------------


async def test_a_link_signs_a_guest_in_who_may_hold_no_key(service: Service) -> None:
    name = await guest(service, "gus")
    before = datetime.now(UTC)
    made = await service.admin.do("CreateSignInLink", user=f"{PARENT}/users/gus@example.com")
    made_at = made.expire_time.ToDatetime(tzinfo=UTC) - timedelta(minutes=5)
    assert before <= made_at <= datetime.now(UTC)

    shown = await service.as_caller(None).do(
        "CreateSession",
        link_token=made.link_token,
        client_address="2001:db8::1",
        user_agent="Firefox/150",
    )
    session = shown.session
    assert session.user == name
    assert session.user_email == "gus@example.com"
    assert session.method == session_pb2.SIGN_IN_METHOD_LINK
    assert session.state == session_pb2.SESSION_STATE_ACTIVE
    assert (session.client_address, session.user_agent) == ("2001:db8::1", "Firefox/150")
    lasts = session.expire_time.ToDatetime() - session.create_time.ToDatetime()
    idle = session.idle_expire_time.ToDatetime() - session.create_time.ToDatetime()
    assert (lasts, idle) == (timedelta(hours=12), timedelta(hours=1))

    me = service.as_caller(shown.token)
    assert (await me.get_user(name)).email == "gus@example.com"
    own = await me.authenticate(shown.token)
    assert own.credential.name == session.name
    assert own.credential.kind == principal_pb2.CREDENTIAL_KIND_SESSION
    assert own.user.name == name
    assert own.environment == ""
    assert not own.permissions
    assert (await me.do("GetSession", name=session.name)).session.name == session.name


async def nobody_else_answers(running: Service) -> None:
    """A cache that is told nothing to depend on keeps no answer, so that each use counts."""
    shown = await signed_in(running, ADMIN)
    assert (await running.admin.authenticate(running.admin_token)).depends_on
    assert not (await running.admin.authenticate(shown.token)).depends_on


async def test_no_other_cache_answers_for_a_session(service: Service) -> None:
    await nobody_else_answers(service)


async def test_a_session_has_its_users_whole_authority_as_it_is_now(service: Service) -> None:
    name = await guest(service, "live")
    shown = await signed_in(service, name)
    me = service.as_caller(shown.token)
    assert (await refusal(me.list_users())).reason == "CALLER_PERMISSION_MISSING"

    await service.admin.do("UpdateUser", user={"name": name, "role": f"{PARENT}/roles/member"})
    await me.list_users()
    created = await me.create_key()
    assert not created.key.HasField("expire_time"), "a key may outlive the session that makes it"
    assert created.key.creator_credential == shown.session.name

    await service.admin.do("UpdateUser", user={"name": name, "role": f"{PARENT}/roles/guest"})
    assert (await refusal(me.list_users())).reason == "CALLER_PERMISSION_MISSING"


async def one_session_of_a_link(running: Service) -> None:
    """Of calls at the same time that show the same link, one is let in."""
    name = await guest(running, "racer")
    shown = await link(running.admin, name)

    async def enter(request_id: str) -> str:
        proof = {"link_token": shown, "request_id": request_id}
        try:
            return str((await running.as_caller(None).do("CreateSession", **proof)).token)
        except RefusedError as refused:
            return refused.reason

    answers = await asyncio.gather(*(enter(f"call-{number}") for number in range(8)))
    assert sorted(answers)[:7] == ["SESSION_LINK_INVALID"] * 7
    assert await enter("") == "SESSION_LINK_INVALID"
    assert len(await sessions(running.admin, user=name)) == 1


async def test_a_link_lets_one_in_and_no_more(service: Service) -> None:
    await one_session_of_a_link(service)


async def a_link_that_is_too_old(running: Service) -> None:
    shown = await link(running.admin, await guest(running, "late"))
    await running.quietly("UPDATE keywright.sign_in_link SET expire_time = now()")
    for request_id in ("", "once-more"):
        error = await refused_sign_in(running, link_token=shown, request_id=request_id)
        assert error.reason == "SESSION_LINK_INVALID"


async def test_a_link_ends_after_its_time(service: Service) -> None:
    await a_link_that_is_too_old(service)


async def test_what_is_no_link_is_told_as_one_that_is_used(service: Service) -> None:
    shown = await link(service.admin, ADMIN)
    wrong = [
        shown[:-1],
        service.admin_token,
        "correct-horse",
        # Well formed, of the prefix of a link, with another secret.
        await _of_another_secret(service, shown),
    ]
    errors = [await refused_sign_in(service, link_token=each) for each in wrong]
    assert {error.reason for error in errors} == {"SESSION_LINK_INVALID"}
    assert len({error.message for error in errors}) == 1
    assert await denial_of(service, shown) == "TOKEN_UNKNOWN"


async def _of_another_secret(running: Service, shown: str) -> str:
    token_format = TokenFormat("kw")
    ours, others = token_format.parse(shown), token_format.parse(running.admin_token)
    return token_format.render(Token(ours.environment, ours.prefix, others.secret)).reveal()


async def test_a_repeated_sign_in_is_told_and_shows_no_token_again(service: Service) -> None:
    shown = await link(service.admin, await guest(service, "twice"))
    again = {"link_token": shown, "request_id": "the-same"}
    first = await service.as_caller(None).do("CreateSession", **again)
    second = await service.as_caller(None).do("CreateSession", **again)
    assert first.token
    assert (second.session.name, second.token, second.replayed) == (first.session.name, "", True)
    other = await refused_sign_in(service, **again, user_agent="other")
    assert other.reason == "REQUEST_ID_REUSED"
    made = [
        await service.admin.do("CreateSignInLink", user=ADMIN, request_id="a-link")
        for _ in range(2)
    ]
    assert [bool(each.link_token) for each in made] == [True, False]


@pytest.mark.parametrize("gone", ["user", "workspace"])
async def test_a_link_of_who_was_disabled_signs_nobody_in(cluster: Cluster, gone: str) -> None:
    async with serving(await cluster.migrated()) as running:
        name = await guest(running, "gone")
        shown = await link(running.admin, name)
        if gone == "user":
            await running.admin.disable_user(name)
        else:
            await running.sql("UPDATE keywright.workspace SET state = 'DISABLED'")
        error = await refused_sign_in(running, link_token=shown)
        assert error.reason == f"{gone.upper()}_DISABLED"
        assert error.code is grpc.StatusCode.UNAUTHENTICATED


# --- who may make a link ----------------------------------------------------------------------


async def more_than_the_caller(running: Service) -> None:
    """Who manages users, but may do less than the admin, does not become the admin by a link."""
    await running.admin.do(
        "CreateRole",
        parent=PARENT,
        role_id="clerk",
        role={"permissions": ["users.*", "keys.own"], "may_hold_keys": True},
    )
    clerk = await running.person("clerk", "clerk")
    error = await refusal(clerk.do("CreateSignInLink", user=ADMIN))
    assert error.reason == "AUTHORITY_EXCEEDED"
    await clerk.do("CreateSignInLink", user=await guest(running, "customer"))


async def test_nobody_makes_a_link_for_whoever_may_do_more(service: Service) -> None:
    await more_than_the_caller(service)


async def test_a_narrowed_key_makes_no_link_not_even_for_oneself(service: Service) -> None:
    narrowed = await service.admin.create_key(scopes=["*"])
    caller = service.as_caller(narrowed.token)
    for name in (ADMIN, await guest(service, "other-one")):
        error = await refusal(caller.do("CreateSignInLink", user=name))
        assert error.reason == "AUTHORITY_EXCEEDED"


async def test_there_are_links_for_active_people_only(service: Service) -> None:
    kind = {"kind": "USER_KIND_SERVICE", "role": f"{PARENT}/roles/guest"}
    made = await service.admin.do("CreateUser", parent=PARENT, user_id="robot", user=kind)
    disabled = await guest(service, "asleep")
    await service.admin.disable_user(disabled)
    for name in (made.user.name, disabled):
        error = await refusal(service.admin.do("CreateSignInLink", user=name))
        assert error.reason == "STATE_CONFLICT"
    error = await refusal(service.admin.do("CreateSignInLink", user=user("nobody")))
    assert error.reason == "RESOURCE_NOT_FOUND"


# --- signing in by a key ----------------------------------------------------------------------


async def test_a_key_signs_its_user_in_for_no_longer_than_it_stands(service: Service) -> None:
    key = await service.admin.create_key(ttl=timedelta(hours=2))
    shown = await opened(service, key.token)
    assert shown.session.user == ADMIN
    assert shown.session.method == session_pb2.SIGN_IN_METHOD_KEY
    assert shown.session.key == key.key.name
    assert shown.session.expire_time == key.key.expire_time
    await service.as_caller(shown.token).list_users()


FALLS: dict[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "revoked": lambda key, _: ("RevokeKey", {"name": key}),
    "revoked with others": lambda _, user: (
        "RevokeKeys",
        {"parent": PARENT, "filter": {"user": user}},
    ),
    "disabled": lambda key, _: ("DisableKey", {"name": key}),
    "deleted": lambda key, _: ("DeleteKey", {"name": key}),
    "rotated": lambda key, _: ("RotateKey", {"name": key, "grace": timedelta(0)}),
    "scoped": lambda key, _: ("UpdateKey", {"key": {"name": key, "scopes": ["datasets.*"]}}),
    "networks": lambda key, _: (
        "UpdateKey",
        {"key": {"name": key, "allowed_networks": ["192.0.2.0/24"]}},
    ),
    "without keys": lambda _, user: (
        "UpdateUser",
        {"user": {"name": user, "role": f"{PARENT}/roles/guest"}},
    ),
}


async def key_holder(running: Service, user_id: str, **key: Any) -> tuple[str, Any, Any]:
    """A new member's name, its key, and the session that the key opened."""
    await running.admin.create_user(user_id)
    made = await running.admin.create_key(user=user(user_id), **key)
    return user(user_id), made, await opened(running, made.token)


async def opened(running: Service, key_token: str) -> Any:
    """The reply to a sign-in by a key."""
    return await running.as_caller(None).do("CreateSession", key_token=key_token)


async def sessions_end_with_their_keys(running: Service) -> None:
    """On every server when the call returns that takes the key away, or what it could do."""
    async with another(running) as beside:
        for number, (how, fall) in enumerate(FALLS.items()):
            name, key, shown = await key_holder(running, f"holder-{number}")
            bystander = await signed_in(running, name)
            callers = [each.as_caller(shown.token) for each in (running, beside)]
            for caller in callers:
                await caller.get_user(name)

            method, fields = fall(key.key.name, name)
            await running.admin.do(method, **fields)
            reason = "SESSION_EXPIRED" if how == "rotated" else "SESSION_REVOKED"
            for each, caller in zip((running, beside), callers, strict=True):
                assert await denial_of(each, shown.token) == reason, how
                error = await refusal(caller.get_user(name))
                assert error.info.metadata["caller_reason"] == reason, how
                assert await denial_of(each, bystander.token) == "", how
            assert await sessions(running.admin, user=name) == [bystander.session.name], how


async def test_a_session_ends_with_the_key_that_opened_it_on_every_server(service: Service) -> None:
    await sessions_end_with_their_keys(service)


async def test_a_session_stands_again_when_its_key_does(service: Service) -> None:
    name, key, shown = await key_holder(service, "back")
    await service.admin.do("DisableKey", name=key.key.name)
    assert await sessions(service.admin, user=name) == []
    explained = await service.admin.do("ExplainAccess", name=shown.session.name)
    assert explained.denial.reason == error_reason_pb2.ERROR_REASON_SESSION_REVOKED
    await service.admin.do("EnableKey", name=key.key.name)
    assert await sessions(service.admin, user=name) == [shown.session.name]
    assert await denial_of(service, shown.token) == ""


async def test_a_session_ends_with_the_very_token_that_opened_it(service: Service) -> None:
    name, key, before = await key_holder(service, "rotates")
    rotated = await service.admin.do("RotateKey", name=key.key.name, grace=timedelta(hours=1))
    after = await opened(service, rotated.token)

    assert await denial_of(service, before.token) == ""
    old = (await service.admin.do("GetSession", name=before.session.name)).session
    assert old.expire_time == rotated.key.retire_time
    await service.admin.do("RotateKey", name=key.key.name, grace=timedelta(hours=1))
    assert await denial_of(service, before.token) == "SESSION_EXPIRED"
    assert await denial_of(service, after.token) == ""
    assert await sessions(service.admin, user=name) == [after.session.name]


async def test_a_session_follows_the_end_of_its_key(service: Service) -> None:
    _, key, shown = await key_holder(service, "sooner")
    ends = datetime.now(UTC) + timedelta(minutes=5)
    await service.admin.do("UpdateKey", key={"name": key.key.name, "expire_time": ends})
    session = (await service.admin.do("GetSession", name=shown.session.name)).session
    assert session.expire_time.ToDatetime(UTC) == ends
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() WHERE key_id = $1",
        key.key.name.rpartition("/")[2],
    )
    assert await denial_of(service, shown.token) == "SESSION_EXPIRED"


async def nothing_outlives_the_key(running: Service) -> None:
    """Who has a key that ends makes nothing that lasts, not by way of a session either."""
    name, key, by_key = await key_holder(running, "ends", ttl=timedelta(hours=2))
    made = await running.as_caller(key.token).do("CreateSignInLink", user=name)
    by_link = await running.as_caller(None).do("CreateSession", link_token=made.link_token)
    for shown in (by_key, by_link):
        assert shown.session.expire_time == key.key.expire_time
        me = running.as_caller(shown.token)
        error = await refusal(me.create_key())
        assert error.reason == "AUTHORITY_EXCEEDED"
        assert key.key.expire_time.ToDatetime(UTC).isoformat() in error.message
        await me.create_key(ttl=timedelta(hours=1))
        further = await me.do("CreateSignInLink", user=name)
        again = await running.as_caller(None).do("CreateSession", link_token=further.link_token)
        error = await refusal(running.as_caller(again.token).create_key())
        assert error.reason == "AUTHORITY_EXCEEDED"


async def test_nothing_outlives_a_key_by_way_of_a_session(service: Service) -> None:
    await nothing_outlives_the_key(service)


async def narrowed_keys(running: Service) -> None:
    """What takes something away from its user's authority signs nobody in."""
    for narrowing in (
        {"scopes": ["*"]},
        {"role": f"{PARENT}/roles/admin"},
        {"resource": "projects/a"},
        {"allowed_networks": ["0.0.0.0/0"]},
    ):
        key = await running.admin.create_key(**narrowing)
        error = await refused_sign_in(running, key_token=key.token, client_address="192.0.2.1")
        assert error.reason == "AUTHORITY_EXCEEDED", narrowing


async def test_a_narrowed_key_signs_nobody_in(service: Service) -> None:
    await narrowed_keys(service)


async def test_a_key_that_does_not_stand_says_why_to_whoever_has_it(service: Service) -> None:
    revoked = await service.admin.create_key()
    await service.admin.revoke_key(revoked.key.name)
    assert (await refused_sign_in(service, key_token=revoked.token)).reason == "KEY_REVOKED"
    disabled = await service.admin.create_key()
    await service.admin.do("DisableKey", name=disabled.key.name)
    assert (await refused_sign_in(service, key_token=disabled.token)).reason == "KEY_DISABLED"
    error = await refused_sign_in(service, key_token="correct-horse")
    assert error.reason == "TOKEN_MALFORMED"
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert (await refused_sign_in(service)).reason == "FIELD_INVALID"


async def a_session_for_a_session(running: Service) -> None:
    """Nobody stays for ever by signing in with what signing in gave."""
    shown = await signed_in(running, ADMIN)
    error = await refused_sign_in(running, key_token=shown.token)
    assert error.reason == "TOKEN_UNKNOWN"


async def test_a_session_gives_no_other_session(service: Service) -> None:
    await a_session_for_a_session(service)


async def test_a_program_does_not_sign_in(service: Service) -> None:
    kind = {"kind": "USER_KIND_SERVICE", "role": f"{PARENT}/roles/member"}
    await service.admin.do("CreateUser", parent=PARENT, user_id="program", user=kind)
    key = await service.admin.create_key(user=user("program"))
    assert (await refused_sign_in(service, key_token=key.token)).reason == "STATE_CONFLICT"


async def test_who_tries_too_much_in_vain_has_to_wait(cluster: Cluster) -> None:
    limits = {"failures_per_address": "1", "failures_per_caller": "1"}
    async with serving(await cluster.migrated(), **limits) as running:
        good = await link(running.admin, ADMIN)
        wrong = await _of_another_secret(running, good)
        reasons: set[str] = set()
        async with asyncio.timeout(20):
            while "FAILURES_LIMITED" not in reasons:
                tries = (refused_sign_in(running, link_token=wrong) for _ in range(30))
                reasons |= {error.reason for error in await asyncio.gather(*tries)}
        assert reasons == {"SESSION_LINK_INVALID", "FAILURES_LIMITED"}


# --- the end ----------------------------------------------------------------------------------


async def a_revoked_session_is_dead(running: Service) -> None:
    """On every server when the call returns, with what it has open."""
    async with another(running) as beside:
        name = await guest(running, "out")
        role = f"{PARENT}/roles/authenticator"
        await running.admin.do("UpdateUser", user={"name": name, "role": role})
        shown = await signed_in(running, name)
        servers = (running, beside)
        streams = [each.as_caller(shown.token).open("AuthenticateStream") for each in servers]
        for stream in streams:
            await ask(stream, shown.token)
            assert await answer(stream) == shown.session.name
        for each in servers:
            assert await denial_of(each, shown.token) == ""

        revoked = await running.admin.do("RevokeSession", name=shown.session.name)
        assert revoked.session.state == session_pb2.SESSION_STATE_REVOKED
        for each, stream in zip(servers, streams, strict=True):
            assert await denial_of(each, shown.token) == "SESSION_REVOKED"
            error = await refusal(each.as_caller(shown.token).get_user(name))
            assert error.info.metadata["caller_reason"] == "SESSION_REVOKED"
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # ended by itself
                await ask(stream, running.admin_token)
            error = await ended(stream)
            assert error.info.metadata["caller_reason"] == "SESSION_REVOKED"
        again = await running.admin.do("RevokeSession", name=shown.session.name)
        assert again.session == revoked.session


async def test_a_revoked_session_is_dead_on_every_server_and_stream(service: Service) -> None:
    await a_revoked_session_is_dead(service)


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_the_sessions_of_a_user_end_with_the_user(service: Service, how: str) -> None:
    async with another(service) as beside:
        name = await guest(service, how)
        shown = await signed_in(service, name)
        assert await denial_of(beside, shown.token) == ""
        if how == "disabled":
            await service.admin.disable_user(name)
            assert await denial_of(beside, shown.token) == "USER_DISABLED"
            await service.admin.enable_user(name)
            assert await denial_of(service, shown.token) == ""
            return
        await service.admin.do("DeleteUser", name=name)
        assert await denial_of(beside, shown.token) == "TOKEN_UNKNOWN"
        seen = await service.admin.do(
            "ListAuditEvents", parent=PARENT, filter={"resource": shown.session.name}
        )
        assert "RevokeSession" in {each.action for each in seen.audit_events}


async def test_signing_out_everywhere_leaves_this_session_if_asked(service: Service) -> None:
    name = await guest(service, "many")
    shown = [await signed_in(service, name) for _ in range(3)]
    other = await signed_in(service, await guest(service, "bystander"))
    me = service.as_caller(shown[0].token)
    everywhere = {"parent": PARENT, "user": name}

    done = await me.do("RevokeSessions", **everywhere, keep_current=True)
    assert done.count == 2
    assert [await denial_of(service, each.token) for each in shown] == [
        "",
        "SESSION_REVOKED",
        "SESSION_REVOKED",
    ]
    assert (await me.do("RevokeSessions", **everywhere)).count == 1
    assert await denial_of(service, shown[0].token) == "SESSION_REVOKED"
    assert await denial_of(service, other.token) == ""
    assert (await service.admin.do("RevokeSessions", **everywhere)).count == 0


async def one_session_too_many(running: Service) -> None:
    """It ends the one that was unused for longest, on every server; never more than that."""
    name, key, first = await key_holder(running, "everywhere")
    made = [first, *[await opened(running, key.token) for _ in range(49)]]
    bystander = await signed_in(running, await guest(running, "elsewhere"))
    await moved(running, made[7].session.name, "last_used_time", timedelta(minutes=30))
    assert await denial_of(running, made[7].token) == ""

    by_link = await signed_in(running, name)
    dead = running.admin.authenticate(made[7].token, min_revision=by_link.revision)
    assert (await refusal(dead)).reason == "SESSION_REVOKED"
    standing = {each.session.name for each in (*made, by_link)} - {made[7].session.name}
    assert await listed(running, name) == standing
    events = await running.admin.do(
        "ListAuditEvents", parent=PARENT, filter={"resource": made[7].session.name}
    )
    assert [each.action for each in events.audit_events] == ["RevokeSession", "CreateSession"]

    async with held_up(running, "LOCK TABLE keywright.key_secret IN SHARE MODE", calls=2):
        coming = [asyncio.create_task(opened(running, key.token)) for _ in range(2)]
    more = await asyncio.gather(*coming)
    standing -= {each.session.name for each in made[:2]}
    standing |= {each.session.name for each in more}
    assert await listed(running, name) == standing
    assert await denial_of(running, bystander.token) == ""


async def listed(running: Service, name: str) -> set[str]:
    """The sessions of a user that stand."""
    page = {"parent": PARENT, "page_size": 200, "filter": {"user": name}}
    found = await running.admin.do("ListSessions", **page)
    return {each.name for each in found.sessions}


async def test_so_many_sessions_of_a_user_stand_and_no_more(service: Service) -> None:
    await one_session_too_many(service)


async def moved(running: Service, name: str, column: str, past: timedelta) -> None:
    """Bring a time of a session forward, as though more time had passed."""
    await running.sql(
        f"UPDATE keywright.session SET {column} = {column} - $2::interval WHERE session_id = $1",
        name.rpartition("/")[2],
        past,
    )


async def a_session_that_nobody_uses(running: Service) -> None:
    shown = await signed_in(running, await guest(running, "idle"))
    await moved(running, shown.session.name, "last_used_time", timedelta(minutes=30))
    assert await denial_of(running, shown.token) == ""
    await moved(running, shown.session.name, "last_used_time", timedelta(minutes=61))
    assert await denial_of(running, shown.token) == "SESSION_EXPIRED"


async def test_a_session_ends_an_hour_after_its_last_use(service: Service) -> None:
    await a_session_that_nobody_uses(service)


async def test_a_session_ends_at_last_however_much_it_is_used(service: Service) -> None:
    name = await guest(service, "busy")
    shown = await signed_in(service, name)
    me = service.as_caller(shown.token)
    await me.get_user(name)
    for column in ("create_time", "expire_time"):
        await moved(service, shown.session.name, column, timedelta(hours=12))
    assert await denial_of(service, shown.token) == "SESSION_EXPIRED"
    error = await refusal(me.get_user(name))
    assert error.info.metadata["caller_reason"] == "SESSION_EXPIRED"
    session = (await service.admin.do("GetSession", name=shown.session.name)).session
    assert session.state == session_pb2.SESSION_STATE_EXPIRED


async def uses_put_off_the_end(running: Service) -> None:
    """What a server has answered is written after a while, and counts on all of them."""
    shown = await signed_in(running, await guest(running, "used"))
    await moved(running, shown.session.name, "last_used_time", timedelta(minutes=30))
    before = (await running.admin.do("GetSession", name=shown.session.name)).session
    await running.admin.authenticate(shown.token)
    session, until = before, time.monotonic() + 20
    while session.last_used_time == before.last_used_time:
        assert time.monotonic() < until, "nobody has written of the use"
        await asyncio.sleep(0.05)
        session = (await running.admin.do("GetSession", name=shown.session.name)).session
    put_off = session.idle_expire_time.ToDatetime() - before.idle_expire_time.ToDatetime()
    assert put_off >= timedelta(minutes=29)


async def test_a_use_puts_off_the_end_of_a_session(cluster: Cluster) -> None:
    async with serving(await cluster.migrated(), usage_interval="1s") as running:
        await uses_put_off_the_end(running)


async def test_a_leaked_session_is_ended_by_whoever_holds_it(service: Service) -> None:
    shown = await signed_in(service, await guest(service, "leaky"))
    nobody = service.as_caller(None)
    for _ in range(2):
        await nobody.do("ReportLeakedToken", token=shown.token, source="a paste")
    assert await denial_of(service, shown.token) == "SESSION_REVOKED"


# --- whose sessions one sees ------------------------------------------------------------------


async def others_sessions(running: Service) -> None:
    """Everybody sees, and ends, one's own sessions; who manages users, all."""
    ann, ben = await guest(running, "ann"), await guest(running, "ben")
    of_ann, of_ben = await signed_in(running, ann), await signed_in(running, ben)
    me = running.as_caller(of_ann.token)
    assert await sessions(me) == [of_ann.session.name]
    for method in ("GetSession", "RevokeSession"):
        error = await refusal(me.do(method, name=of_ben.session.name))
        assert error.reason == "RESOURCE_NOT_FOUND"
    error = await refusal(me.do("RevokeSessions", parent=PARENT, user=ben))
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert await denial_of(running, of_ben.token) == ""
    assert await sessions(running.admin, user=ben) == [of_ben.session.name]


async def test_nobody_sees_or_ends_the_sessions_of_others(service: Service) -> None:
    await others_sessions(service)


async def test_a_member_sees_users_but_not_their_sessions(service: Service) -> None:
    member = await service.person("member")
    name = await guest(service, "watched")
    await signed_in(service, name)
    assert await sessions(member, user=name) == []
    error = await refusal(member.do("RevokeSessions", parent=PARENT, user=name))
    assert error.reason == "CALLER_PERMISSION_MISSING"
    assert (await refusal(sessions(member, user=user("nobody")))).reason == "RESOURCE_NOT_FOUND"


async def test_a_list_is_of_active_sessions_newest_first_in_pages(service: Service) -> None:
    name = await guest(service, "listed")
    made = [(await signed_in(service, name)).session.name for _ in range(4)]
    await service.admin.do("RevokeSession", name=made[0])
    await moved(service, made[1], "last_used_time", timedelta(hours=2))
    assert await sessions(service.admin, user=name) == [made[3], made[2]]
    assert await sessions(service.admin, user=name, **EVERYTHING) == made[::-1]
    expired = [session_pb2.SESSION_STATE_EXPIRED]
    assert await sessions(service.admin, user=name, states=expired) == [made[1]]
    page = {"parent": PARENT, "page_size": 3, "filter": {"user": name, **EVERYTHING}}
    first = await service.admin.do("ListSessions", **page)
    rest = await service.admin.do("ListSessions", **page, page_token=first.next_page_token)
    assert [each.name for each in (*first.sessions, *rest.sessions)] == made[::-1]
    assert not rest.next_page_token


# --- the record -------------------------------------------------------------------------------


async def every_step_has_its_event(running: Service) -> None:
    name = await guest(running, "traced")
    shown = await signed_in(running, name)
    await running.admin.do("RevokeSession", name=shown.session.name)
    seen = await running.admin.do("ListAuditEvents", parent=PARENT, page_size=200)
    found = {
        each.action: (each.resource, each.actor)
        for each in seen.audit_events
        if each.resource in {name, shown.session.name}
    }
    assert found.get("CreateSignInLink") == (name, ADMIN)
    assert found.get("CreateSession") == (shown.session.name, name)
    assert found.get("RevokeSession") == (shown.session.name, ADMIN)


async def test_links_and_sessions_are_in_the_audit_trail(service: Service) -> None:
    await every_step_has_its_event(service)


async def secrets_in_the_database(running: Service) -> None:
    shown_link = await link(running.admin, ADMIN)
    shown = await running.as_caller(None).do("CreateSession", link_token=shown_link)
    for table in ("sign_in_link", "session", "key_secret", "audit_event", "request_id"):
        rows = await running.quietly(f"SELECT t::text AS row FROM keywright.{table} t")
        text = "\n".join(row["row"] for row in rows)
        for token in (shown_link, shown.token):
            assert token[-49:-6] not in text


async def test_the_database_has_no_secret_of_a_link_or_session(service: Service) -> None:
    await secrets_in_the_database(service)

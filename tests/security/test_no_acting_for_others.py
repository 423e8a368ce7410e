"""Nobody acts as another by naming another (promise G7).

CVE-2025-61928: the endpoint of a library that creates API keys took `userId` from the body, so that
a stranger got a key of anybody. Here the actor is who the credential proves, wherever in a request,
and in whatever metadata, a user is named.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
from google.protobuf.message import Message

from keywright.domain import creation
from keywright.domain.decision import Principal
from keywright.wire import methods
from keywright.wire.rpc import Method, Rpc
from tests.security.contract import (
    IMPLEMENTED,
    Place,
    entitled,
    good_request,
    new_id,
    text_places,
)
from tests.security.operated import Operated
from tests.security.patched import in_process
from tests.security.stored import stored
from tests.support.service import PARENT, Caller, RefusedError, Service, refusal

MEMBER = f"{PARENT}/users/mallory"
VICTIM = f"{PARENT}/users/boss"
EMAIL = "boss@example.com"
# What proxies, frameworks and other products take for who calls.
IDENTITY_HEADERS = (
    *("x-user-id", "x-user", "x-user-email", "x-forwarded-user", "x-forwarded-email"),
    *("x-forwarded-preferred-username", "x-remote-user", "remote-user", "x-auth-request-user"),
    *("x-auth-request-email", "x-authenticated-user", "x-on-behalf-of", "x-impersonate-user"),
    *("impersonate-user", "x-keywright-user", "x-keywright-actor", "x-goog-iap-jwt-assertion"),
    *("x-consumer-username", "x-workspace", "x-role", "x-permissions", "from", "user", "actor"),
)
TOKEN_HEADERS = (
    *("proxy-authorization", "x-authorization", "x-forwarded-authorization", "x-api-key"),
    *("api-key", "x-keywright-api-key", "x-access-token", "cookie"),
)


@dataclass(frozen=True)
class People:
    """The member who tries, and the admin who is named; each with a key of its own."""

    member: Caller
    victim: Caller


@pytest.fixture(scope="module", name="people")
async def _people(service: Operated) -> People:
    return People(await service.person("mallory"), await service.person("boss", role="admin"))


def names_somebody(place: Place) -> bool:
    """Whether a user can be named at a place: by name, by e-mail, or by a credential."""
    return (
        place.names == "User"
        or place.field.name.endswith(("email", "creator", "creator_credential"))
        or place.field.name in {"user", "external_id"}
    )


PLACES = [place for method in IMPLEMENTED for place in text_places(method) if names_somebody(place)]
every_place = pytest.mark.parametrize("place", PLACES, ids=str)
every_method = pytest.mark.parametrize("method", IMPLEMENTED, ids=lambda each: each.name)


def named(place: Place, user: str, email: str) -> str:
    """How the user is named at a place."""
    if place.field.name.endswith("email"):
        return email
    if place.field.name == "creator_credential":
        return f"{PARENT}/keys/some"
    return user


async def sent(caller: Caller, method: Method, request: Message) -> Any:
    """The reply, or the error."""
    given = {field.name: value for field, value in request.ListFields()}
    try:
        return await caller.do(method.name, **given)
    except RefusedError as refused:
        return refused


async def events_after(service: Service, last: int) -> list[Any]:
    """What was done; what was denied before is written a little later, beside it."""
    return await service.sql(
        "SELECT * FROM keywright.audit_event WHERE id > $1 AND outcome = 'DONE'", last
    )


async def last_event(service: Service) -> int:
    (row,) = await service.sql("SELECT max(id) AS last FROM keywright.audit_event")
    return int(row["last"])


async def of(service: Service, user: str) -> list[tuple[Any, ...]]:
    """All that a user is and has."""
    rows = await service.sql(
        "SELECT to_jsonb(u) AS it FROM keywright.user u WHERE user_id = $1"
        " UNION ALL SELECT to_jsonb(k) - 'last_used_time' - 'last_used_address'"
        " FROM keywright.key k WHERE owner_user_id = $1"
        " UNION ALL SELECT to_jsonb(g) FROM keywright.grant g"
        ' JOIN keywright.user u ON u.id = g."user" WHERE u.user_id = $1',
        user.rpartition("/")[2],
    )
    return [tuple(row) for row in rows]


async def assert_only_for_itself(
    service: Operated, caller: Caller, place: Place, request: Message, somebody: tuple[str, str]
) -> Any:
    """Whatever comes of a request that names somebody, it is the caller's own doing."""
    place.put(request, named(place, *somebody))
    before, last = await of(service, somebody[0]), await last_event(service)

    told = await sent(caller, place.method, request)

    me = (await caller.authenticate(caller.token or "")).user
    for event in await events_after(service, last):
        assert (event["actor"], event["actor_email"]) == (me.name, me.email)
    if isinstance(told, RefusedError):
        assert await of(service, somebody[0]) == before
        assert await events_after(service, last) == []
        return told
    for resource in _resources(told):
        if place.method.name.startswith(("Create", "Ensure")) and hasattr(resource, "creator"):
            assert resource.creator == me.name
    return told


def _resources(reply: Any) -> list[Any]:
    return [each for field, each in reply.ListFields() if field.message_type and field.number == 1]


@every_place
async def test_a_member_who_names_another_acts_for_itself_or_not_at_all(
    service: Operated, people: People, place: Place
) -> None:
    request = await good_request(service, place.method, of=MEMBER)
    before = await of(service, VICTIM)
    told = await assert_only_for_itself(service, people.member, place, request, (VICTIM, EMAIL))
    assert await of(service, VICTIM) == before
    if getattr(told, "token", ""):
        assert (await service.admin.authenticate(told.token)).user.name == MEMBER


@every_place
async def test_an_admin_who_names_another_acts_as_itself(service: Operated, place: Place) -> None:
    """An admin may create keys of others; the creator and the actor are the admin."""
    user = await service.admin.create_user(new_id("somebody"))
    caller = entitled(service, place.method)
    request = await good_request(service, place.method)
    await assert_only_for_itself(service, caller, place, request, (user.name, user.email))


@every_place
async def test_a_stranger_who_names_somebody_gets_nothing(service: Operated, place: Place) -> None:
    request = await good_request(service, place.method)
    place.put(request, named(place, VICTIM, EMAIL))
    before = await stored(service)
    told = await sent(service.as_caller(None), place.method, request)
    assert told.reason == "CALLER_CREDENTIAL_MISSING"
    assert await stored(service) == before


def test_users_are_named_in_many_places() -> None:
    """Else the tests above would pass without one."""
    assert {
        *("CreateKey.key.user", "CreateKey.key.creator", "CreateKey.key.creator_email"),
        *("EnsureKey.key.user", "UpdateKey.key.user", "UpdateKey.key.creator"),
        *("UpdateKey.key.creator_email", "RevokeKeys.filter.user", "RevokeKeys.filter.creator"),
        *("CreateGrant.grant.user", "CreateGrant.grant.creator", "UpdateUser.user.name"),
        *("UpdateUser.user.email", "DeleteUser.name", "CreateWorkspace.admin_email"),
    } <= set(map(str, PLACES))


# --- metadata -------------------------------------------------------------------------------------


async def _member_token(service: Operated) -> str:
    return (await service.admin.create_key(user=MEMBER)).token


async def assert_metadata_names_nobody(service: Operated, method: Method) -> None:
    token = await _member_token(service)
    pretending = (
        *((name, VICTIM) for name in IDENTITY_HEADERS),
        *((name, f"Bearer {service.admin_token}") for name in TOKEN_HEADERS[:3]),
        *((name, service.admin_token) for name in TOKEN_HEADERS[3:]),
    )
    plain = await sent(
        service.as_caller(token), method, await good_request(service, method, of=MEMBER)
    )
    request = await good_request(service, method, of=MEMBER)
    last = await last_event(service)
    told = await sent(service.as_caller(token, *pretending), method, request)
    assert type(told) is type(plain)
    assert getattr(told, "reason", "") == getattr(plain, "reason", "")
    assert {event["actor"] for event in await events_after(service, last)} <= {MEMBER}
    if method.is_open:  # who calls is not even asked
        return

    request = await good_request(service, method)
    told = await sent(service.as_caller(None, *pretending), method, request)
    assert told.reason == "CALLER_CREDENTIAL_MISSING"


@every_method
async def test_metadata_but_the_credential_names_nobody(
    service: Operated, people: People, method: Method
) -> None:
    await assert_metadata_names_nobody(service, method)


# --- UpdateKey ------------------------------------------------------------------------------------

TAKEN_OVER = {
    "user": VICTIM,
    "user_email": EMAIL,
    "creator": VICTIM,
    "creator_email": EMAIL,
    "creator_credential": f"{PARENT}/keys/some",
}


async def assert_keeps_its_owner(service: Operated, caller: Caller) -> None:
    """An update that names another owner or creator changes neither, and a mask of them nothing."""
    created = await caller.do("CreateKey", parent=PARENT, key={})
    name, me = created.key.name, created.key.user
    for field, value in TAKEN_OVER.items():
        key = {"name": name, "display_name": new_id(), field: value}
        for mask in ([], ["*"], ["display_name"]):
            changed = await caller.do("UpdateKey", key=key, update_mask={"paths": mask})
            assert changed.key.display_name == key["display_name"]
        for mask in ([field], [f"key.{field}"], ["display_name", field]):
            call = caller.do("UpdateKey", key=key, update_mask={"paths": mask})
            error = await refusal(call)
            assert error.reason == "FIELD_INVALID"
            assert error.fields == ["update_mask"]
    kept = await service.admin.get_key(name)
    for field in TAKEN_OVER:
        assert getattr(kept, field) == getattr(created.key, field), field
    assert (await service.admin.authenticate(created.token)).user.name == me
    renewed = (await caller.do("RotateKey", name=name)).token
    assert (await service.admin.authenticate(renewed)).user.name == me


async def test_a_key_keeps_its_owner_and_creator_whatever_an_update_says(
    service: Operated, people: People
) -> None:
    for caller in (people.member, service.admin):
        await assert_keeps_its_owner(service, caller)


async def test_a_key_that_is_ensured_for_another_is_not_handed_over(
    service: Operated, people: People
) -> None:
    key_id = new_id("ensured")
    await people.member.do("EnsureKey", parent=PARENT, key={}, key_id=key_id)
    for caller, reason in (
        (people.member, "CALLER_PERMISSION_MISSING"),
        (service.admin, "RESOURCE_ALREADY_EXISTS"),
    ):
        call = caller.do("EnsureKey", parent=PARENT, key={"user": VICTIM}, key_id=key_id)
        assert (await refusal(call)).reason == reason
    assert (await service.admin.get_key(f"{PARENT}/keys/{key_id}")).user == MEMBER


# --- the tests go red where they must -------------------------------------------------------------


async def test_a_server_that_takes_the_owner_of_a_new_key_from_the_body_is_found_out(
    service: Operated, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug is the one of the CVE: nobody asks whether the caller may."""
    monkeypatch.setattr(Principal, "may", lambda _caller, _permission: True)
    monkeypatch.setattr(creation, "check_within", lambda *_asked: None)
    places = {str(place): place for place in PLACES}
    async with in_process(service) as patched:
        there = People(
            patched.as_caller(people.member.token), patched.as_caller(people.victim.token)
        )
        for which in ("CreateKey.key.user", "EnsureKey.key.user"):
            with pytest.raises(AssertionError):
                await test_a_member_who_names_another_acts_for_itself_or_not_at_all(
                    patched, there, places[which]
                )


async def test_a_server_that_takes_the_owner_of_a_key_from_an_update_is_found_out(
    service: Operated, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: `UpdateKey` reads `key.user`."""
    handlers: Any = methods._HANDLERS["KeyService"]
    update = handlers["UpdateKey"]

    async def hand_over(rpc: Rpc, request: Any) -> Any:
        reply = await update(rpc, request)
        await service.sql(
            "UPDATE keywright.key k SET owner = u.id, owner_user_id = u.user_id"
            " FROM keywright.user u WHERE k.key_id = $1 AND u.workspace = k.workspace"
            " AND u.user_id = $2",
            request.key.name.rpartition("/")[2],
            request.key.user.rpartition("/")[2],
        )
        return reply

    monkeypatch.setitem(handlers, "UpdateKey", hand_over)
    async with in_process(service) as patched:
        for caller in (patched.as_caller(people.member.token), patched.admin):
            with pytest.raises((AssertionError, RefusedError)):
                await assert_keeps_its_owner(patched, caller)


async def test_a_server_that_finds_its_caller_in_other_metadata_is_found_out(
    service: Operated, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: `x-api-key` is a credential, too."""
    interceptor = import_module("keywright.wire.interceptors.caller")
    bearer_token = interceptor.bearer_token

    def any_token(rpc: Rpc) -> str:
        others = rpc.values("x-api-key")
        return str(others[0]) if others else bearer_token(rpc)

    monkeypatch.setattr(interceptor, "bearer_token", any_token)
    async with in_process(service) as patched:
        for method in IMPLEMENTED:
            if method.name in {"CreateKey", "CreateUser", "GetWorkspace", "ListRoles"}:
                with pytest.raises((AssertionError, AttributeError)):
                    await assert_metadata_names_nobody(patched, method)

"""What becomes of a key: updated, rotated, disabled, enabled, revoked with others."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.v1 import key_pb2, rate_limit_pb2
from tests.support.service import PARENT, Caller, RefusedError, Service, refusal

ACTIVE, DISABLED, EXPIRED, REVOKED = 1, 2, 3, 4


def user(user_id: str) -> str:
    return f"{PARENT}/users/{user_id}"


def role(role_id: str) -> str:
    return f"{PARENT}/roles/{role_id}"


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def soon(**later: float) -> Timestamp:
    return timestamp(datetime.now(UTC) + timedelta(**later))


async def update(caller: Caller, name: str, *paths: str, etag: str = "", **key: Any) -> key_pb2.Key:
    mask = {"paths": paths} if paths else None
    reply = await caller.do(
        "UpdateKey", key=key_pb2.Key(name=name, etag=etag, **key), update_mask=mask
    )
    return reply.key


async def rotate(caller: Caller, name: str, grace: int = 0, **more: Any) -> Any:
    return await caller.do("RotateKey", name=name, grace=Duration(seconds=grace), **more)


async def denied(service: Service, token: str, **asked: Any) -> str:
    return (await refusal(service.admin.authenticate(token, **asked))).reason


async def grant(service: Service, user_id: str, resource: str, role_id: str) -> None:
    await service.admin.do(
        "CreateGrant",
        parent=PARENT,
        grant={"user": user(user_id), "resource": resource, "role": role(role_id)},
    )


async def expire(service: Service, name: str) -> None:
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() - interval '1 second' WHERE key_id = $1",
        name.rpartition("/")[2],
    )


# --- update -----------------------------------------------------------------------------------


async def test_what_is_told_of_a_key_changes_and_nothing_else_does(service: Service) -> None:
    created = await service.admin.create_key(scopes=["datasets.*"], labels={"team": "a"})
    name = created.key.name

    changed = await update(service.admin, name, display_name="renamed")
    assert (changed.display_name, list(changed.scopes)) == ("renamed", ["datasets.*"])
    assert changed.etag != created.key.etag
    assert changed.create_time == created.key.create_time
    changed = await update(service.admin, name, "labels", labels={"team": "b"})
    assert (changed.display_name, dict(changed.labels)) == ("renamed", {"team": "b"})
    changed = await update(service.admin, name, "labels", "display_name")
    assert (changed.display_name, dict(changed.labels)) == ("", {})
    assert (await service.admin.authenticate(created.token)).credential.name == name


async def test_an_update_that_changes_nothing_leaves_the_etag(service: Service) -> None:
    created = await service.admin.create_key(display_name="same", scopes=["datasets.*"])
    again = await update(service.admin, created.key.name, "*", **fields_of(created.key))
    assert again == created.key


def fields_of(key: key_pb2.Key) -> dict[str, Any]:
    names = ("display_name", "role", "resource")
    lists = ("scopes", "allowed_networks")
    return {name: getattr(key, name) for name in names} | {
        name: list(getattr(key, name)) for name in lists
    }


async def test_narrowing_is_felt_at_once(service: Service) -> None:
    ann = await service.person("ann-narrows", "member")
    created = await ann.create_key()
    name, token = created.key.name, created.token

    await update(ann, name, scopes=["datasets.read", "keys.own"])
    found = await service.admin.authenticate(token)
    assert list(found.permissions) == ["datasets.read", "keys.own"]
    await update(ann, name, role=role("labeler"))
    assert list((await service.admin.authenticate(token)).permissions) == ["keys.own"]
    await update(ann, name, allowed_networks=["192.0.2.0/24"])
    assert await denied(service, token) == "ADDRESS_REQUIRED"
    assert await denied(service, token, client_address="198.51.100.1") == "ADDRESS_NOT_ALLOWED"
    await service.admin.authenticate(token, client_address="192.0.2.7")


async def test_a_key_is_bound_by_an_update_as_far_as_it_could_be_created_so(
    service: Service,
) -> None:
    ann = await service.person("ann-binds", "member")
    token = (created := await ann.create_key()).token
    refused = await refusal(update(ann, created.key.name, resource="projects/a"))
    assert (refused.reason, refused.info.metadata["permission"]) == (
        "CALLER_PERMISSION_MISSING",
        "keys.bound",
    )
    await update(service.admin, created.key.name, resource="projects/a")
    assert await denied(service, token) == "RESOURCE_REQUIRED"
    await service.admin.authenticate(token, resource="projects/a/x")
    await update(ann, created.key.name, resource="projects/a/x")  # below, which only takes away
    assert await denied(service, token, resource="projects/a") == "RESOURCE_MISMATCH"

    refused = await refusal(update(ann, created.key.name, resource="projects/b"))
    assert (refused.reason, refused.info.metadata["permission"]) == (
        "CALLER_PERMISSION_MISSING",
        "keys.bound",
    )
    await update(service.admin, created.key.name, resource="projects/b")
    await service.admin.authenticate(token, resource="projects/b")
    await update(ann, created.key.name, "resource")  # she may create keys that are not bound
    await service.admin.authenticate(token)


async def test_widening_goes_as_far_as_a_creation_would(service: Service) -> None:
    ann = await service.person("ann-widens", "member")
    narrow = await ann.create_key(scopes=["keys.own", "datasets.read"])
    caller = service.as_caller(narrow.token)

    wider: list[list[str]] = [[], ["datasets.*", "keys.own"], ["*"]]
    for scopes in wider:
        refused = await refusal(update(caller, narrow.key.name, "scopes", scopes=scopes))
        assert refused.reason == "AUTHORITY_EXCEEDED"
        assert refused.info.metadata["field"] == "key.scopes"
    widened = await update(ann, narrow.key.name, "scopes", scopes=["datasets.*", "keys.own"])
    assert list(widened.scopes) == ["datasets.*", "keys.own"]
    above = await refusal(update(ann, narrow.key.name, role=role("admin")))
    assert (above.reason, above.info.metadata["field"]) == ("AUTHORITY_EXCEEDED", "key.role")


async def test_an_expiry_moves_within_the_policy_and_the_calling_key(service: Service) -> None:
    ann = await service.person("ann-extends")
    created = await ann.create_key(ttl=Duration(seconds=3600))
    name = created.key.name

    later = await update(ann, name, expire_time=soon(hours=5))
    assert later.expire_time.seconds > created.key.expire_time.seconds
    brief = await refusal(update(ann, name, expire_time=soon(seconds=30)))
    assert (brief.reason, brief.fields) == ("POLICY_LIFETIME_TOO_SHORT", ["key.expire_time"])
    never = await update(ann, name, "expire_time")
    assert not never.HasField("expire_time")

    short = await ann.create_key(ttl=Duration(seconds=3600))
    caller = service.as_caller(short.token)
    outlive = await refusal(update(caller, short.key.name, expire_time=soon(hours=2)))
    assert outlive.reason == "AUTHORITY_EXCEEDED"
    assert outlive.info.metadata["field"] == "key.expire_time"
    sooner = await update(caller, short.key.name, expire_time=soon(minutes=30))
    assert sooner.expire_time.seconds < short.key.expire_time.seconds


async def test_an_expired_key_stands_again_when_its_expiry_is_extended(service: Service) -> None:
    created = await service.admin.create_key(ttl=Duration(seconds=3600))
    await expire(service, created.key.name)
    assert await denied(service, created.token) == "KEY_EXPIRED"

    extended = await update(service.admin, created.key.name, expire_time=soon(hours=1))
    assert extended.state == ACTIVE
    await service.admin.authenticate(created.token)


async def test_a_revoked_key_does_not_change(service: Service) -> None:
    name = (await service.admin.create_key()).key.name
    await service.admin.revoke_key(name)

    for change in (
        update(service.admin, name, display_name="late"),
        rotate(service.admin, name),
        service.admin.do("DisableKey", name=name),
        service.admin.do("EnableKey", name=name),
    ):
        refused = await refusal(change)
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "STATE_CONFLICT"
        assert refused.info.metadata["state"] == "REVOKED"


async def test_a_stale_etag_changes_nothing(service: Service) -> None:
    created = await service.admin.create_key()
    name = created.key.name
    await update(service.admin, name, display_name="first")

    for change in (
        update(service.admin, name, display_name="second", etag=created.key.etag),
        rotate(service.admin, name, etag=created.key.etag),
        service.admin.do("DisableKey", name=name, etag=created.key.etag),
        service.admin.do("RevokeKey", name=name, etag=created.key.etag),
        service.admin.do("DeleteKey", name=name, etag=created.key.etag),
    ):
        assert (await refusal(change)).reason == "ETAG_MISMATCH"
    key = await service.admin.get_key(name)
    assert (key.display_name, key.state) == ("first", ACTIVE)
    await service.admin.authenticate(created.token)
    await service.admin.do("DisableKey", name=name, etag=key.etag)


async def test_updates_at_the_same_time_are_all_kept(service: Service) -> None:
    name = (await service.admin.create_key()).key.name
    await asyncio.gather(
        update(service.admin, name, display_name="kept"),
        update(service.admin, name, labels={"kept": "yes"}),
        update(service.admin, name, scopes=["datasets.*"]),
        update(service.admin, name, rate_limit=limit(7)),
    )
    key = await service.admin.get_key(name)
    assert (key.display_name, dict(key.labels)) == ("kept", {"kept": "yes"})
    assert (list(key.scopes), key.rate_limit.requests) == (["datasets.*"], 7)


def limit(requests: int) -> rate_limit_pb2.RateLimit:
    return rate_limit_pb2.RateLimit(requests=requests, period=Duration(seconds=60))


# --- rotate -----------------------------------------------------------------------------------


async def test_a_rotated_key_is_the_same_key_with_another_token(service: Service) -> None:
    created = await service.admin.create_key(display_name="turns", scopes=["datasets.*"])
    rotated = await rotate(service.admin, created.key.name)

    assert rotated.token.startswith(f"kw_live_{rotated.key.prefix}")
    assert rotated.key.prefix != created.key.prefix
    assert (rotated.key.name, rotated.key.display_name) == (created.key.name, "turns")
    assert rotated.key.rotate_time.ToDatetime() > created.key.rotate_time.ToDatetime()
    assert rotated.key.create_time == created.key.create_time
    assert await denied(service, created.token) == "TOKEN_RETIRED"
    found = await service.admin.authenticate(rotated.token)
    assert (found.credential.name, list(found.permissions)) == (created.key.name, ["datasets.*"])


async def test_the_old_token_stands_for_its_grace(service: Service) -> None:
    created = await service.admin.create_key()
    rotated = await rotate(service.admin, created.key.name, grace=3600)

    assert rotated.key.retiring_prefix == created.key.prefix
    left = rotated.key.retire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    for token in (created.token, rotated.token):
        assert (await service.admin.authenticate(token)).credential.name == created.key.name
    await service.sql(
        "UPDATE keywright.key_secret SET not_after = now() WHERE prefix = $1", created.key.prefix
    )
    assert await denied(service, created.token) == "TOKEN_RETIRED"
    assert (await service.admin.get_key(created.key.name)).retiring_prefix == ""


async def test_no_more_than_two_tokens_of_a_key_stand(service: Service) -> None:
    first = await service.admin.create_key()
    second = await rotate(service.admin, first.key.name, grace=3600)
    third = await rotate(service.admin, first.key.name, grace=3600)

    assert await denied(service, first.token) == "TOKEN_RETIRED"
    assert third.key.retiring_prefix == second.key.prefix
    for token in (second.token, third.token):
        await service.admin.authenticate(token)


async def test_a_grace_ends_with_the_key(service: Service) -> None:
    created = await service.admin.create_key(ttl=Duration(seconds=3600))
    rotated = await rotate(service.admin, created.key.name, grace=7 * 86400)
    assert rotated.key.retire_time == rotated.key.expire_time

    await service.admin.revoke_key(created.key.name)
    for token in (created.token, rotated.token):
        assert await denied(service, token) == "KEY_REVOKED"


async def test_a_key_may_rotate_itself(service: Service) -> None:
    ann = await service.person("ann-turns")
    own = (await ann.list_keys()).keys[0].name
    rotated = await rotate(ann, own)

    assert await denied(service, ann.token or "") == "TOKEN_RETIRED"
    await service.as_caller(rotated.token).get_key(own)


async def test_a_token_whose_grace_runs_cannot_make_itself_last(service: Service) -> None:
    """It may have been rotated because somebody found it."""
    ann = await service.person("ann-leaks")
    own = (await ann.list_keys()).keys[0].name
    newer = service.as_caller((await rotate(ann, own, grace=3600)).token)

    for call in (rotate(ann, own), ann.create_key(), ann.create_key(never_expires=True)):
        refused = await refusal(call)
        assert refused.reason == "AUTHORITY_EXCEEDED"
        assert refused.info.metadata["field"] == "key.expire_time"
    await ann.create_key(ttl=Duration(seconds=600))
    await rotate(newer, own)


async def test_of_rotations_at_the_same_time_one_wins(service: Service) -> None:
    created = await service.admin.create_key()
    results = await asyncio.gather(
        *(rotate(service.admin, created.key.name) for _ in range(8)), return_exceptions=True
    )
    won = [each for each in results if not isinstance(each, BaseException)]
    lost = [each for each in results if isinstance(each, RefusedError)]
    assert len(won) + len(lost) == 8
    assert {each.reason for each in lost} <= {"CONCURRENT_UPDATE"}
    assert {each.code for each in lost} <= {grpc.StatusCode.ABORTED}
    # Calls may have come one after another: then each of them won, and the last one counts.
    standing = (await service.admin.get_key(created.key.name)).prefix
    tokens = [each.token for each in won if each.key.prefix == standing]
    assert len(tokens) == 1
    await service.admin.authenticate(tokens[0])


async def test_nobody_gets_a_token_that_may_do_more_or_longer_than_the_calling_key(
    service: Service,
) -> None:
    ann = await service.person("ann-mints", "member")
    wide = await ann.create_key()
    for narrow in (
        await ann.create_key(scopes=["keys.own", "datasets.read"]),
        await ann.create_key(role=role("labeler")),
        await ann.create_key(ttl=Duration(seconds=600)),
        await ann.create_key(allowed_networks=["127.0.0.0/8"]),
    ):
        caller = service.as_caller(narrow.token)
        refused = await refusal(rotate(caller, wide.key.name))
        assert refused.reason == "AUTHORITY_EXCEEDED"
        refused = await refusal(caller.create_key())
        assert refused.reason == "AUTHORITY_EXCEEDED"
        refused = await refusal(
            caller.do("EnsureKey", parent=PARENT, key_id="wide", key=key_pb2.Key())
        )
        assert refused.reason == "AUTHORITY_EXCEEDED"
        await rotate(caller, narrow.key.name)
    await service.admin.authenticate(wide.token)


async def managers_get_no_token_of_others(service: Service) -> None:
    """Whoever manages a project ends other people's keys to it, and never acts as them."""
    manager = await service.person("manager-turns", "collaborator")
    await grant(service, "manager-turns", "projects/m", "manager")
    await service.admin.create_user("ann-bound", "member")
    theirs = await service.admin.create_key(user=user("ann-bound"), resource="projects/m/x")
    name = theirs.key.name

    assert (await manager.get_key(name)).name == name
    assert (await refusal(rotate(manager, name))).reason == "CALLER_PERMISSION_MISSING"
    widen = update(manager, name, "resource", resource="projects/m")
    assert (await refusal(widen)).reason == "CALLER_PERMISSION_MISSING"
    assert await denied(service, theirs.token) == "RESOURCE_REQUIRED"  # it stands as it was
    await update(manager, name, scopes=["datasets.read"])
    await manager.do("DisableKey", name=name)
    await manager.do("EnableKey", name=name)
    await manager.revoke_key(name)
    assert await denied(service, theirs.token) == "KEY_REVOKED"


async def test_who_manages_a_resource_gets_no_token_of_others(service: Service) -> None:
    await managers_get_no_token_of_others(service)


async def test_a_demoted_admins_key_is_a_members(service: Service) -> None:
    boss = await service.person("boss-falls", "admin")
    theirs = await boss.create_key(user=user("admin"))
    await service.admin.do("UpdateUser", user={"name": user("boss-falls"), "role": role("member")})

    refused = await refusal(boss.create_key(user=user("admin")))
    assert (refused.reason, refused.info.metadata["permission"]) == (
        "CALLER_PERMISSION_MISSING",
        "keys.any",
    )
    assert (await refusal(boss.revoke_key(theirs.key.name))).reason == "RESOURCE_NOT_FOUND"
    await boss.create_key()
    # What it created stays what it was: the owner's.
    assert "*" in (await service.admin.authenticate(theirs.token)).permissions


# --- disable and enable -----------------------------------------------------------------------


async def test_a_disabled_key_is_denied_until_it_is_enabled(service: Service) -> None:
    created = await service.admin.create_key()
    name = created.key.name
    for _ in range(2):  # and again, which changes nothing
        assert (await service.admin.do("DisableKey", name=name)).key.state == DISABLED
        assert await denied(service, created.token) == "KEY_DISABLED"
    for _ in range(2):
        assert (await service.admin.do("EnableKey", name=name)).key.state == ACTIVE
        await service.admin.authenticate(created.token)


async def test_enabling_takes_all_that_the_key_may_do(service: Service) -> None:
    ann = await service.person("ann-enables", "member")
    wide = (await ann.create_key()).key.name
    narrow = service.as_caller((await ann.create_key(scopes=["keys.own"])).token)
    await narrow.do("DisableKey", name=wide)

    assert (await refusal(narrow.do("EnableKey", name=wide))).reason == "AUTHORITY_EXCEEDED"
    assert (await ann.do("EnableKey", name=wide)).key.state == ACTIVE


# --- many at once -----------------------------------------------------------------------------


async def revoke_keys(caller: Caller, **request: Any) -> Any:
    return await caller.do("RevokeKeys", parent=PARENT, **request)


async def test_all_keys_of_a_user_are_revoked_at_once(service: Service) -> None:
    ann = await service.person("ann-leaves")
    tokens = [ann.token, *[(await ann.create_key()).token for _ in range(3)]]
    disabled = await ann.create_key()
    await ann.do("DisableKey", name=disabled.key.name)
    other = await service.person("bob-stays")
    of_ann = {"user": user("ann-leaves@example.com")}

    counted = await revoke_keys(service.admin, filter=of_ann, validate_only=True)
    assert counted.count == 5
    await service.admin.authenticate(tokens[0] or "")
    revoked = await revoke_keys(service.admin, filter=of_ann)
    assert revoked.count == 5
    assert revoked.revision != counted.revision
    for token in tokens:
        assert await denied(service, token or "") == "KEY_REVOKED"
    assert (await revoke_keys(service.admin, filter=of_ann)).count == 0
    await other.list_keys()
    events = await service.sql(
        "SELECT resource FROM keywright.audit_event WHERE action = 'RevokeKey' AND resource = $1",
        disabled.key.name,
    )
    assert len(events) == 1


async def test_keys_are_revoked_by_resource_creator_and_age(service: Service) -> None:
    boss = await service.person("boss-revokes", "admin")
    await service.admin.create_user("cem")
    bound = await service.admin.create_key(resource="projects/r")
    below = await service.admin.create_key(resource="projects/r/x")
    made = await boss.create_key(user=user("cem"))

    assert (await revoke_keys(service.admin, filter={"resource": "projects/r"})).count == 1
    assert (await service.admin.get_key(bound.key.name)).state == REVOKED
    assert (await service.admin.get_key(below.key.name)).state == ACTIVE
    assert (await revoke_keys(service.admin, filter={"creator": user("boss-revokes")})).count == 1
    assert await denied(service, made.token) == "KEY_REVOKED"

    old, fresh, used = [await service.admin.create_key(labels={"age": "x"}) for _ in range(3)]
    for key, made_ago, used_ago in ((old, 90, None), (fresh, 1, None), (used, 90, 1)):
        await service.sql(
            "UPDATE keywright.key SET create_time = now() - $2::interval, "
            "last_used_time = now() - $3::interval WHERE key_id = $1",
            key.key.name.rpartition("/")[2],
            timedelta(days=made_ago),
            None if used_ago is None else timedelta(days=used_ago),
        )
    unused = {"unused_since": soon(days=-30), "labels": {"age": "x"}}
    assert (await revoke_keys(service.admin, filter=unused)).count == 1
    assert (await service.admin.get_key(old.key.name)).state == REVOKED
    for kept in (fresh, used):
        assert (await service.admin.get_key(kept.key.name)).state == ACTIVE


async def test_a_mass_revocation_is_one_step_of_the_history(service: Service) -> None:
    for _ in range(4):
        await service.admin.create_key(labels={"mass": "yes"})
    (before,) = await service.sql("SELECT revision FROM keywright.authority_revision")
    await revoke_keys(service.admin, filter={"labels": {"mass": "yes"}})
    (after,) = await service.sql("SELECT revision FROM keywright.authority_revision")
    changes = await service.sql(
        "SELECT kind FROM keywright.authority_change WHERE revision = $1", after[0]
    )
    assert after[0] == before[0] + 1
    assert [row[0] for row in changes] == ["key"] * 4


async def test_who_covers_some_keys_only_revokes_those(service: Service) -> None:
    ann = await service.person("ann-some", "collaborator")
    await grant(service, "ann-some", "projects/s", "manager")
    bound = await service.admin.create_key(resource="projects/s/x", labels={"some": "x"})
    own = await ann.create_key(labels={"some": "x"})
    elsewhere = await service.admin.create_key(resource="projects/t", labels={"some": "x"})

    assert (await revoke_keys(ann, filter={"labels": {"some": "x"}})).count == 2
    states = [
        (await service.admin.get_key(each.key.name)).state for each in (bound, own, elsewhere)
    ]
    assert states == [REVOKED, REVOKED, ACTIVE]
    member = await service.person("bob-some", "member")
    refused = await refusal(revoke_keys(member, filter={"user": user("admin")}))
    assert refused.reason == "CALLER_PERMISSION_MISSING"


async def test_asking_to_revoke_revoked_keys_revokes_none(service: Service) -> None:
    """An empty list of states means all of them elsewhere."""
    created = await service.admin.create_key()
    assert (await revoke_keys(service.admin, filter={"states": [REVOKED]})).count == 0
    await service.admin.authenticate(created.token)


async def test_revoking_many_needs_a_filter(service: Service) -> None:
    requests: list[dict[str, Any]] = [{}, {"filter": {}}]
    for request in requests:
        refused = await refusal(revoke_keys(service.admin, **request))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.fields == ["filter"]
    await service.admin.authenticate(service.admin_token)

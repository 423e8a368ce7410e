"""Labelbox: keys with a name, a user, a role and a validity; disabled with their user's account.

Each test quotes the sentence of the product's documentation that it proves.
"""

import itertools
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from keywright.v1 import key_pb2, user_pb2
from tests.seeds.people import (
    cannot_call,
    denied,
    fresh,
    key_id,
    let_expire,
    listed,
    may,
    own_role,
    person,
    role_name,
    set_role,
    user_name,
    workspace_with,
)
from tests.support.service import PARENT, RefusedError, Service, refusal

UNITS = {
    "SECOND": timedelta(seconds=1),
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
    "WEEK": timedelta(weeks=1),
}
# As Labelbox has it: every key expires, and 25 weeks are the most where nothing else is said.
AS_LABELBOX = {"expiry_required": True}
NOT_REVOKED = [key_pb2.KEY_STATE_ACTIVE, key_pb2.KEY_STATE_DISABLED, key_pb2.KEY_STATE_EXPIRED]


def validity(count: int, time_unit: str) -> Duration:
    """`validity` and `time_unit` as the duration that they are."""
    return Duration(seconds=count * int(UNITS[time_unit].total_seconds()))


# --- whose keys they are ------------------------------------------------------------------------


async def test_a_key_authenticates_on_behalf_of_its_user(service: Service) -> None:
    """“API keys serve as access credentials to Labelbox on your behalf.”"""
    ann = await person(service, "collaborator")
    principal = await service.admin.authenticate(ann.token)

    assert principal.user.email == ann.email
    assert principal.credential.name == ann.key
    assert await may(service, ann.token, "projects.read")
    assert not await may(service, ann.token, "projects.write")


async def test_an_integration_has_a_key_that_is_nobody_s_and_may_what_it_needs(
    service: Service,
) -> None:
    """“can also authorize third-party integrations, such as cloud providers”"""
    storage = await service.admin.do(
        "CreateUser",
        parent=PARENT,
        user={
            "display_name": "Cloud storage",
            "kind": user_pb2.USER_KIND_SERVICE,
            "role": role_name("member"),
        },
    )
    created = await service.admin.create_key(user=storage.user.name, scopes=["datasets.read"])

    principal = await service.admin.authenticate(created.token)
    assert (principal.user.display_name, principal.user.email) == ("Cloud storage", "")
    assert principal.user.kind == user_pb2.USER_KIND_SERVICE
    assert list(principal.permissions) == ["datasets.read"]


async def disabled_accounts_have_no_keys(service: Service) -> None:
    ann = await person(service, "admin")
    second = await ann.caller.create_key(display_name="second")
    off = await ann.caller.create_key(display_name="disabled by itself")
    await ann.caller.do("DisableKey", name=off.key.name)
    bob = await person(service)
    for_bob = await ann.caller.create_key(user=bob.name, role=role_name("member"))

    await service.admin.disable_user(ann.name)
    for token in (ann.token, second.token):
        assert await denied(service, token) == "USER_DISABLED"
        assert await cannot_call(service.as_caller(token)) == "USER_DISABLED"
    await service.admin.authenticate(for_bob.token)  # what she made for Bob is Bob's

    await service.admin.enable_user(ann.name)
    for token in (ann.token, second.token):
        assert await may(service, token, "users.manage")
    assert await denied(service, off.token) == "KEY_DISABLED"


async def test_disabling_an_account_disables_all_its_keys_and_enabling_restores_them(
    service: Service,
) -> None:
    """“API keys are tied to user accounts. If a user account is disabled, all API keys associated
    with that account are also disabled.”"""
    await disabled_accounts_have_no_keys(service)


async def test_a_disabled_account_gets_no_new_key(service: Service) -> None:
    """“If a user account is disabled, all API keys associated with that account are also
    disabled.”"""
    ann = await person(service)
    await service.admin.disable_user(ann.name)

    refused = await refusal(service.admin.create_key(user=ann.name))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "STATE_CONFLICT"
    assert ann.name in refused.message
    assert "disabled" in refused.message


async def roles_say_who_manages_keys(service: Service) -> None:
    admin, member, labeler = [
        await person(service, each) for each in ("admin", "member", "labeler")
    ]
    without = await person(service, await own_role(service, "projects.read"))

    for caller in (member.caller, labeler.caller):
        own = (await caller.create_key()).key.name
        assert own in await listed(caller)
        assert admin.key not in await listed(caller)
        await caller.delete_key(own)
    refused = await refusal(without.caller.create_key())
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert "keys.own" in refused.message
    assert (await refusal(without.caller.list_keys())).reason == "CALLER_PERMISSION_MISSING"

    distributed = await admin.caller.create_key(user=user_name(labeler.email))
    assert {member.key, labeler.key, distributed.key.name} <= set(await listed(admin.caller))
    await admin.caller.delete_key(member.key)
    assert await denied(service, member.token) == "TOKEN_UNKNOWN"


async def test_roles_say_who_creates_sees_deletes_and_distributes_keys(service: Service) -> None:
    """“Depending on your roles and permissions, you can create, view, delete, and distribute API
    keys as needed.”"""
    await roles_say_who_manages_keys(service)


# --- creating keys ------------------------------------------------------------------------------


async def test_a_key_is_created_with_name_user_role_and_validity(service: Service) -> None:
    """“To create a new API key, provide the following”, “name: a descriptive name”, “user: an
    existing user email address”, “role: an existing role (one of client.get_roles())”, “validity
    and time_unit: the duration of the API key”"""
    ann = await person(service)
    async with workspace_with(service, policy=AS_LABELBOX):
        created = await service.admin.create_key(
            display_name="Import job",
            user=user_name(ann.email),
            role=role_name("Labeler"),
            ttl=validity(2, "WEEK"),
        )

    assert created.key.display_name == "Import job"
    assert created.key.user_email == ann.email
    assert created.key.role == role_name("labeler")
    assert created.key.expire_time.ToDatetime() - created.key.create_time.ToDatetime() == (
        pytest.approx(timedelta(weeks=2), abs=timedelta(seconds=5))
    )
    principal = await service.admin.authenticate(created.token)
    assert principal.expire_time == created.key.expire_time
    assert sorted(principal.permissions) == ["keys.own", "labels.*"]  # a labeler's, not a member's
    assert created.token


async def test_a_name_may_be_anything_up_to_200_characters(service: Service) -> None:
    """“Enter a descriptive name.”"""
    for name in ("n" * 200, "Überwachung / 監視 (%_*)"):
        assert (await service.admin.create_key(display_name=name)).key.display_name == name
    for name in ("n" * 201, "two\nlines"):
        refused = await refusal(service.admin.create_key(display_name=name))
        assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.display_name"])


async def test_the_user_is_an_existing_one_by_email_without_regard_to_case(
    service: Service,
) -> None:
    """“user: an existing user email address”"""
    ann = await person(service)
    for email in (ann.email, ann.email.upper()):
        assert (await service.admin.create_key(user=user_name(email))).key.user == ann.name

    refused = await refusal(service.admin.create_key(user=user_name("nobody@example.com")))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "RESOURCE_NOT_FOUND"
    assert "nobody@example.com" in refused.message
    for malformed in (user_name("no one@"), "nobody@example.com", user_name("a@b@c")):
        refused = await refusal(service.admin.create_key(user=malformed))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.user"])


async def role_names_have_no_case(service: Service) -> None:
    ann = await person(service)
    for written in ("labeler", "Labeler", "LABELER"):
        try:
            created = await ann.caller.create_key(role=role_name(written))
        except RefusedError as refused:
            raise AssertionError(written) from refused
        assert created.key.role == role_name("labeler")


async def test_a_role_is_named_without_regard_to_case(service: Service) -> None:
    """“role: an existing role (one of client.get_roles())”"""
    await role_names_have_no_case(service)


async def test_every_role_that_is_listed_can_be_that_of_a_key(service: Service) -> None:
    """“role: an existing role (one of client.get_roles())”"""
    own = await own_role(service, "reviews.write")
    roles = (await service.admin.do("ListRoles", parent=PARENT, page_size=1000)).roles
    assert {role_name(each) for each in ("admin", "member", "labeler", own)} <= {
        role.name for role in roles
    }

    for role in roles:
        created = await service.admin.create_key(role=role.name)
        principal = await service.admin.authenticate(created.token)
        assert list(principal.permissions) == list(role.permissions)


async def test_an_unknown_role_is_refused_by_name(service: Service) -> None:
    """“role: an existing role (one of client.get_roles())”"""
    refused = await refusal(service.admin.create_key(role=role_name("Superhero")))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "RESOURCE_NOT_FOUND"
    assert role_name("superhero") in refused.message
    refused = await refusal(service.admin.create_key(role="admin"))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["key.role"])


async def a_role_is_at_most_one_s_own(service: Service) -> None:
    ann = await person(service)
    refused = await refusal(ann.caller.create_key(role=role_name("Admin")))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "AUTHORITY_EXCEEDED"
    assert refused.info.metadata["field"] == "key.role"
    assert "the role admin has *, which you lack" in refused.message
    for role in ("member", "collaborator", "labeler"):
        await ann.caller.create_key(role=role_name(role))


async def test_the_role_is_not_above_that_of_who_creates_the_key(service: Service) -> None:
    """“Select a role for the scope of access permissions.”"""
    await a_role_is_at_most_one_s_own(service)


async def test_the_role_is_not_above_that_of_the_user_either(service: Service) -> None:
    """“Select a role for the scope of access permissions.”"""
    ann = await person(service, "labeler")
    refused = await refusal(service.admin.create_key(user=ann.name, role=role_name("member")))
    assert refused.reason == "AUTHORITY_EXCEEDED"
    assert refused.info.metadata["field"] == "key.role"
    assert "which the owner lacks" in refused.message

    created = await service.admin.create_key(user=ann.name, role=role_name("labeler"))
    await set_role(service, ann.name, "admin")  # the key's own role keeps it narrow
    assert not await may(service, created.token, "datasets.read")
    assert await may(service, ann.token, "datasets.read")


# --- validity -----------------------------------------------------------------------------------


async def test_a_validity_is_given_in_any_unit(service: Service) -> None:
    """“Valid time_unit values include TimeUnit.SECOND, TimeUnit.MINUTE, TimeUnit.HOUR,
    TimeUnit.DAY, and TimeUnit.WEEK.”"""
    most = {"SECOND": 15_120_000, "MINUTE": 252_000, "HOUR": 4_200, "DAY": 175, "WEEK": 25}
    async with workspace_with(service, policy=AS_LABELBOX):
        for unit, one in UNITS.items():
            least = max(1, timedelta(minutes=1) // one)
            for count in (least, most[unit]):
                created = await service.admin.create_key(ttl=validity(count, unit))
                lives = created.key.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
                assert lives == pytest.approx(count * one, abs=timedelta(seconds=10))
                await service.admin.authenticate(created.token)
            refused = await refusal(service.admin.create_key(ttl=validity(most[unit] + 1, unit)))
            assert refused.reason == "POLICY_LIFETIME_TOO_LONG", unit


async def a_validity_is_a_minute_at_least(service: Service) -> None:
    async with workspace_with(service, policy=AS_LABELBOX):
        await service.admin.create_key(ttl=validity(1, "MINUTE"))
        await service.admin.create_key(ttl=validity(60, "SECOND"))
        none_and_less = itertools.product((0, -1), UNITS)
        for count, unit in ((59, "SECOND"), (1, "SECOND"), *none_and_less):
            refused = await refusal(service.admin.create_key(ttl=validity(count, unit)))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.reason == "POLICY_LIFETIME_TOO_SHORT", (count, unit)
            assert refused.fields == ["ttl"]
            assert "at least 1 minute" in refused.message


async def test_a_validity_of_less_than_a_minute_is_refused(service: Service) -> None:
    """“minimum {"validity":1, time_unit: TimeUnit.MINUTE}”"""
    await a_validity_is_a_minute_at_least(service)


async def a_validity_is_25_weeks_at_most(service: Service) -> None:
    async with workspace_with(service, policy=AS_LABELBOX):
        await service.admin.create_key(ttl=validity(25, "WEEK"))
        over = Duration(seconds=15_120_000, nanos=1000)
        for ttl in (over, validity(15_120_001, "SECOND"), validity(26, "WEEK")):
            refused = await refusal(service.admin.create_key(ttl=ttl))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.reason == "POLICY_LIFETIME_TOO_LONG", ttl
            assert refused.fields == ["ttl"]
            assert "25 weeks" in refused.message


async def test_a_validity_of_more_than_25_weeks_is_refused(service: Service) -> None:
    """“maximum {"validity":25, time_unit: TimeUnit.WEEK}”"""
    await a_validity_is_25_weeks_at_most(service)


async def test_a_moment_is_held_to_the_same_bounds_as_a_duration(service: Service) -> None:
    """“Add a validity time period. The max value is 6 months.”"""
    async with workspace_with(service, policy=AS_LABELBOX):
        now = datetime.now(UTC)
        await service.admin.create_key(expire_time=now + timedelta(weeks=25))
        for moment, reason in (
            (now + timedelta(days=184), "POLICY_LIFETIME_TOO_LONG"),
            (now + timedelta(seconds=30), "POLICY_LIFETIME_TOO_SHORT"),
            (now - timedelta(weeks=1), "POLICY_LIFETIME_TOO_SHORT"),
        ):
            refused = await refusal(service.admin.create_key(expire_time=moment))
            assert (refused.reason, refused.fields) == (reason, ["key.expire_time"])


async def test_an_absurd_validity_is_refused_like_any_other(service: Service) -> None:
    """“the duration of the API key using an integer (validity)”"""
    async with workspace_with(service, policy=AS_LABELBOX):
        refused = await refusal(service.admin.create_key(ttl=validity(52 * 1000, "WEEK")))
        assert (refused.reason, refused.fields) == ("POLICY_LIFETIME_TOO_LONG", ["ttl"])
        for seconds in (2**63 - 1, -(2**63)):
            refused = await refusal(service.admin.create_key(ttl=Duration(seconds=seconds)))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.fields == ["ttl"]


async def test_a_key_without_a_validity_is_refused_where_keys_must_expire(
    service: Service,
) -> None:
    """“Add a validity time period. The max value is 6 months.”"""
    async with workspace_with(service, policy=AS_LABELBOX):
        for never in (False, True):
            refused = await refusal(service.admin.create_key(never_expires=never))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refused.reason == "POLICY_EXPIRY_REQUIRED"
            assert "25 weeks" in refused.message
        refused = await refusal(
            service.admin.create_key(
                ttl=validity(1, "DAY"), expire_time=datetime.now(UTC) + timedelta(days=2)
            )
        )
        assert refused.reason == "FIELD_INVALID"
        assert "only one of" in refused.message


async def test_the_validity_cannot_be_stretched_afterwards(service: Service) -> None:
    """“Add a validity time period. The max value is 6 months.”"""
    async with workspace_with(service, policy=AS_LABELBOX):
        name = (await service.admin.create_key(ttl=validity(1, "WEEK"))).key.name
        for key, mask, reason in (
            (
                {"expire_time": datetime.now(UTC) + timedelta(weeks=26)},
                ["expire_time"],
                "POLICY_LIFETIME_TOO_LONG",
            ),
            ({}, ["expire_time"], "POLICY_EXPIRY_REQUIRED"),
        ):
            refused = await refusal(
                service.admin.do(
                    "UpdateKey", key={"name": name, **key}, update_mask={"paths": mask}
                )
            )
            assert refused.reason == reason


async def test_an_expired_key_authenticates_no_more(service: Service) -> None:
    """“validity and time_unit: the duration of the API key”"""
    ann = await person(service)
    created = await ann.caller.create_key(ttl=validity(1, "MINUTE"))
    await service.admin.authenticate(created.token)

    await let_expire(service, created.key.name)
    assert await denied(service, created.token) == "KEY_EXPIRED"
    assert await cannot_call(service.as_caller(created.token)) == "KEY_EXPIRED"
    assert await may(service, ann.token, "projects.read")


# --- the value of a key -------------------------------------------------------------------------


async def test_the_value_of_a_key_cannot_be_retrieved_later(service: Service) -> None:
    """“The value of an API key can only be retrieved once from the API key created prompt when the
    key is first created.”"""
    created = await service.admin.create_key(display_name="value")
    name, value = created.key.name, created.token
    again = [
        await service.admin.do("GetKey", name=name),
        await service.admin.do("LookupKey", parent=PARENT, prefix=created.key.prefix),
        await service.admin.do("ListKeys", parent=PARENT, filter={"search": "value"}),
        await service.admin.do("UpdateKey", key={"name": name, "display_name": "value 2"}),
        await service.admin.do("DisableKey", name=name),
        await service.admin.do("EnableKey", name=name),
        await service.admin.do("Authenticate", token=value),
        await service.admin.do("RevokeKey", name=name),
    ]
    secret = value.partition(created.key.prefix)[2][:43]
    assert len(secret) == 43
    assert not [reply for reply in again if secret.encode() in reply.SerializeToString()]


async def test_a_key_whose_value_is_lost_is_replaced_without_a_gap(service: Service) -> None:
    """“To minimize disruptions, we recommend not deleting keys until you've created and replaced
    them with new ones.”"""
    ann = await person(service)
    old = await ann.caller.create_key(display_name="pipeline")
    new = await ann.caller.create_key(display_name="pipeline")

    for token in (old.token, new.token):  # side by side, until all has moved over
        assert await may(service, token, "labels.write")
    await ann.caller.delete_key(old.key.name)
    assert await denied(service, old.token) == "TOKEN_UNKNOWN"
    assert await may(service, new.token, "labels.write")


async def test_keys_that_nobody_seems_to_use_are_found(service: Service) -> None:
    """“If you lose the value of your API key (or cannot determine how it's being used), delete it
    and create a new one.”"""
    ann = await person(service)
    used, unused = await ann.caller.create_key(), await ann.caller.create_key()
    for created, ago in ((used, timedelta(hours=1)), (unused, timedelta(days=40))):
        await service.sql(
            "UPDATE keywright.key SET create_time = now() - interval '50 days', "
            "last_used_time = now() - $2::interval, last_used_address = '192.0.2.7' "
            "WHERE key_id = $1",
            key_id(created.key.name),
            ago,
        )

    month_ago = datetime.now(UTC) - timedelta(days=30)
    assert await listed(ann.caller, unused_since=month_ago) == [unused.key.name]
    record = await ann.caller.get_key(unused.key.name)
    assert record.last_used_time.ToDatetime(tzinfo=UTC) < month_ago
    assert record.last_used_address == "192.0.2.7"


# --- deleting and revoking ----------------------------------------------------------------------


async def test_whatever_uses_a_deleted_key_loses_access(service: Service) -> None:
    """“Once an API key is deleted, it can no longer authenticate API requests. Any app, script, or
    service using the key loses access to Labelbox.”"""
    ann = await person(service)
    created = await ann.caller.create_key()
    app, script = service.as_caller(created.token), service.as_caller(created.token)
    await app.list_keys()
    await script.list_keys()

    await ann.caller.delete_key(created.key.name)
    for user in (app, script):
        assert await cannot_call(user) == "TOKEN_UNKNOWN"
    assert await denied(service, created.token) == "TOKEN_UNKNOWN"
    refused = await refusal(ann.caller.get_key(created.key.name))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert created.key.name in refused.message


async def test_a_revoked_key_is_dead_for_good_but_on_record(service: Service) -> None:
    """“api_key.revoke()”"""
    ann = await person(service)
    created = await ann.caller.create_key()
    revoked = await ann.caller.revoke_key(created.key.name)

    assert revoked.key.state == key_pb2.KEY_STATE_REVOKED
    assert await denied(service, created.token) == "KEY_REVOKED"
    for method in ("EnableKey", "RotateKey"):
        refused = await refusal(ann.caller.do(method, name=created.key.name))
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "STATE_CONFLICT"
        assert refused.info.metadata["state"] == "REVOKED"
    assert await denied(service, created.token) == "KEY_REVOKED"
    assert (await ann.caller.get_key(created.key.name)).HasField("revoke_time")


# --- getting keys -------------------------------------------------------------------------------


async def lists_are_of_active_keys_or_of_all_that_are_not_revoked(service: Service) -> None:
    ann = await person(service)
    disabled, expired, revoked = [
        await ann.caller.create_key(ttl=validity(1, "HOUR")) for _ in range(3)
    ]
    await ann.caller.do("DisableKey", name=disabled.key.name)
    await let_expire(service, expired.key.name)
    await ann.caller.revoke_key(revoked.key.name)

    assert await listed(ann.caller) == [ann.key]
    assert await listed(ann.caller, states=NOT_REVOKED) == [
        expired.key.name,
        disabled.key.name,
        ann.key,
    ]
    by_name = {
        key.name: key.state
        for key in (await ann.caller.list_keys(filter={"states": NOT_REVOKED})).keys
    }
    assert by_name == {
        ann.key: key_pb2.KEY_STATE_ACTIVE,
        disabled.key.name: key_pb2.KEY_STATE_DISABLED,
        expired.key.name: key_pb2.KEY_STATE_EXPIRED,
    }


async def test_active_keys_are_listed_or_all_that_are_not_revoked(service: Service) -> None:
    """“You can list a single API key or all, active or expired, non-revoked API keys”"""
    await lists_are_of_active_keys_or_of_all_that_are_not_revoked(service)


async def test_a_single_key_is_got_by_its_id_even_when_expired(service: Service) -> None:
    """“You can list a single API key”"""
    created = await service.admin.create_key(key_id=fresh("single"), ttl=validity(1, "DAY"))
    assert await service.admin.get_key(created.key.name) == created.key
    await let_expire(service, created.key.name)
    expired = await service.admin.get_key(created.key.name)
    assert expired.state == key_pb2.KEY_STATE_EXPIRED
    assert (expired.name, expired.prefix) == (created.key.name, created.key.prefix)


async def test_an_unknown_key_id_is_refused_naming_it(service: Service) -> None:
    """“You can list a single API key”"""
    for method in ("GetKey", "RevokeKey", "DeleteKey"):
        refused = await refusal(service.admin.do(method, name=f"{PARENT}/keys/cl-unknown"))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert refused.reason == "RESOURCE_NOT_FOUND"
        assert f"{PARENT}/keys/cl-unknown" in refused.message
    refused = await refusal(service.admin.get_key("cl-unknown"))
    assert (refused.reason, refused.fields) == ("FIELD_INVALID", ["name"])


async def test_the_record_says_when_it_expires_and_who_created_it_for_whom(
    service: Service,
) -> None:
    """“Show expiration datetime”, “Show creator and target user”"""
    ann, bob = await person(service), await person(service, "admin")
    made = await bob.caller.create_key(user=user_name(ann.email), ttl=validity(3, "DAY"))

    listed_keys = (await ann.caller.list_keys()).keys
    for record in (await ann.caller.get_key(made.key.name), listed_keys[0]):
        assert record == made.key
        assert record.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC) == pytest.approx(
            timedelta(days=3), abs=timedelta(seconds=10)
        )
        assert (record.creator_email, record.user_email) == (bob.email, ann.email)
    assert await listed(service.admin, creator=bob.name) == [made.key.name]


async def test_the_record_still_says_so_when_both_are_gone(service: Service) -> None:
    """“Show creator and target user”"""
    ann, bob = await person(service), await person(service, "admin")
    made = await bob.caller.create_key(user=ann.name)
    await service.admin.do("DeleteUser", name=ann.name, force=True)
    await service.admin.do("DeleteUser", name=bob.name, force=True)

    record = await service.admin.get_key(made.key.name)
    assert (record.creator_email, record.user_email) == (bob.email, ann.email)
    assert record.state == key_pb2.KEY_STATE_REVOKED
    assert await denied(service, made.token) == "TOKEN_UNKNOWN"

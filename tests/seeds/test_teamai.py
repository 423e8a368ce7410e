"""TeamAI: keys of a workspace, with the access of the account; they end when somebody ends them.

Each test quotes the sentence of the product's documentation that it proves.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from keywright.v1 import key_pb2, workspace_pb2
from tests.seeds.people import (
    Person,
    cannot_call,
    denied,
    fresh,
    key_id,
    listed,
    may,
    own_role,
    person,
    role_name,
    set_role,
    user_name,
    workspace_with,
)
from tests.support.service import PARENT, Caller, Service, first_admin, refusal

QUARTER = timedelta(days=90)


async def another_workspace(service: Service) -> tuple[str, Caller]:
    """Another customer's workspace, and its admin."""
    workspace = fresh("ws")
    return f"workspaces/{workspace}", service.as_caller(await first_admin(service.dsn, workspace))


async def create_in(workspace: str, caller: Caller, **request: Any) -> Any:
    return await caller.do("CreateKey", parent=workspace, **request)


# --- a key of a workspace -----------------------------------------------------------------------


async def keys_are_of_one_workspace(service: Service) -> None:
    elsewhere, their_admin = await another_workspace(service)
    ours, theirs = await service.admin.create_key(), await create_in(elsewhere, their_admin)

    # Each is good in its own workspace, and unknown in the other.
    assert (await service.admin.authenticate(ours.token)).workspace == PARENT
    assert (await their_admin.authenticate(theirs.token)).workspace == elsewhere
    for caller, foreign in ((service.admin, theirs), (their_admin, ours)):
        refused = await refusal(caller.authenticate(foreign.token))
        assert refused.reason == "TOKEN_UNKNOWN"
        for method in ("GetKey", "RevokeKey", "DeleteKey", "RotateKey", "DisableKey"):
            refused = await refusal(caller.do(method, name=foreign.key.name))
            assert refused.code is grpc.StatusCode.NOT_FOUND
    in_theirs = (await their_admin.do("ListKeys", parent=elsewhere)).keys
    assert theirs.key.name in [key.name for key in in_theirs]
    assert ours.key.name not in [key.name for key in in_theirs]
    assert theirs.key.name not in await listed(service.admin)
    refused = await refusal(their_admin.list_keys())
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert PARENT in refused.message


async def test_a_key_of_one_workspace_means_nothing_in_another(service: Service) -> None:
    """“Create a personal API key for your workspace”"""
    await keys_are_of_one_workspace(service)


async def test_a_key_creates_nothing_in_another_workspace(service: Service) -> None:
    """“You now have an API key that can be used for programmatic access to your workspace
    resources.”"""
    elsewhere, their_admin = await another_workspace(service)
    mine = await service.admin.create_key(key_id=fresh("same"))

    refused = await refusal(create_in(elsewhere, service.admin))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert elsewhere in refused.message
    refused = await refusal(service.admin.create_key(user=f"{elsewhere}/users/admin"))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    # The ids of one workspace are not taken in another, nor are its people's addresses.
    same = await create_in(elsewhere, their_admin, key_id=key_id(mine.key.name))
    assert same.key.name != mine.key.name
    assert same.key.user_email == mine.key.user_email == "admin@localhost"
    assert same.key.user != mine.key.user


async def test_a_personal_key_is_its_creator_s(service: Service) -> None:
    """“Create a personal API key for your workspace”"""
    ann = await person(service)
    created = await ann.caller.create_key()

    assert created.key.user == created.key.creator == ann.name
    principal = await service.admin.authenticate(created.token)
    assert (principal.workspace, principal.user.email) == (PARENT, ann.email)


# --- who may ------------------------------------------------------------------------------------


async def only_administrators_and_managers_of_keys_create_keys(service: Service) -> None:
    member, admin = await person(service), await person(service, "admin")
    clerk = await person(service, await own_role(service, "keys.*", "projects.read"))

    async with workspace_with(service, policy={"key_creation": workspace_pb2.KEY_CREATION_ADMINS}):
        refused = await refusal(member.caller.create_key())
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "POLICY_CREATION_NOT_ALLOWED"
        assert "keys.any" in refused.message
        for allowed in (admin, clerk):
            created = await allowed.caller.create_key()
            await service.admin.authenticate(created.token)
        # Where only they create keys, members get theirs from them, and end them themselves.
        given = await admin.caller.create_key(user=member.name)
        assert (await member.caller.revoke_key(given.key.name)).key.state == (
            key_pb2.KEY_STATE_REVOKED
        )
    await member.caller.create_key()  # by default, everyone who may hold keys


async def test_creating_a_key_takes_administrative_or_key_management_permission(
    service: Service,
) -> None:
    """“Access to a workspace”, “Administrative or API management permissions”"""
    await only_administrators_and_managers_of_keys_create_keys(service)


async def test_whoever_manages_keys_need_not_be_an_administrator(service: Service) -> None:
    """“Administrative or API management permissions”"""
    ann = await person(service, "labeler")
    clerk = await person(service, await own_role(service, "keys.own", "keys.any", "labels.*"))

    created = await clerk.caller.create_key(user=user_name(ann.email), display_name="for Ann")
    assert {ann.key, created.key.name} <= set(await listed(clerk.caller))
    await clerk.caller.revoke_key(created.key.name)
    assert await denied(service, created.token) == "KEY_REVOKED"
    # But it hands out no more than it has itself.
    boss = await person(service, "admin")
    refused = await refusal(clerk.caller.create_key(user=boss.name))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "AUTHORITY_EXCEEDED"
    assert "which your credential lacks" in refused.message


async def test_who_has_no_access_to_the_workspace_creates_no_key(service: Service) -> None:
    """“Access to a workspace”"""
    refused = await refusal(service.as_caller(None).create_key())
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "CALLER_CREDENTIAL_MISSING"
    refused = await refusal(service.as_caller("no key at all").create_key())
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    gone = await person(service)
    await service.admin.do("DeleteUser", name=gone.name, force=True)
    assert await cannot_call(gone.caller) == "TOKEN_UNKNOWN"


# --- creating keys ------------------------------------------------------------------------------


async def test_a_descriptive_name_is_optional(service: Service) -> None:
    """“Enter a descriptive name for your key (optional)”"""
    ann = await person(service)
    named = await ann.caller.create_key(display_name="Zapier, weekly report")
    nameless = await ann.caller.create_key()

    shown = {key.name: key.display_name for key in (await ann.caller.list_keys()).keys}
    assert shown[named.key.name] == "Zapier, weekly report"
    assert shown[nameless.key.name] == ""
    for created in (named, nameless):
        await service.admin.authenticate(created.token)


async def test_a_key_is_displayed_at_its_creation_only(service: Service) -> None:
    """“The API key will only be displayed once at creation time. If you don't copy it immediately,
    you'll need to generate a new key.”"""
    ann = await person(service)
    lost = await ann.caller.create_key(display_name="lost")
    secret = lost.token.partition(lost.key.prefix)[2][:43].encode()
    for method, fields in (
        ("GetKey", {"name": lost.key.name}),
        ("ListKeys", {"parent": PARENT}),
        ("LookupKey", {"parent": PARENT, "prefix": lost.key.prefix}),
    ):
        reply = (await ann.caller.do(method, **fields)).SerializeToString()
        assert lost.key.prefix.encode() in reply  # by which it is recognised
        assert secret not in reply

    again = await ann.caller.create_key(display_name="lost")
    await ann.caller.revoke_key(lost.key.name)
    assert again.token != lost.token
    assert await may(service, again.token, "projects.read")


async def test_separate_keys_of_applications_live_and_die_apart(service: Service) -> None:
    """“Create separate keys for different applications or services”"""
    ann = await person(service)
    crm, bot = [await ann.caller.create_key(display_name=each) for each in ("crm", "bot")]
    assert (await service.admin.authenticate(crm.token)).credential.name == crm.key.name
    assert (await service.admin.authenticate(bot.token)).credential.name == bot.key.name

    await ann.caller.revoke_key(crm.key.name)
    assert await denied(service, crm.token) == "KEY_REVOKED"
    assert await may(service, bot.token, "projects.read")


async def scopes_keep_a_key_narrow(service: Service) -> None:
    ann = await person(service, "admin")
    created = await ann.caller.create_key(scopes=["datasets.read", "labels.*"])

    for permission, allowed in (
        ("datasets.read", True),
        ("labels.write", True),
        ("datasets.write", False),
        ("users.manage", False),
        ("keys.own", False),
    ):
        assert await may(service, created.token, permission) is allowed, permission
    refused = await refusal(service.as_caller(created.token).create_key())
    assert refused.reason == "CALLER_PERMISSION_MISSING"


async def test_a_key_may_be_given_the_least_that_it_needs(service: Service) -> None:
    """“Use the principle of least privilege when assigning permissions”"""
    await scopes_keep_a_key_narrow(service)


async def the_key_s_access_is_the_account_s(service: Service) -> None:
    ann = await person(service)
    for role in ("member", "labeler", "admin", "collaborator", "member"):
        await set_role(service, ann.name, role)
        account = (await service.admin.do("GetRole", name=role_name(role))).role
        principal = await service.admin.authenticate(ann.token)
        assert list(principal.permissions) == list(account.permissions), role
        assert principal.role == account.name


async def test_a_key_has_the_same_access_as_the_account_at_every_moment(service: Service) -> None:
    """“Your API key provides the same level of access as your logged-in account.”"""
    await the_key_s_access_is_the_account_s(service)


# --- managing keys ------------------------------------------------------------------------------


async def test_the_list_is_of_active_keys_with_their_creation_dates_newest_first(
    service: Service,
) -> None:
    """“View a list of all active API keys”, “Check creation dates”"""
    ann = await person(service)
    began = datetime.now(UTC) - timedelta(minutes=1)
    made = [await ann.caller.create_key(display_name=each) for each in ("one", "two", "three")]
    await ann.caller.revoke_key(made[1].key.name)

    shown = (await ann.caller.list_keys()).keys
    assert [key.display_name for key in shown] == ["three", "one", ""]
    assert {key.state for key in shown} == {key_pb2.KEY_STATE_ACTIVE}
    dates = [key.create_time.ToDatetime(tzinfo=UTC) for key in shown]
    assert dates == sorted(dates, reverse=True)
    assert began < dates[-1]
    assert dates[0] < datetime.now(UTC) + timedelta(minutes=1)


async def revoking_is_effective_at_once(service: Service) -> None:
    ann = await person(service)
    for _ in range(10):  # also for a key that has just been in use, by many at a time
        created = await ann.caller.create_key()
        await asyncio.gather(*(service.admin.authenticate(created.token) for _ in range(8)))
        revoked = await ann.caller.revoke_key(created.key.name)
        assert revoked.key.state == key_pb2.KEY_STATE_REVOKED
        reasons = await asyncio.gather(*(denied(service, created.token) for _ in range(8)))
        assert set(reasons) == {"KEY_REVOKED"}
        assert await cannot_call(service.as_caller(created.token)) == "KEY_REVOKED"


async def test_a_revoked_key_is_invalid_as_soon_as_the_call_has_returned(service: Service) -> None:
    """“The revoked key will immediately become invalid and can no longer be used for API
    requests.”"""
    await revoking_is_effective_at_once(service)


async def test_a_key_in_the_trash_leaves_the_list_and_stays_on_record(service: Service) -> None:
    """“Click the trash next to any key you wish to disable”, “Confirm the revocation when
    prompted”"""
    ann = await person(service)
    created = await ann.caller.create_key()
    name, seen = created.key.name, created.key.etag
    await ann.caller.do("UpdateKey", key={"name": name, "display_name": "in use by payroll"})

    # What was confirmed was another state of things than there is now: look again.
    refused = await refusal(ann.caller.do("RevokeKey", name=name, etag=seen))
    assert refused.reason == "ETAG_MISMATCH"
    await service.admin.authenticate(created.token)

    current = (await ann.caller.get_key(name)).etag
    await ann.caller.do("RevokeKey", name=name, etag=current)
    assert await listed(ann.caller) == [ann.key]
    assert await listed(ann.caller, states=[key_pb2.KEY_STATE_REVOKED]) == [name]
    assert (await ann.caller.revoke_key(name)).key.state == key_pb2.KEY_STATE_REVOKED


async def test_a_lost_key_is_revoked_after_a_new_one_has_taken_its_place(service: Service) -> None:
    """“If you lose a key, you'll need to generate a new one and revoke the old key.”"""
    ann = await person(service)
    lost = await ann.caller.create_key()
    new = await ann.caller.create_key()
    await ann.caller.revoke_key(lost.key.name)

    assert await denied(service, lost.token) == "KEY_REVOKED"
    assert await may(service, new.token, "projects.read")


async def test_a_compromised_key_is_replaced_in_one_call(service: Service) -> None:
    """“Immediately revoke the compromised key from the API keys page and generate a new one. Update
    all your integrations with the new key.”"""
    ann = await person(service)
    leaked = await ann.caller.create_key(display_name="ci", scopes=["projects.read"])

    new = await ann.caller.do("RotateKey", name=leaked.key.name)
    assert await denied(service, leaked.token) == "TOKEN_RETIRED"
    assert await cannot_call(service.as_caller(leaked.token)) == "TOKEN_RETIRED"
    assert new.key.name == leaked.key.name
    assert (new.key.display_name, list(new.key.scopes)) == ("ci", ["projects.read"])
    assert await may(service, new.token, "projects.read")


async def test_all_keys_of_a_compromised_account_are_revoked_in_one_call(service: Service) -> None:
    """“Immediately revoke the compromised key”"""
    ann, bob = await person(service), await person(service)
    hers = [ann.token, (await ann.caller.create_key()).token]

    revoked = await service.admin.do(
        "RevokeKeys", parent=PARENT, filter={"user": user_name(ann.email)}
    )
    assert revoked.count == 2
    for token in hers:
        assert await denied(service, token) == "KEY_REVOKED"
    await service.admin.authenticate(bob.token)


# --- expiry and rotation ------------------------------------------------------------------------


async def keys_do_not_expire_by_themselves(service: Service) -> None:
    ann = await person(service)
    created = await ann.caller.create_key()
    assert not created.key.HasField("expire_time")

    await _age(service, ann, timedelta(days=3650))
    principal = await service.admin.authenticate(created.token)
    assert not principal.HasField("expire_time")
    assert (await ann.caller.get_key(created.key.name)).state == key_pb2.KEY_STATE_ACTIVE


async def test_a_key_does_not_expire_by_itself(service: Service) -> None:
    """“API keys generally do not expire automatically”"""
    await keys_do_not_expire_by_themselves(service)


async def rotation_is_reminded_of(service: Service) -> None:
    ann = await person(service)
    due, recent, revoked = [await ann.caller.create_key() for _ in range(3)]
    await _age(service, ann, QUARTER + timedelta(days=1))
    await ann.caller.do("RotateKey", name=recent.key.name)
    await ann.caller.revoke_key(revoked.key.name)

    async with workspace_with(service, policy={"rotation_reminder": QUARTER}):
        policy = (await ann.caller.do("GetWorkspace", name=PARENT)).workspace.policy
        assert policy.rotation_reminder.ToTimedelta() == QUARTER
        since = datetime.now(UTC) - policy.rotation_reminder.ToTimedelta()
        assert await listed(ann.caller, unrotated_since=since) == [due.key.name, ann.key]
        assert due.key.name in await listed(service.admin, unrotated_since=since)
        # It is a reminder: what is due goes on working until somebody rotates it.
        assert await may(service, due.token, "projects.read")

        rotated = await ann.caller.do("RotateKey", name=due.key.name)
        assert rotated.key.rotate_time.ToDatetime(tzinfo=UTC) > since
        assert await listed(ann.caller, unrotated_since=since) == [ann.key]


async def test_keys_that_are_due_for_a_rotation_are_listed(service: Service) -> None:
    """“It's recommended to rotate keys periodically.”"""
    await rotation_is_reminded_of(service)


async def test_a_reminder_of_less_than_a_day_is_refused(service: Service) -> None:
    """“It's recommended to rotate keys periodically.”"""
    hourly = {"name": PARENT, "policy": {"rotation_reminder": timedelta(hours=1)}}
    refused = await refusal(service.admin.do("UpdateWorkspace", workspace=hourly))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "FIELD_INVALID"
    assert refused.fields == ["workspace.policy.rotation_reminder"]


async def rotation_retires_the_old_token(service: Service) -> None:
    ann = await person(service)
    old = await ann.caller.create_key(display_name="production", scopes=["projects.*"])
    rotated = await ann.caller.do("RotateKey", name=old.key.name, grace=timedelta(days=1))

    assert (rotated.key.name, rotated.key.display_name) == (old.key.name, "production")
    assert rotated.key.retiring_prefix == old.key.prefix
    for token in (old.token, rotated.token):  # nothing in production stops meanwhile
        assert await may(service, token, "projects.write")
        assert not await may(service, token, "datasets.read")

    await service.sql(
        "UPDATE keywright.key_secret SET not_after = clock_timestamp() WHERE prefix = $1",
        old.key.prefix,
    )
    assert await denied(service, old.token) == "TOKEN_RETIRED"
    assert await may(service, rotated.token, "projects.write")


async def test_a_key_is_rotated_without_a_gap_and_the_old_token_ends(service: Service) -> None:
    """“Regularly rotate keys, especially for production environments”"""
    await rotation_retires_the_old_token(service)


async def test_a_revoked_key_is_not_rotated(service: Service) -> None:
    """“Regularly rotate keys, especially for production environments”"""
    ann = await person(service)
    created = await ann.caller.create_key()
    await ann.caller.revoke_key(created.key.name)

    refused = await refusal(ann.caller.do("RotateKey", name=created.key.name))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "STATE_CONFLICT"
    assert created.key.name in refused.message
    assert "revoked, for good" in refused.message
    too_long = await refusal(
        ann.caller.do("RotateKey", name=ann.key, grace=timedelta(days=7, seconds=1))
    )
    assert (too_long.reason, too_long.fields) == ("FIELD_INVALID", ["grace"])


async def _age(service: Service, who: Person, ago: timedelta) -> None:
    """Let all keys of somebody have been made that long ago."""
    await service.sql(
        "UPDATE keywright.key SET create_time = now() - $2::interval WHERE owner_user_id = $1",
        key_id(who.name),
        ago,
    )
    await service.sql(
        "UPDATE keywright.key_secret s SET create_time = now() - $2::interval "
        "FROM keywright.key k WHERE k.id = s.key AND k.owner_user_id = $1",
        key_id(who.name),
        ago,
    )

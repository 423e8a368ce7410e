"""The command line against a real server: users, roles, grants and workspaces; and the client."""

import asyncio
from datetime import timedelta

import pytest

from keywright.sdk import (
    Aborted,
    AlreadyExists,
    Client,
    KeyCreation,
    KeyPolicy,
    KeyState,
    RateLimit,
    UserState,
)
from tests.e2e.test_cli import Keywright
from tests.e2e.test_cli_keys import person
from tests.support.service import Service, first_admin

pytestmark = pytest.mark.slow  # dozens of commands, each a process


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def test_a_role_counts_for_everybody_who_has_it_as_soon_as_it_changes(
    keywright: Keywright,
) -> None:
    made = await keywright(
        *("roles", "create", "auditor", "--permission", "audit.read", "--may-hold-keys"),
        *("--display-name", "Auditor", "-o", "json"),
    )
    assert (made.json["may_hold_keys"], made.json["built_in"]) == (True, False)
    dana = await person(keywright, "dana", role="auditor")
    assert (await dana("whoami", "-o", "json")).json["permissions"] == ["audit.read"]
    changed = await keywright(
        "roles", "update", "auditor", "--permission", "usage.read", "-o", "json"
    )
    assert changed.json["display_name"] == "Auditor"
    assert (await dana("whoami", "-o", "json")).json["permissions"] == ["usage.read"]
    await keywright("roles", "update", "auditor", "--no-may-hold-keys")
    denied = await keywright("authenticate", "-o", "json", stdin=dana.token)
    assert (denied.code, denied.error["reason"]) == (9, "KEYS_NOT_ALLOWED")

    used = await keywright("roles", "delete", "auditor", "-o", "json")
    assert (used.code, used.error["reason"]) == (7, "RESOURCE_IN_USE")
    assert (await keywright("users", "update", "dana", "--role", "guest")).code == 0
    deleted = await keywright("roles", "delete", "auditor")
    assert deleted.err == "Deleted workspaces/default/roles/auditor.\n"
    fixed = await keywright("roles", "update", "member", "--permission", "a.b", "-o", "json")
    assert (fixed.code, fixed.error["reason"]) == (7, "BUILT_IN_IMMUTABLE")
    listed = (await keywright("roles", "list")).out.splitlines()
    assert listed[0].split()[:2] == ["ID", "NAME"]
    assert {"member", "admin", "guest"} <= {line.split()[0] for line in listed}


async def test_a_grant_counts_on_its_resource_and_below_until_it_is_taken_away(
    keywright: Keywright,
) -> None:
    emil = await person(keywright, "emil", role="labeler")

    async def may_read(resource: str) -> bool:
        asked = await keywright(
            *("authenticate", "--required-permission", "datasets.read", "--resource", resource),
            stdin=emil.token,
        )
        return asked.code == 0

    assert not await may_read("projects/abc")
    made = await keywright(
        *("grants", "create", "--user", "emil@example.com", "--resource", "projects/abc"),
        *("--role", "viewer", "--grant-id", "emil-abc", "-o", "json"),
    )
    assert (made.json["user"], made.json["user_email"]) == (
        "workspaces/default/users/emil",
        "emil@example.com",
    )
    assert await may_read("projects/abc/datasets/1")
    assert not await may_read("projects/abcd")
    listed = await keywright("grants", "list", "--resource", "projects/abc")
    row = listed.out.splitlines()[1].split()
    assert row[:4] == ["emil-abc", "emil@example.com", "projects/abc", "viewer"]
    again = await keywright(
        "grants", "create", "--user", "emil", "--resource", "projects/abc", "--role", "viewer"
    )
    assert again.code == 7
    assert (await keywright("grants", "get", "emil-abc")).code == 0
    taken = await keywright("grants", "delete", "emil-abc")
    assert taken.err == "Deleted workspaces/default/grants/emil-abc.\n"
    assert not await may_read("projects/abc")


async def test_a_service_user_of_a_resource_may_do_what_is_granted_there_and_no_more(
    keywright: Keywright,
) -> None:
    made = await keywright(
        *("users", "create", "--kind", "service", "--user-id", "partner"),
        *("--resource", "projects/shared", "-o", "json"),
    )
    assert (made.json["resource"], made.json["role"]) == ("projects/shared", "")
    granted = await keywright(
        "grants", "create", "--user", "partner", "--resource", "projects/shared", "--role", "viewer"
    )
    assert granted.code == 0, granted.err
    token = (await keywright("keys", "create", "--user", "partner")).out
    read = ("authenticate", "--required-permission", "datasets.read", "--resource")
    assert (await keywright(*read, "projects/shared/d", stdin=token)).code == 0
    assert (await keywright(*read, "projects/other", stdin=token)).code == 9
    listed = await keywright("users", "list", "--resource", "projects/shared", "-o", "json")
    assert [each["name"] for each in listed.json["users"]] == ["workspaces/default/users/partner"]


async def test_a_user_is_changed_demoted_and_deleted(keywright: Keywright) -> None:
    finn = await person(keywright, "finn")
    moved = await keywright(
        *("users", "update", "finn@example.com", "--email", "finn.lee@example.com"),
        *("--external-id", "okta|finn", "--label", "team=data", "-o", "json"),
    )
    assert (moved.json["email"], moved.json["role"]) == (
        "finn.lee@example.com",
        "workspaces/default/roles/member",
    )
    assert (await finn("users", "list", "--external-id", "okta|finn")).code == 0
    await keywright("users", "update", "finn", "--role", "labeler")
    assert (await finn("users", "list")).code == 4
    last = await keywright("users", "update", "admin", "--role", "member", "-o", "json")
    assert (last.code, last.error["reason"]) == (7, "LAST_ADMIN")

    kept = await keywright("users", "delete", "finn", "-o", "json")
    assert (kept.code, kept.error["reason"]) == (7, "RESOURCE_IN_USE")
    deleted = await keywright("users", "delete", "finn", "--force")
    assert deleted.err == "Deleted workspaces/default/users/finn.\n"
    assert (await finn("whoami")).code == 3
    assert (await keywright("users", "get", "finn.lee@example.com")).code == 5
    record = await keywright("keys", "get", "finn-key", "-o", "json")
    assert (record.json["state"], record.json["user_email"]) == ("REVOKED", "finn.lee@example.com")


async def test_an_admin_sets_what_the_workspace_asks_of_its_keys(keywright: Keywright) -> None:
    shown = await keywright("workspaces", "get", "-o", "json")
    assert shown.json["name"] == "workspaces/default"
    assert shown.json["environments"] == ["live", "test"]
    assert shown.json["policy"]["key_creation"] == "EVERYONE"
    changed = await keywright(
        *("workspaces", "update", "--max-ttl", "4w", "--default-ttl", "1w", "--expiry-required"),
        *("--key-creation", "admins", "-o", "json"),
    )
    assert changed.json["policy"]["max_ttl"] == 4 * 7 * 86400
    try:
        limited = await keywright("keys", "create", "--ttl", "5w", "-o", "json")
        assert limited.error["reason"] == "POLICY_LIFETIME_TOO_LONG"
        defaulted = await keywright("keys", "create", "-o", "json")
        assert defaulted.json["key"]["expire_time"] is not None
        relaxed = await keywright("workspaces", "update", "default", "--no-max-ttl", "-o", "json")
        assert relaxed.json["policy"]["max_ttl"] is None
        assert relaxed.json["policy"]["expiry_required"] is True
    finally:
        restored = await keywright(
            *("workspaces", "update", "--no-max-ttl", "--no-default-ttl", "--no-expiry-required"),
            *("--key-creation", "everyone"),
        )
    assert restored.code == 0
    assert "policy key creation" in restored.out


async def test_a_permission_that_is_not_in_the_catalogue_is_refused(keywright: Keywright) -> None:
    kept = await keywright(
        *("workspaces", "update", "--permission", "datasets.read=Read data sets"), "-o", "json"
    )
    assert kept.json["permission_catalog"] == {"datasets.read": "Read data sets"}
    misspelt = await keywright("keys", "create", "--scope", "dataset.read", "-o", "json")
    assert (misspelt.code, misspelt.error["reason"]) == (6, "PERMISSION_UNKNOWN")
    assert (await keywright("keys", "create", "--scope", "datasets.read")).code == 0
    free = await keywright("workspaces", "update", "--no-permission-catalog", "-o", "json")
    assert free.json["permission_catalog"] is None


async def test_an_operator_makes_disables_and_deletes_workspaces(
    keywright: Keywright, service: Service
) -> None:
    operator = keywright.with_token(await first_admin(service.dsn, "system"))
    made = await operator(
        *("workspaces", "create", "acme", "--display-name", "Acme", "--environment", "prod"),
        *("--admin-email", "ann@acme.example", "--max-ttl", "12w", "-o", "json"),
    )
    assert made.code == 0, made.err
    assert made.json["admin"]["email"] == "ann@acme.example"
    assert made.json["workspace"]["environments"] == ["prod"]
    listed = (await operator("workspaces", "list")).out.splitlines()
    assert [line.split()[0] for line in listed] == ["ID", "acme", "default", "system"]
    own = await keywright("workspaces", "list", "-o", "json")
    assert [each["name"] for each in own.json["workspaces"]] == ["workspaces/default"]
    assert (await keywright("workspaces", "get", "acme")).code == 5

    disabled = await operator("workspaces", "disable", "default")
    assert disabled.err == "Disabled workspaces/default.\n"
    assert (await keywright("whoami")).code == 3
    assert (await operator("workspaces", "enable", "default")).code == 0
    assert (await keywright("whoami")).code == 0

    in_use = await operator("workspaces", "delete", "acme", "-o", "json")
    assert (in_use.code, in_use.error["reason"]) == (7, "STATE_CONFLICT")
    await operator("workspaces", "disable", "acme")
    deleted = await operator("workspaces", "delete", "acme")
    assert deleted.err == "Deleted workspaces/acme.\n"
    assert (await operator("workspaces", "get", "acme")).code == 5
    again = await operator("workspaces", "create", "acme")
    assert again.code == 7


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["users", "delete", "gail"], "Delete the user gail?"),
        (["users", "delete", "gail", "--force"], "Delete the user gail and revoke their keys?"),
        (["roles", "delete", "auditor"], "Delete the role auditor?"),
        (["grants", "delete", "gail-abc"], "Take the grant gail-abc away?"),
        (["workspaces", "disable", "acme"], "Disable the workspace acme and all of its keys?"),
        (["workspaces", "delete", "acme"], "Delete the workspace acme and everything in it"),
    ],
    ids=" ".join,
)
async def test_a_person_is_asked_about_the_very_thing_before_it_ends(
    keywright: Keywright, command: list[str], asked: str
) -> None:
    no = await keywright.at_a_terminal(*command, asked="[y/N]", answer="n\n")
    assert (no.code, no.out) == (130, "")
    assert asked in no.err


async def test_a_program_does_all_this_with_the_client(service: Service) -> None:
    def use() -> None:
        with Client(service.uri, service.admin_token) as client:
            ensured = client.keys.ensure("program", rate_limit=RateLimit(5, timedelta(seconds=1)))
            assert ensured.created
            assert ensured.token is not None
            assert client.keys.lookup(ensured.key.prefix) == ensured.key
            with pytest.raises(AlreadyExists):
                client.keys.ensure("program", display_name="other")
            renamed = client.keys.update("program", display_name="x", etag=ensured.key.etag)
            assert renamed.rate_limit == RateLimit(5, timedelta(seconds=1))
            with pytest.raises(Aborted):
                client.keys.update("program", display_name="y", etag=ensured.key.etag)
            assert client.keys.disable("program").state is KeyState.DISABLED
            assert client.keys.enable("program").state is KeyState.ACTIVE
            rotated = client.keys.rotate("program", grace=timedelta(hours=1))
            assert rotated.key.retiring_prefix == ensured.key.prefix
            assert client.authenticate(rotated.token).credential.id == "program"
            ivy = client.users.create("ivy@example.com", user_id="ivy")
            assert client.users.update("ivy", role="member").etag != ivy.etag
            assert client.users.disable("ivy").state is UserState.DISABLED
            role = client.roles.create("reader", permissions=["datasets.read"])
            grant = client.grants.create("ivy", "projects/p", "reader")
            assert (grant.user_email, grant.role) == ("ivy@example.com", role.name)
            assert list(client.grants.list(user="ivy")) == [grant]
            assert client.grants.delete(grant.id) == grant
            assert client.users.delete("ivy").id == "ivy"
            assert client.roles.delete("reader").permissions == ("datasets.read",)
            assert client.keys.revoke_many(search=rotated.key.prefix, validate_only=True) == 1
            workspace = client.workspaces.get()
            assert workspace.policy == KeyPolicy()
            changed = client.workspaces.update(
                policy={"free_binding": True, "key_creation": KeyCreation.ADMINS}
            )
            assert changed.policy == KeyPolicy(free_binding=True, key_creation=KeyCreation.ADMINS)
            assert client.workspaces.update(policy=KeyPolicy()).policy == KeyPolicy()
            assert [each.name for each in client.workspaces.list()] == [workspace.name]

    await asyncio.to_thread(use)

"""The command line against a real server: what becomes of a key after its creation."""

import pytest

from tests.e2e.test_cli import Keywright
from tests.support.service import Service

pytestmark = pytest.mark.slow  # dozens of commands, each a process


@pytest.fixture(name="keywright")
def _keywright(service: Service) -> Keywright:
    return Keywright(service.uri, service.admin_token)


async def person(keywright: Keywright, user_id: str, role: str = "member") -> Keywright:
    """A new user, at a command line of their own."""
    email = f"{user_id}@example.com"
    await keywright("users", "create", email, "--user-id", user_id, "--role", role)
    made = await keywright("keys", "create", "--user", user_id, "--key-id", f"{user_id}-key")
    assert made.code == 0, made.err
    return keywright.with_token(made.out.strip())


async def test_a_key_is_ensured_once_and_then_only_found(keywright: Keywright) -> None:
    ensure = ("keys", "ensure", "set-up", "--scope", "datasets.read", "--ttl", "2w")
    first, second = await keywright(*ensure), await keywright(*ensure)
    assert (first.code, second.code) == (0, 0)
    assert first.out.startswith("kw_live_")
    assert second.out == ""
    assert "was there already" in second.err
    found = await keywright(*ensure, "-o", "json")
    assert (found.json["token"], found.json["created"]) == (None, False)
    other = await keywright("keys", "ensure", "set-up", "--scope", "labels.read", "-o", "json")
    assert (other.code, other.error["reason"]) == (7, "RESOURCE_ALREADY_EXISTS")
    assert "scopes" in other.error["metadata"]["differs"]


async def test_a_rotation_gives_a_new_token_and_the_old_one_its_grace(
    keywright: Keywright,
) -> None:
    old = (await keywright("keys", "create", "--key-id", "turning")).out
    graceful = await keywright("keys", "rotate", "turning", "--grace", "24h", "-o", "json")
    new = graceful.json["token"]
    prefix = old.split("_")[2][:12]
    assert graceful.json["key"]["retiring_prefix"] == prefix
    assert graceful.json["key"]["retire_time"] is not None
    for token in (old, new):
        assert (await keywright("authenticate", stdin=token)).code == 0
    looked_up = await keywright("keys", "lookup", prefix, "-o", "json")
    assert looked_up.json["name"] == "workspaces/default/keys/turning"

    newest = await keywright("keys", "rotate", "turning")
    assert newest.out.startswith("kw_live_")
    assert "shown this once" in newest.err
    for token, code in ((old, 9), (new, 9), (newest.out, 0)):
        assert (await keywright("authenticate", stdin=token)).code == code


async def test_a_disabled_key_is_dead_until_it_is_enabled(keywright: Keywright) -> None:
    token = (await keywright("keys", "create", "--key-id", "paused")).out
    disabled = await keywright("keys", "disable", "paused")
    assert (disabled.out, disabled.err) == ("", "Disabled workspaces/default/keys/paused.\n")
    denied = await keywright("authenticate", "-o", "json", stdin=token)
    assert (denied.code, denied.error["reason"]) == (9, "KEY_DISABLED")
    assert (await keywright("keys", "enable", "paused", "-o", "json")).json["state"] == "ACTIVE"
    assert (await keywright("authenticate", stdin=token)).code == 0


async def test_a_key_is_narrowed_and_widened_at_once(keywright: Keywright) -> None:
    token = (await keywright("keys", "create", "--key-id", "narrow")).out

    async def may(permission: str) -> bool:
        asked = await keywright("authenticate", "--required-permission", permission, stdin=token)
        return asked.code == 0

    assert await may("users.manage")
    narrowed = await keywright("keys", "update", "narrow", "--role", "member", "-o", "json")
    assert narrowed.json["role"] == "workspaces/default/roles/member"
    assert not await may("users.manage")
    await keywright("keys", "update", "narrow", "--no-role", "--scope", "datasets.read")
    assert await may("datasets.read")
    assert not await may("labels.read")
    wide = await keywright("keys", "update", "narrow", "--no-scopes", "-o", "json")
    assert (wide.json["role"], wide.json["scopes"]) == ("", [])
    assert await may("users.manage")


async def test_an_update_leaves_alone_what_is_not_named(keywright: Keywright) -> None:
    await keywright(
        *("keys", "create", "--key-id", "named", "--display-name", "old", "--ttl", "2w"),
        *("--label", "team=data", "--rate-limit", "100/1m", "--allowed-network", "192.0.2.0/24"),
    )
    before = (await keywright("keys", "get", "named", "-o", "json")).json
    renamed = await keywright("keys", "update", "named", "--display-name", "new", "-o", "json")
    after = renamed.json
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"display_name", "update_time", "etag"}
    cleared = await keywright(
        *("keys", "update", "named", "--no-labels", "--no-rate-limit", "--no-allowed-networks"),
        *("--never-expires", "-o", "json"),
    )
    assert (cleared.json["labels"], cleared.json["rate_limit"]) == ({}, None)
    assert (cleared.json["allowed_networks"], cleared.json["expire_time"]) == ([], None)

    stale = await keywright("keys", "update", "named", "--ttl", "1w", "--etag", before["etag"])
    assert stale.code == 7
    assert "ETAG_MISMATCH" in stale.err


async def test_many_keys_are_revoked_by_a_filter_and_no_others(keywright: Keywright) -> None:
    ben = await person(keywright, "ben")
    for _ in range(2):
        await ben("keys", "create", "--label", "batch=1")
    counted = await keywright("keys", "revoke-many", "--user", "ben", "--dry-run")
    assert (counted.code, counted.out) == (0, "Would revoke 3 keys.\n")
    labelled = await keywright("keys", "revoke-many", "--user", "ben", "--label", "batch=1")
    assert labelled.err == "Revoked 2 keys.\n"
    assert (await ben("whoami")).code == 0
    rest = await keywright("keys", "revoke-many", "--user", "ben@example.com", "-o", "json")
    assert rest.json == {"count": 1}
    assert (await ben("whoami")).code == 3
    assert (await keywright("whoami")).code == 0
    unfiltered = await keywright("keys", "revoke-many")
    assert unfiltered.code == 2
    assert "say which keys" in unfiltered.err


async def test_keys_are_found_by_who_made_them_when_and_for_how_long(
    keywright: Keywright,
) -> None:
    cleo = await person(keywright, "cleo")
    await cleo("keys", "create", "--key-id", "soon", "--ttl", "1d")
    await cleo("keys", "create", "--key-id", "late", "--ttl", "30d")
    await cleo("keys", "create", "--key-id", "gone")
    await cleo("keys", "revoke", "gone")

    async def ids(*options: str) -> list[str]:
        listed = await keywright("keys", "list", "--user", "cleo", *options, "-o", "json")
        assert listed.code == 0, listed.err
        return [each["name"].rpartition("/")[2] for each in listed.json["keys"]]

    assert await ids("--creator", "cleo@example.com") == ["late", "soon"]
    assert await ids("--expires-before", "7d") == ["soon"]
    assert await ids("--order-by", "expire_time") == ["soon", "late", "cleo-key"]
    assert await ids("--unrotated-since", "1d") == []
    assert await ids("--unused-since", "1d") == []
    assert await ids("--state", "revoked") == ["gone"]
    assert await ids("--non-revoked") == ["late", "soon", "cleo-key"]
    assert await ids("--all", "--order-by", "create_time") == ["cleo-key", "soon", "late", "gone"]


async def test_a_person_is_told_how_many_keys_would_be_revoked(keywright: Keywright) -> None:
    hana = await person(keywright, "hana")
    no = await keywright.at_a_terminal(
        "keys", "revoke-many", "--user", "hana", asked="[y/N]", answer="n\n"
    )
    assert no.code == 130
    assert "Revoke 1 key for good (user: hana)?" in no.err
    assert (await hana("whoami")).code == 0
    yes = await keywright.at_a_terminal(
        "keys", "revoke-many", "--user", "hana", asked="[y/N]", answer="y\n"
    )
    assert yes.code == 0
    assert "Revoked 1 key." in yes.err
    assert (await hana("whoami")).code == 3
    none = await keywright.at_a_terminal(
        "keys", "revoke-many", "--user", "hana", asked="No keys match.", answer=""
    )
    assert (none.code, "[y/N]" in none.err) == (0, False)

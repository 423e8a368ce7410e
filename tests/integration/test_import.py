"""ImportKeys: keys of other products are taken over, each as a key of its own would be created."""

import asyncio
import string
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.support.database import Cluster
from tests.support.imported import (
    DOTTED,
    LETTERS,
    by_digest,
    by_prefix,
    digest_item,
    form,
    import_keys,
    reasons,
    slow_item,
)
from tests.support.service import ADMIN, PARENT, Caller, Service, another, refusal, service

_random = Random(5)


def letters(count: int = 64) -> str:
    """A token that nobody has."""
    return "".join(_random.choices(string.ascii_letters, k=count))


def dotted() -> str:
    """A token with a prefix, that nobody has."""
    return f"{letters(8)}.{letters(32)}"


async def counts(service: Service) -> tuple[int, ...]:
    """How many keys, secrets, formats and audit events there are."""
    tables = ("key", "key_secret", "token_format", "audit_event")
    (row,) = await service.sql(
        "SELECT " + ", ".join(f"(SELECT count(*) FROM keywright.{table})" for table in tables)
    )
    return tuple(row)


# --- what becomes of an item ------------------------------------------------------------------


async def test_an_imported_key_is_a_key_like_any_other(service: Service) -> None:
    await service.admin.create_user("ann", "collaborator")
    token = dotted()
    created = datetime(2023, 4, 5, 6, 7, 8, tzinfo=UTC)
    wanted = {
        "user": f"{PARENT}/users/ann@example.com",
        "display_name": "CI",
        "role": f"{PARENT}/roles/labeler",
        "scopes": ["labels.*"],
        "environment": "test",
        "labels": {"from": "django"},
        "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
        "rate_limit": {"requests": 10, "period": timedelta(minutes=1)},
        "expire_time": datetime.now(UTC) + timedelta(days=3),
    }
    reply = await import_keys(
        service.admin,
        by_prefix(),
        slow_item(token, key=wanted, key_id="ci", original_create_time=created),
    )

    assert reply.imported_count == 1
    assert reply.revision
    assert not reply.replayed
    key = reply.results[0].key
    assert key == await service.admin.get_key(f"{PARENT}/keys/ci")
    assert key.user == f"{PARENT}/users/ann"
    assert (key.creator, key.display_name) == (ADMIN, "CI")
    assert (key.role, list(key.scopes)) == (f"{PARENT}/roles/labeler", ["labels.*"])
    assert (key.environment, dict(key.labels)) == ("test", {"from": "django"})
    assert list(key.allowed_networks) == ["192.0.2.0/24", "2001:db8::/32"]
    assert (key.rate_limit.requests, key.rate_limit.period.seconds) == (10, 60)
    assert key.HasField("expire_time")
    assert key.prefix == token[:8]
    assert key.create_time.ToDatetime(UTC) == key.rotate_time.ToDatetime(UTC) == created
    assert key.update_time.ToDatetime(UTC) > created
    (listed,) = (await service.admin.list_keys(filter={"search": token[:8]})).keys
    assert listed == key


async def test_what_is_left_out_is_as_for_a_creation(service: Service) -> None:
    (result,) = (await import_keys(service.admin, by_digest(), digest_item(letters()))).results
    key = result.key
    assert (key.user, key.environment, key.prefix) == (ADMIN, "live", "")
    assert len(key.name.rpartition("/")[2]) == 16
    assert key.create_time == key.update_time
    assert key == await service.admin.get_key(key.name)


async def test_an_item_that_fails_leaves_the_others_alone(service: Service) -> None:
    await service.admin.create_user("guest", "guest")
    await service.admin.create_user("asleep")
    await service.admin.disable_user(f"{PARENT}/users/asleep")
    await service.admin.create_key(key_id="taken")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    good = {"key": {"display_name": "good"}}
    same = letters()
    items: list[tuple[dict[str, Any], str, str]] = [
        (digest_item(letters(), **good), "", ""),
        (digest_item(letters(), key={"user": f"{PARENT}/users/none"}), "RESOURCE_NOT_FOUND", ""),
        (digest_item(letters(), key={"role": f"{PARENT}/roles/none"}), "RESOURCE_NOT_FOUND", ""),
        (digest_item(letters(), key={"user": f"{PARENT}/users/guest"}), "KEYS_NOT_ALLOWED", ""),
        (digest_item(letters(), key={"user": f"{PARENT}/users/asleep"}), "STATE_CONFLICT", ""),
        (digest_item(letters(), key={"environment": "other"}), "FIELD_INVALID", "key.environment"),
        (digest_item(letters(), key={"scopes": ["?"]}), "FIELD_INVALID", "key.scopes"),
        (digest_item(letters(), key={"display_name": "x" * 201}), "FIELD_INVALID", "display_name"),
        (digest_item(letters(), key={"display_name": "a\0"}), "FIELD_INVALID", "key.display_name"),
        (digest_item(letters(), key={"labels": {"A": ""}}), "FIELD_INVALID", "key.labels"),
        (digest_item(letters(), key={"allowed_networks": ["x"]}), "FIELD_INVALID", "networks"),
        (digest_item(letters(), key={"expire_time": hour_ago}), "POLICY_LIFETIME_TOO_SHORT", ""),
        (digest_item(letters(), key_id="UPPER"), "FIELD_INVALID", "key_id"),
        (digest_item(letters(), key_id="taken"), "RESOURCE_ALREADY_EXISTS", "key_id"),
        (digest_item(letters(), key_id="twice"), "", ""),
        (digest_item(letters(), key_id="twice"), "RESOURCE_ALREADY_EXISTS", "key_id"),
        (digest_item(same), "", ""),
        (digest_item(same), "RESOURCE_ALREADY_EXISTS", "hash"),
        (digest_item(letters(), prefix="abcd"), "FIELD_INVALID", "prefix"),
        (digest_item(letters(), original_create_time=datetime(2999, 1, 1, tzinfo=UTC)),
         "FIELD_INVALID", "original_create_time"),
        ({"hash": "x"}, "FIELD_INVALID", "hash_form"),
        ({"hash_form": form("PHC")}, "FIELD_INVALID", "hash"),
        ({"hash": "x" * 513, "hash_form": form("PHC")}, "FIELD_INVALID", "hash"),
        ({"hash": "0" * 63, "hash_form": form("SHA256_HEX")}, "FIELD_INVALID", "hash"),
        ({"hash": "$2b$04$" + "a" * 53, "hash_form": form("PHC")}, "FIELD_INVALID", "hash"),
        (digest_item(letters(), **good), "", ""),
    ]  # fmt: skip
    before = await counts(service)
    reply = await import_keys(service.admin, by_digest(), *(item for item, _, _ in items))

    assert reasons(reply) == [reason for _, reason, _ in items]
    assert reply.imported_count == 4
    for result, (item, _, words) in zip(reply.results, items, strict=True):
        assert words in result.error.message
        if len(item.get("hash", "")) > 1:
            assert item["hash"] not in str(result.error)
    grown = [now - then for now, then in zip(await counts(service), before, strict=True)]
    assert (grown[0], grown[1], grown[3]) == (4, 4, 4)


async def test_a_hash_that_is_there_already_is_refused(service: Service) -> None:
    by_both = letters(), dotted()
    shapes = by_digest(), by_prefix()
    items = digest_item(by_both[0]), slow_item(by_both[1])
    for shape, item, field in zip(shapes, items, ("hash", "prefix"), strict=True):
        first = await import_keys(service.admin, shape, item)
        assert reasons(first) == [""]
        for _ in range(2):
            again = await import_keys(service.admin, shape, item)
            assert reasons(again) == ["RESOURCE_ALREADY_EXISTS"]
            assert again.results[0].error.message.startswith(f"{field}: ")
        # Also after its key was revoked; once that is deleted, the place is free.
        await service.admin.revoke_key(first.results[0].key.name)
        assert reasons(await import_keys(service.admin, shape, item)) == ["RESOURCE_ALREADY_EXISTS"]
        await service.admin.delete_key(first.results[0].key.name)
        assert reasons(await import_keys(service.admin, shape, item)) == [""]


async def test_validate_only_says_what_would_be_and_changes_nothing(service: Service) -> None:
    items = digest_item(letters(), key_id="would-be"), digest_item(letters(), key_id="-")
    shape = by_digest("[A-Za-z]{64}x?")
    before = await counts(service)
    reply = await import_keys(service.admin, shape, *items, validate_only=True)

    assert reasons(reply) == ["", "FIELD_INVALID"]
    assert reply.imported_count == 1
    assert reply.results[0].key.name == f"{PARENT}/keys/would-be"
    assert await counts(service) == before
    assert reasons(await import_keys(service.admin, shape, *items)) == ["", "FIELD_INVALID"]


async def test_a_thousand_keys_of_as_many_users_are_imported_at_once(service: Service) -> None:
    await service.sql(
        """
        INSERT INTO keywright.user (workspace, user_id, kind, role, role_scope)
        SELECT w.id, 'many-' || n, 'SERVICE', r.id, r.scope
        FROM keywright.workspace w, keywright.role r, generate_series(0, 999) n
        WHERE w.workspace_id = 'default' AND r.role_id = 'member'
        """
    )
    tokens = [letters() for _ in range(1000)]
    items = [
        digest_item(token, key={"user": f"{PARENT}/users/many-{n}"}, key_id=f"key-{n}")
        for n, token in enumerate(tokens)
    ]
    reply = await import_keys(service.admin, by_digest(), *items)

    assert set(reasons(reply)) == {""}
    assert [each.key.name for each in reply.results] == [
        f"{PARENT}/keys/key-{n}" for n in range(1000)
    ]
    for n in (0, 499, 999):
        assert (await service.admin.authenticate(tokens[n])).user.name.endswith(f"/many-{n}")
    (row,) = await service.sql(
        "SELECT count(*), count(DISTINCT resource) FROM keywright.audit_event "
        "WHERE action = 'ImportKey' AND resource LIKE '%/keys/key-%'"
    )
    assert tuple(row) == (1000, 1000)
    error = await refusal(import_keys(service.admin, by_digest(), *items, items[0]))
    assert error.fields == ["items"]


async def test_each_imported_key_has_its_audit_event_without_its_hash(service: Service) -> None:
    item = slow_item(dotted(), key_id="audited", key={"scopes": ["labels.*"]})
    await import_keys(service.admin, by_prefix(), item)
    (event,) = await service.sql(
        "SELECT * FROM keywright.audit_event WHERE resource = $1", f"{PARENT}/keys/audited"
    )
    assert (event["action"], event["actor"]) == ("ImportKey", ADMIN)
    assert event["change"]["after"]["scopes"] == ["labels.*"]
    assert item["hash"] not in str(dict(event))


async def test_a_failure_of_the_database_leaves_nothing_half_imported(service: Service) -> None:
    await service.sql("ALTER TABLE keywright.audit_event RENAME TO hidden")
    try:
        before = await service.sql("SELECT count(*) FROM keywright.key")
        items = [digest_item(letters()) for _ in range(3)]
        error = await refusal(import_keys(service.admin, by_digest(), *items))
        assert error.reason == "INTERNAL"
        assert await service.sql("SELECT count(*) FROM keywright.key") == before
    finally:
        await service.sql("ALTER TABLE keywright.hidden RENAME TO audit_event")


# --- at the same time, over two servers -------------------------------------------------------


@pytest.fixture(scope="module", name="second")
async def _second(service: Service) -> AsyncIterator[Caller]:
    """The admin at another server of the same installation."""
    async with another(service) as other:
        yield other.admin


async def test_of_imports_of_the_same_keys_at_once_each_key_is_made_by_one(
    service: Service, second: Caller
) -> None:
    items = [digest_item(letters(), key_id=f"raced-{n}") for n in range(100)]
    one, other = await asyncio.gather(
        import_keys(service.admin, by_digest(), *items),
        import_keys(second, by_digest(), *reversed(items)),
    )
    assert one.imported_count + other.imported_count == 100
    both = zip(reasons(one), reversed(reasons(other)), strict=True)
    assert all(sorted(pair) == ["", "RESOURCE_ALREADY_EXISTS"] for pair in both)
    (row,) = await service.sql(
        "SELECT count(*) FROM keywright.audit_event WHERE resource LIKE '%/keys/raced-%'"
    )
    assert row[0] == 100


async def test_of_imports_of_the_same_hashes_under_other_ids_one_wins(
    service: Service, second: Caller
) -> None:
    tokens = [letters() for _ in range(50)]
    one, other = await asyncio.gather(
        *(
            import_keys(caller, by_digest(), *(
                digest_item(token, key_id=f"{name}-{n}") for n, token in enumerate(tokens)
            ))
            for name, caller in (("one", service.admin), ("other", second))
        )
    )  # fmt: skip
    assert one.imported_count + other.imported_count == 50
    (row,) = await service.sql(
        "SELECT count(*) FROM keywright.key k WHERE key_id ~ '^(one|other)-' "
        "AND NOT EXISTS (SELECT FROM keywright.key_secret WHERE key = k.id)"
    )
    assert row[0] == 0  # no key without a secret


async def test_a_format_is_registered_once_however_many_import_it(
    service: Service, second: Caller
) -> None:
    shape = by_digest("once_[a-z]{32}")
    await asyncio.gather(
        *(
            import_keys(caller, shape, digest_item(f"once_{letters(32).lower()}"))
            for caller in (service.admin, second) * 4
        )
    )
    (row,) = await service.sql(
        "SELECT count(*) FROM keywright.token_format WHERE pattern = $1", shape["pattern"]
    )
    assert row[0] == 1


# --- who may, and how much --------------------------------------------------------------------


async def test_an_import_gives_no_more_than_the_caller_has(service: Service) -> None:
    await service.admin.create_user("boss", "admin")
    narrow = await service.admin.create_key(scopes=["keys.*", "labels.*"])
    caller = service.as_caller(narrow.token)
    reply = await import_keys(
        caller,
        by_digest(),
        digest_item(letters()),
        digest_item(letters(), key={"user": f"{PARENT}/users/boss"}),
        digest_item(letters(), key={"scopes": ["labels.read"]}),
        digest_item(letters(), key={"role": f"{PARENT}/roles/member"}),
    )
    exceeded = "AUTHORITY_EXCEEDED"
    assert reasons(reply) == [exceeded, exceeded, "", exceeded]


async def test_an_imported_key_does_not_outlive_the_credential_that_imports_it(
    service: Service,
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    caller = service.as_caller((await service.admin.create_key(expire_time=soon)).token)
    reply = await import_keys(
        caller,
        by_digest(),
        digest_item(letters()),
        digest_item(letters(), key={"expire_time": soon - timedelta(minutes=1)}),
    )
    assert reasons(reply) == ["AUTHORITY_EXCEEDED", ""]


async def test_who_may_not_manage_all_keys_imports_none(service: Service) -> None:
    member = await service.person("plain")
    before = await counts(service)
    error = await refusal(import_keys(member, by_digest(), digest_item(letters())))
    assert error.reason == "CALLER_PERMISSION_MISSING"
    foreign = "workspaces/elsewhere"
    error = await refusal(
        import_keys(service.admin, by_digest(), digest_item(letters()), parent=foreign)
    )
    assert error.reason == "RESOURCE_NOT_FOUND"
    assert await counts(service) == before


async def test_policies_hold_for_imported_keys(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as strict:
        await strict.sql(
            "UPDATE keywright.workspace SET max_keys_per_user = 2, max_ttl = '1 day', "
            "default_ttl = '1 hour', permission_catalog = '{\"labels.read\": \"\"}' "
            "WHERE workspace_id = 'default'"
        )
        await strict.admin.create_user("bob")
        bobs = {"user": f"{PARENT}/users/bob"}
        late = datetime.now(UTC) + timedelta(days=2)
        reply = await import_keys(
            strict.admin,
            by_digest(),
            digest_item(letters(), key={**bobs, "scopes": ["labels.write"]}),
            digest_item(letters(), key={**bobs, "expire_time": late}),
            *(digest_item(letters(), key=bobs) for _ in range(3)),
            digest_item(letters()),
            digest_item(letters()),
        )
        limit = "POLICY_KEY_LIMIT_REACHED"
        assert reasons(reply) == [
            "PERMISSION_UNKNOWN", "POLICY_LIFETIME_TOO_LONG", "", "", limit, "", limit
        ]  # fmt: skip
        assert all(
            each.key.HasField("expire_time") for each in reply.results if each.HasField("key")
        )


# --- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        (by_digest("[ -~]{40}"), "format.pattern"),
        (by_digest("kw_live_[0-9A-Za-z]{61}"), "format.pattern"),
        (by_digest("[a-z]{1,40}[a-z]{30}"), "format.pattern"),
        (by_digest("(a|b)+"), "format.pattern"),
        (by_digest(prefix_length=8), "format.prefix_length"),
        (by_digest(hash_offset=60), "format.hash_offset"),
        (by_prefix(length=3), "format.prefix_length"),
        (by_prefix(length=30), "format.prefix_length"),
        ({"pattern": LETTERS}, "format.lookup"),
        ({"lookup": 1}, "format.pattern"),
    ],
)
async def test_a_format_that_cannot_be_is_refused_as_a_whole(
    service: Service, shape: dict[str, Any], field: str
) -> None:
    error = await refusal(import_keys(service.admin, shape, digest_item(letters())))
    assert error.reason == "FIELD_INVALID"
    assert error.fields == [field]


async def test_bcrypt_is_refused_where_tokens_are_longer_than_it_reads(service: Service) -> None:
    hashed = {"hash": "$2b$04$6qyzUxLL0Q/KKB4R3PXT6.C9TmR8qOr6pxmZT5fdff/U.2Frj9jfq"}
    item = {**hashed, "hash_form": form("PHC"), "prefix": "abcdefgh"}
    for most, offset, reason in ((73, 0, "FIELD_INVALID"), (73, 1, ""), (72, 0, "")):
        shape = by_prefix(f"[a-z]{{{most}}}", hash_offset=offset)
        reply = await import_keys(service.admin, shape, item, validate_only=True)
        assert reasons(reply) == [reason]
    shaded = {**item, "hash": f"bcrypt_sha256${hashed['hash']}", "hash_form": form("DJANGO")}
    reply = await import_keys(service.admin, by_prefix("[a-z]{200}"), shaded, validate_only=True)
    assert reasons(reply) == [""]


async def test_what_cannot_be_looked_up_by_a_digest_is_refused(service: Service) -> None:
    item = slow_item(dotted())
    reply = await import_keys(service.admin, by_digest(DOTTED), {**item, "prefix": ""})
    assert reasons(reply) == ["FIELD_INVALID"]
    assert reply.results[0].error.message.startswith("hash_form: ")


async def test_a_prefix_that_begins_no_token_is_refused(service: Service) -> None:
    shape = by_prefix(r"sk_[a-z]{5}\.[a-z]{32}")
    items = [{**slow_item(dotted()), "prefix": each} for each in ("sk_abcde", "abcdefgh", "sk_ab")]
    reply = await import_keys(service.admin, shape, *items, validate_only=True)
    assert reasons(reply) == ["", "FIELD_INVALID", "FIELD_INVALID"]


async def test_a_workspace_has_few_formats_and_those_without_keys_make_room(
    cluster: Cluster,
) -> None:
    async with service(await cluster.migrated()) as fresh:
        made = []
        for n in range(32):
            shape = by_digest(f"f{n}_[a-z]{{32}}")
            reply = await import_keys(fresh.admin, shape, digest_item(f"f{n}_" + "a" * 32))
            made.append(reply.results[0].key.name)
        one_more, item = by_digest("more_[a-z]{32}"), digest_item("more_" + "a" * 32)
        error = await refusal(import_keys(fresh.admin, one_more, item))
        assert (error.reason, error.code.name) == ("STATE_CONFLICT", "FAILED_PRECONDITION")
        assert "32 formats" in error.message
        assert reasons(await import_keys(fresh.admin, shape, digest_item("f31_" + "b" * 32))) == [
            ""
        ]
        await fresh.admin.delete_key(made[0])
        assert reasons(await import_keys(fresh.admin, one_more, item)) == [""]


async def test_an_installation_has_a_bounded_number_of_formats(cluster: Cluster) -> None:
    async with service(await cluster.migrated()) as full:
        await full.sql(
            """
            WITH w AS (
                INSERT INTO keywright.workspace (workspace_id)
                SELECT 'w' || n FROM generate_series(1, 25) n RETURNING id
            ), f AS (
                INSERT INTO keywright.token_format
                    (workspace, pattern, lookup, prefix_length, hash_offset)
                SELECT id, 'x' || row_number() OVER () || '_[a-z]{32}', 'DIGEST', 0, 0
                FROM w, generate_series(1, 8) RETURNING id, workspace
            ), k AS (
                INSERT INTO keywright.key
                    (workspace, key_id, owner_user_id, creator_user_id, environment)
                SELECT workspace, 'k' || id, 'u', 'u', 'live' FROM f RETURNING id, key_id
            )
            INSERT INTO keywright.key_secret (key, format, digest, hash)
            SELECT k.id, f.id, sha256(k.key_id::bytea), '' FROM k JOIN f ON k.key_id = 'k' || f.id
            """
        )
        one_more = by_digest("one_more_[a-z]{32}"), digest_item("one_more_" + "a" * 32)
        error = await refusal(import_keys(full.admin, *one_more))
        assert error.reason == "STATE_CONFLICT"
        assert "200 formats" in error.message
        known = by_digest("x1_[a-z]{32}"), digest_item("x1_" + "a" * 32)
        assert reasons(await import_keys(full.admin, *known)) == [""]

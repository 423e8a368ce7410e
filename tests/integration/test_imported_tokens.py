"""Authenticate: tokens of other products stand as before, and are stored as our own once used."""

import asyncio
import hashlib
import string
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from keywright.service import token_shapes
from keywright.storage.failures import database_unavailable
from keywright.storage.token_formats import TokenFormatReader
from tests.security.patched import in_process
from tests.support.database import Cluster
from tests.support.imported import (
    FORMS,
    PREFIX,
    TOKEN,
    Stored,
    by_digest,
    by_prefix,
    digest_item,
    form,
    import_keys,
    reasons,
    slow_item,
)
from tests.support.service import (
    PARENT,
    RefusedError,
    Service,
    first_admin,
    refusal,
    service,
)

_random = Random(7)


def letters(count: int = 64) -> str:
    """A token that nobody has."""
    return "".join(_random.choices(string.ascii_letters, k=count))


def dotted(prefix: str = "") -> str:
    """A token with a prefix, that nobody has."""
    return f"{prefix or letters(8)}.{letters(32)}"


async def secret_of(service: Service, key: str) -> dict[str, Any]:
    """What is stored of the newest secret of a key, by name."""
    (row,) = await service.sql(
        "SELECT s.* FROM keywright.key_secret s JOIN keywright.key k ON k.id = s.key "
        "WHERE k.key_id = $1 ORDER BY s.id DESC LIMIT 1",
        key.rpartition("/")[2],
    )
    return dict(row)


async def imported(service: Service, token: str, **key: Any) -> str:
    """Import a key with a slow hash of its token, found by its prefix; returns its name."""
    reply = await import_keys(service.admin, by_prefix(), slow_item(token, key=key))
    assert reasons(reply) == [""]
    return str(reply.results[0].key.name)


async def reason(service: Service, token: str, **asked: Any) -> str:
    """Why a token is denied."""
    return (await refusal(service.admin.authenticate(token, **asked))).reason


# --- before and after the first use -----------------------------------------------------------


@pytest.mark.parametrize("stored", FORMS.values(), ids=FORMS)
async def test_the_old_token_stands_and_its_hash_is_replaced_by_ours(
    service: Service, stored: Stored
) -> None:
    item = {"hash": stored.text, "hash_form": form(stored.form), "prefix": PREFIX}
    (result,) = (await import_keys(service.admin, by_prefix(), item)).results
    name = result.key.name
    before = await secret_of(service, name)
    assert before["verifier_tag"] is None
    guesser = f"192.0.2.{[*FORMS.values()].index(stored)}"  # a few guesses are a source's share

    for attempt in range(3):
        found = await service.admin.authenticate(TOKEN)
        assert (found.credential.name, found.environment) == (name, "live"), attempt
        assert await reason(service, TOKEN[:-1] + "x", client_address=guesser) == "TOKEN_UNKNOWN"
    after = await secret_of(service, name)
    cost = "m=19456,t=2,p=1" if stored.slow else "m=1024,t=1,p=1"
    assert after["hash"].startswith(f"$argon2id$v=19${cost}$")
    assert (after["verifier_tag"] is None) is stored.slow
    # Nothing is left that the old hash was, nor any fast hash of the whole secret.
    digests = [getattr(hashlib, kind)(TOKEN.encode()) for kind in ("sha1", "sha256", "sha512")]
    row = str(after)
    for trace in (stored.text, before["hash"], *(each.hexdigest() for each in digests)):
        assert trace not in row
    await service.admin.delete_key(name)


async def test_what_tokens_are_found_by_stays_when_their_hash_is_replaced(
    service: Service,
) -> None:
    token, padded = letters(), "tok_" + letters(40)
    cases = (
        (by_digest(), digest_item(token), token),
        (by_digest("tok_[A-Za-z]{40}", hash_offset=4), digest_item(padded[4:]), padded),
        (
            by_digest("big_[A-Za-z]{40}"),
            {
                "hash": hashlib.sha512(b"big_" + padded[4:].encode()).hexdigest(),
                "hash_form": form("SHA512_HEX"),
            },
            "big_" + padded[4:],
        ),
    )
    for shape, item, presented in cases:
        (result,) = (await import_keys(service.admin, shape, item)).results
        before = await secret_of(service, result.key.name)
        for _ in range(3):
            found = await service.admin.authenticate(presented)
            assert found.credential.name == result.key.name
        after = await secret_of(service, result.key.name)
        assert after["hash"].startswith("$argon2id$")
        assert after["digest"] == before["digest"] == bytes.fromhex(str(item["hash"]))
        assert (after["prefix"], after["foreign_prefix"]) == (None, None)
        assert await reason(service, presented[:-1] + "x") == "TOKEN_UNKNOWN"


async def test_a_first_use_by_many_at_once_leaves_one_hash_that_is_right(service: Service) -> None:
    token = dotted()
    name = await imported(service, token)
    found = await asyncio.gather(*(service.admin.authenticate(token) for _ in range(8)))
    assert {each.credential.name for each in found} == {name}
    secret = await secret_of(service, name)
    assert secret["hash_version"] == 2
    assert secret["hash"].startswith("$argon2id$")
    async with in_process(service) as other:  # which has not proven it yet
        assert (await other.admin.authenticate(token)).credential.name == name


async def test_peppers_are_applied_from_the_first_use_on(cluster: Cluster) -> None:
    pepper = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    async with service(await cluster.migrated(), peppers=pepper) as peppered:
        for shape, item, token in (
            (by_prefix(), slow_item(one := dotted()), one),
            (by_digest(), digest_item(two := letters()), two),
        ):
            (result,) = (await import_keys(peppered.admin, shape, item)).results
            for _ in range(3):
                await peppered.admin.authenticate(token)
            secret = await secret_of(peppered, result.key.name)
            assert (secret["pepper_version"], secret["hash_version"]) == (1, 2)


# --- it is a key like any other ---------------------------------------------------------------


async def test_an_imported_key_is_denied_for_the_same_reasons_as_others(service: Service) -> None:
    token = dotted()
    name = await imported(
        service,
        token,
        user=(await service.admin.create_user("imp")).name,
        scopes=["labels.*"],
        resource="projects/a",
        environment="test",
        allowed_networks=["192.0.2.0/24"],
    )
    good = {"client_address": "192.0.2.1", "resource": "projects/a/b"}
    assert (await service.admin.authenticate(token, **good)).credential.name == name
    for change, expected in (
        ({"client_address": "203.0.113.1"}, "ADDRESS_NOT_ALLOWED"),
        ({"client_address": ""}, "ADDRESS_REQUIRED"),
        ({"resource": "projects/b"}, "RESOURCE_MISMATCH"),
        ({"resource": ""}, "RESOURCE_REQUIRED"),
        ({"required_environment": "live"}, "ENVIRONMENT_MISMATCH"),
        ({"required_permissions": ["datasets.read"]}, "PERMISSION_MISSING"),
    ):
        assert await reason(service, token, **{**good, **change}) == expected
    await service.admin.do("DisableKey", name=name)
    assert await reason(service, token, **good) == "KEY_DISABLED"
    await service.admin.do("EnableKey", name=name)
    await service.admin.disable_user(f"{PARENT}/users/imp")
    assert await reason(service, token, **good) == "USER_DISABLED"
    await service.admin.enable_user(f"{PARENT}/users/imp")
    await service.sql(
        "UPDATE keywright.key SET expire_time = clock_timestamp() WHERE key_id = $1",
        name.rpartition("/")[2],
    )
    assert await reason(service, token, **good) == "KEY_EXPIRED"
    await service.admin.revoke_key(name)
    assert await reason(service, token, **good) == "KEY_REVOKED"
    # Why it does not stand is told to who has the right secret only.
    assert await reason(service, token[:-1] + "x", **good) == "TOKEN_UNKNOWN"
    await service.admin.delete_key(name)
    assert await reason(service, token, **good) == "TOKEN_UNKNOWN"


async def test_an_imported_token_is_a_credential_for_calls_of_ones_own(service: Service) -> None:
    for token, shape, item in (
        (one := dotted(), by_prefix(), slow_item(one)),
        (two := letters(), by_digest(), digest_item(two)),
    ):
        (result,) = (await import_keys(service.admin, shape, item)).results
        caller = service.as_caller(token)
        assert (await caller.authenticate(token)).credential.name == result.key.name
        made = await caller.create_key(display_name="by an imported one")
        assert made.key.creator_credential == result.key.name
        # Also when the history of authority moves between its check and the transaction.
        async with asyncio.TaskGroup() as group:
            group.create_task(service.admin.revoke_key(made.key.name))
            for _ in range(5):
                group.create_task(caller.create_key())
        await service.admin.revoke_key(result.key.name)
        error = await refusal(caller.create_key())
        assert error.info.metadata["caller_reason"] == "KEY_REVOKED"


async def test_a_rotation_gives_a_token_of_ours_and_the_old_one_its_grace(service: Service) -> None:
    for token, shape, item in (
        (one := dotted(), by_prefix(), slow_item(one)),
        (two := letters(), by_digest(), digest_item(two)),
    ):
        (result,) = (await import_keys(service.admin, shape, item)).results
        name = result.key.name
        rotated = await service.admin.do("RotateKey", name=name, grace=timedelta(hours=1))
        assert rotated.token.startswith("kw_live_")
        key = await service.admin.get_key(name)
        assert key == rotated.key
        assert key.prefix == rotated.token[8:20]
        assert key.retiring_prefix == result.key.prefix
        assert key.HasField("retire_time")
        for each in (token, rotated.token, token):
            assert (await service.admin.authenticate(each)).credential.name == name
        await service.admin.do("RotateKey", name=name)
        assert await reason(service, token) == "TOKEN_RETIRED"
        assert await reason(service, rotated.token) == "TOKEN_RETIRED"


async def test_keys_of_other_products_are_found_by_who_looks_for_their_prefix(
    service: Service,
) -> None:
    token = dotted()
    name = await imported(service, token)
    found = (await service.admin.list_keys(filter={"search": token[:8].lower()})).keys
    assert [each.name for each in found] == [name]
    assert found[0].prefix == token[:8]


async def test_keys_whose_making_is_known_are_found_as_old_as_they_are(service: Service) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    item = slow_item(dotted(), original_create_time=long_ago, key={"labels": {"old": "yes"}})
    (result,) = (await import_keys(service.admin, by_prefix(), item)).results
    for which in ("unused_since", "unrotated_since"):
        only = {which: long_ago + timedelta(days=1), "labels": {"old": "yes"}}
        found = (await service.admin.list_keys(filter=only)).keys
        assert [each.name for each in found] == [result.key.name]


# --- what looks like one, and is none ---------------------------------------------------------


async def test_what_no_imported_token_looks_like_is_malformed_as_before(service: Service) -> None:
    await imported(service, dotted())
    for text in ("x", dotted()[:-1], dotted() + "\n", "ü" * 41, "a" * 8000):
        assert await reason(service, text) == "TOKEN_MALFORMED"
    assert await reason(service, dotted()) == "TOKEN_UNKNOWN"


async def test_a_key_of_another_workspace_is_unknown_and_does_no_harm_to_ones_own(
    service: Service,
) -> None:
    neighbour = service.as_caller(await first_admin(service.dsn, "neighbour"))
    operator = service.as_caller(await first_admin(service.dsn, "system"))
    prefix = letters(8)
    theirs, mine = dotted(prefix), dotted(prefix)
    parent = "workspaces/neighbour"
    items = slow_item(theirs), digest_item(their_digest := letters())
    their_keys = [
        (await import_keys(neighbour, shape, item, parent=parent)).results[0].key.name
        for shape, item in zip((by_prefix(), by_digest()), items, strict=True)
    ]
    name = await imported(service, mine)

    assert (await service.admin.authenticate(mine)).credential.name == name
    assert (await neighbour.authenticate(theirs)).credential.name == their_keys[0]
    assert await reason(service, theirs) == await reason(service, their_digest) == "TOKEN_UNKNOWN"
    assert (await refusal(neighbour.authenticate(mine))).reason == "TOKEN_UNKNOWN"
    tokens = (mine, theirs, their_digest)
    for presented, key in zip(tokens, (name, *their_keys), strict=True):
        assert (await operator.authenticate(presented)).credential.name == key
    # Whose token a digest is has one answer: the same hash is not imported a second time.
    again = await import_keys(service.admin, by_digest(), items[1])
    assert reasons(again) == ["RESOURCE_ALREADY_EXISTS"]


async def test_the_format_of_another_workspace_finds_nothing_here(service: Service) -> None:
    """The same token under two patterns is found where its own workspace says how."""
    stranger = service.as_caller(await first_admin(service.dsn, "stranger"))
    token = letters()
    half = by_digest("[A-Za-z]{64}", hash_offset=32)
    item = digest_item(token[32:])
    await import_keys(stranger, half, item, parent="workspaces/stranger")
    assert await reason(service, token) == "TOKEN_UNKNOWN"
    assert await reason(service, letters(32) + token[32:]) == "TOKEN_UNKNOWN"
    assert (await stranger.authenticate(token)).workspace == "workspaces/stranger"


# --- several servers --------------------------------------------------------------------------


async def test_a_token_is_known_at_once_where_it_was_imported_and_soon_everywhere(
    service: Service,
) -> None:
    async with in_process(service) as other:
        token = "soon_" + letters(40)
        for each in (service, other):  # both have just read the formats
            assert await reason(each, token) == "TOKEN_MALFORMED"
        await import_keys(service.admin, by_digest("soon_[A-Za-z]{40}"), digest_item(token))
        assert (await service.admin.authenticate(token)).credential.name
        began = asyncio.get_running_loop().time()
        while True:
            try:
                found = await other.admin.authenticate(token)
            except RefusedError:
                continue
            break
        assert found.credential.name
        # A second, and what the machine takes to answer.
        assert asyncio.get_running_loop().time() - began < token_shapes.KNOWN_SECONDS + 5


async def test_garbage_costs_the_database_one_query_a_second_at_most(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = TokenFormatReader.shapes
    count = 0

    async def counted(reader: TokenFormatReader) -> Any:
        nonlocal count
        count += 1
        return await read(reader)

    monkeypatch.setattr(TokenFormatReader, "shapes", counted)
    monkeypatch.setattr(token_shapes, "KNOWN_SECONDS", 1000.0)
    async with in_process(service) as flooded:
        before = count
        told = await asyncio.gather(*(reason(flooded, f"garbage {n}") for n in range(100)))
        assert set(told) == {"TOKEN_MALFORMED"}
        assert count - before <= 1


async def test_without_the_database_nobody_is_told_that_a_token_is_none(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of a format that this server has not heard of (promise G3)."""
    monkeypatch.setattr(token_shapes, "KNOWN_SECONDS", 0.0)

    async def unreachable(_reader: TokenFormatReader) -> Any:
        raise database_unavailable()

    async with in_process(service) as cut_off:
        monkeypatch.setattr(TokenFormatReader, "shapes", unreachable)
        assert await reason(cut_off, "perhaps a token") == "DATABASE_UNAVAILABLE"
        await cut_off.admin.authenticate(cut_off.admin_token)

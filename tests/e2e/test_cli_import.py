"""Keys of other products are taken over by the command line, and their tokens go on working."""

import hashlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_cli import Ended, Keywright
from tests.support.service import Service, first_admin
from tests.support.unprivileged import CHECKOUT

pytestmark = pytest.mark.slow  # dozens of commands, each a process

FIXTURES = CHECKOUT / "tests" / "fixtures" / "imports"
DRF_LIVING = {
    "nightly export",
    "warehouse",
    "partner: Müller & Söhne",
    "used since the upgrade",
    "mobile app",
    "until 2099",
}
BETTER_AUTH_LIVING = {
    *("no prefix", "with a prefix", "same prefix", "other prefix", "permitted", "expiring", ""),
}


_numbers = count(1)


@pytest.fixture(name="keywright")
async def _keywright(service: Service) -> Keywright:
    """In a workspace of the test's own."""
    token = await first_admin(service.dsn, f"import-{next(_numbers)}")
    return Keywright(service.uri, token)


def read(name: str) -> Any:
    """A fixture in JSON."""
    return json.loads((FIXTURES / name).read_text())


def outcomes(ended: Ended) -> dict[str, str]:
    """What became of each row, by its display name."""
    return {each["display_name"]: each["outcome"] for each in ended.json["rows"]}


async def those_alive(keywright: Keywright, tokens: dict[str, str]) -> set[str]:
    """The names of the tokens that stand."""
    alive = set()
    for name, token in tokens.items():
        asked = await keywright("authenticate", stdin=token)
        assert asked.code in {0, 9}, asked.err
        if asked.code == 0:
            alive.add(name)
    return alive


def assert_no_secrets(ended: Ended, file: str, tokens: dict[str, str]) -> None:
    hashes = [
        row.get("fields", row).get(column) for row in read(file) for column in ("key", "hashed_key")
    ]
    for secret in [*tokens.values(), *filter(None, hashes)]:
        assert secret not in ended.out + ended.err


@pytest.mark.parametrize("suffix", ["json", "csv"])
async def test_every_living_key_of_a_django_project_works_on_and_no_other(
    keywright: Keywright, suffix: str
) -> None:
    file, tokens = str(FIXTURES / f"drf/apikeys.{suffix}"), read("drf/tokens.json")
    tried = await keywright("import", "drf", file, "--user", "admin@localhost", "--dry-run")
    assert tried.code == 0, tried.err
    assert "6 would be imported, 2 left out." in tried.err
    assert await those_alive(keywright, {"mobile app": tokens["mobile app"]}) == set()

    ended = await keywright(
        *("import", "drf", file, "--user", "admin@localhost", "-o", "json"),
        *("--label", "from=django", "--environment", "test", "--scope", "datasets.read"),
    )
    assert ended.code == 0, ended.err
    assert ended.json["imported"] == 6
    assert {name for name, each in outcomes(ended).items() if each == "IMPORTED"} == DRF_LIVING
    why = {each["display_name"]: each["message"] for each in ended.json["rows"]}
    assert why["left the company"] == "revoked"
    assert why["until 2020"] == "expired 2020-01-01"
    assert_no_secrets(ended, "drf/apikeys.json", tokens)

    # Twice: at first with their hash, then with ours.
    assert await those_alive(keywright, tokens) == DRF_LIVING
    assert await those_alive(keywright, tokens) == DRF_LIVING
    listed = await keywright("keys", "list", "--label", "from=django", "-o", "json")
    (until,) = [each for each in listed.json["keys"] if each["display_name"] == "until 2099"]
    assert until["expire_time"] == "2099-01-01T12:30:00Z"
    assert (until["environment"], until["scopes"]) == ("test", ["datasets.read"])
    assert until["prefix"] == tokens["until 2099"].partition(".")[0]

    again = await keywright("import", "drf", file, "--user", "admin@localhost", "-o", "json")
    assert again.code == 0
    assert (again.json["imported"], again.json["exists"], again.json["left_out"]) == (0, 6, 2)


async def test_a_map_says_whose_a_key_becomes(keywright: Keywright, tmp_path: Path) -> None:
    for user in ("ann", "ben"):
        await keywright("users", "create", f"{user}@acme.example", "--user-id", user)
        await keywright("users", "update", user, "--role", "member")
    prefix = read("drf/tokens.json")["warehouse"].partition(".")[0]
    known = tmp_path / "users.csv"
    known.write_text(f"{prefix},ann\nmobile app,ben@acme.example\nuntil 2099,nobody\n")
    file = str(FIXTURES / "drf/apikeys.json")
    ended = await keywright("import", "drf", file, "--user-map", str(known))
    assert ended.code == 11
    assert "2 imported, 2 left out, 4 failed." in ended.err
    for name, user in (("warehouse", "ann"), ("mobile app", "ben@acme.example")):
        (line,) = [line for line in ended.out.splitlines() if name in line]
        assert f" {user} " in line
        assert " imported " in line
    (unknown,) = [line for line in ended.out.splitlines() if "until 2099" in line]
    assert "users/nobody" in unknown
    (unmapped,) = [line for line in ended.out.splitlines() if "nightly export" in line]
    assert "give --user, or" in unmapped


@pytest.mark.parametrize(("version", "suffix"), [("1.7", "json"), ("1.4", "csv")])
async def test_every_living_key_of_better_auth_works_on_and_no_other(
    keywright: Keywright, version: str, suffix: str, tmp_path: Path
) -> None:
    beside = read(f"better-auth/{version}-tokens.json")
    known = tmp_path / "users.csv"
    lines = [f"{there},{here}@acme.example\n" for here, there in beside["users"].items()]
    known.write_text("".join(lines))
    for user in beside["users"]:
        await keywright("users", "create", f"{user}@acme.example", "--role", "member")
    file = str(FIXTURES / f"better-auth/{version}.{suffix}")
    arguments = ("import", "better-auth", file, "--user-map", str(known), "-o", "json")
    ended = await keywright(*arguments)
    assert ended.code == 0, ended.out
    imported = {name for name, each in outcomes(ended).items() if each == "IMPORTED"}
    assert imported == BETTER_AUTH_LIVING, ended.out
    assert_no_secrets(ended, f"better-auth/{version}.json", beside["tokens"])
    assert await those_alive(keywright, beside["tokens"]) == BETTER_AUTH_LIVING

    permitted = await keywright("authenticate", "-o", "json", stdin=beside["tokens"]["permitted"])
    assert permitted.json["user"]["email"] == "ben@acme.example"
    listed = await keywright("keys", "list", "--search", "permitted", "-o", "json")
    assert sorted(listed.json["keys"][0]["scopes"]) == ["datasets.list", "datasets.read"]
    again = await keywright(*arguments)
    assert (again.code, again.json["imported"], again.json["exists"]) == (0, 0, 7)


async def test_tokens_that_better_auth_kept_as_they_are_are_hashed_before_they_are_sent(
    keywright: Keywright,
) -> None:
    tokens = read("better-auth/1.7-unhashed-tokens.json")["tokens"]
    ended = await keywright(
        *("import", "better-auth", "-", "--user", "admin@localhost"),
        stdin=(FIXTURES / "better-auth/1.7-unhashed.json").read_text(),
    )
    assert ended.code == 0, ended.err
    assert_no_secrets(ended, "better-auth/1.7-unhashed.json", tokens)
    assert await those_alive(keywright, tokens) == {"not hashed"}


async def test_a_table_of_ones_own_is_taken_over_row_by_row(
    keywright: Keywright, tmp_path: Path
) -> None:
    secrets = [f"{letter * 24}" for letter in "abc"]
    file = tmp_path / "keys.csv"
    good = [hashlib.sha256(each.encode()).hexdigest() for each in secrets]
    file.write_text(
        "hash,user,key_id,expire_time\r\n"
        f"{good[0]},admin@localhost,first,2099-01-01T00:00:00Z\r\n"
        f"{good[1]},nobody,second,\r\n"
        f"{good[2]},,third,tomorrow\r\n"
        f"{good[0][:-1]},,fourth,\r\n"
    )
    ended = await keywright(
        *("import", "csv", str(file), "--pattern", "own_[a-z]{24}", "--lookup", "digest"),
        *("--hash-offset", "4", "--hash-form", "sha256_hex", "--user", "admin@localhost"),
        *("-o", "json"),
    )
    assert ended.code == 11
    rows = {each["row"]: (each["outcome"], each["reason"]) for each in ended.json["rows"]}
    assert rows == {
        "line 2": ("IMPORTED", ""),
        "line 3": ("FAILED", "RESOURCE_NOT_FOUND"),
        "line 4": ("FAILED", ""),
        "line 5": ("FAILED", "FIELD_INVALID"),
    }
    assert "expire_time must be a moment" in ended.json["rows"][2]["message"]
    for hashed in good:
        assert hashed[:-1] not in ended.out + ended.err
    assert (await keywright("authenticate", stdin=f"own_{secrets[0]}")).code == 0


async def test_a_mistake_of_the_whole_file_is_told_once_and_nothing_is_imported(
    keywright: Keywright, tmp_path: Path
) -> None:
    file = str(FIXTURES / "drf/apikeys.json")
    ended = await keywright("import", "drf", file, "--user", "admin@localhost", "--pattern", ".*")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("at position 1") == 1
    table = tmp_path / "keys.csv"
    table.write_text("hash,expires\nx,\ny,\n")
    options = ("--pattern", "[a-z]{32}", "--lookup", "digest", "--user", "admin@localhost")
    ended = await keywright("import", "csv", str(table), *options)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("expires") == 1

    denied = await keywright.with_token("kw_live_x")("import", "drf", file, "--user", "a")
    assert denied.code == 3
    assert "not known" in denied.out

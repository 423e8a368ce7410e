"""Exports of other products are read as they are; damaged ones are refused by name and place."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keywright.cli import import_better_auth, import_csv, import_drf
from keywright.cli.import_better_auth import BetterAuthReader
from keywright.cli.import_candidates import Candidate, Reader
from keywright.cli.import_csv import CsvReader
from keywright.cli.import_drf import DrfReader
from keywright.cli.import_rows import CellError, FileError, Row, read_map, read_rows
from keywright.cli.import_run import Import, Outcome, Owners
from keywright.sdk import HashForm, ImportedTokenFormat, ImportItem, ImportResult, TokenLookup

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "imports"
NOW = datetime(2026, 12, 1, tzinfo=UTC)
SECRET = "kept" * 11


def rows(name: str, columns: tuple[str, ...]) -> list[Row]:
    return read_rows((FIXTURES / name).read_bytes(), columns)


def drf(suffix: str) -> dict[str, Candidate]:
    read = map(DrfReader(NOW), rows(f"drf/apikeys.{suffix}", import_drf.COLUMNS))
    return {each.display_name: each for each in read}


def better_auth(name: str) -> dict[str, Candidate]:
    read = map(BetterAuthReader(NOW), rows(f"better-auth/{name}", import_better_auth.COLUMNS))
    return {each.display_name: each for each in read}


def refused(content: bytes, columns: tuple[str, ...] = ("hash",)) -> str:
    with pytest.raises(FileError) as error:
        read_rows(content, columns)
    assert SECRET not in str(error.value)
    return str(error.value)


def unreadable(reader: Reader, **cells: Any) -> str:
    with pytest.raises(CellError) as error:
        reader(Row("row 1", cells))
    assert SECRET not in str(error.value)
    return str(error.value)


# --- real exports -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_keys_of_a_django_project_are_read_as_its_table_has_them(suffix: str) -> None:
    found = drf(suffix)
    tokens = json.loads((FIXTURES / "drf/tokens.json").read_text())
    assert set(found) == set(tokens)
    for name, candidate in found.items():
        prefix = tokens[name].partition(".")[0]
        assert candidate.item.prefix == prefix
        assert candidate.owners == (prefix, name)
        assert candidate.item.hash_form is HashForm.DJANGO
        assert candidate.token_format == ImportedTokenFormat(
            r"[A-Za-z0-9]{8}\.[A-Za-z0-9]{32}", TokenLookup.PREFIX, prefix_length=8
        )
        created = candidate.item.original_create_time
        assert created is not None
        assert created.date() == datetime(2026, 11, 24, tzinfo=UTC).date()
    assert {name: each.left_out for name, each in found.items() if each.left_out} == {
        "left the company": "revoked",
        "until 2020": "expired 2020-01-01",
    }
    until = found["until 2099"].item.key["expire_time"]
    assert until == datetime(2099, 1, 1, 12, 30, tzinfo=UTC)
    kinds = {name: each.item.hash.partition("$")[0] for name, each in found.items()}
    assert kinds["nightly export"] == "pbkdf2_sha256"
    assert kinds["warehouse"] == "argon2"
    assert kinds["partner: Müller & Söhne"] == "bcrypt_sha256"
    # Its primary key still has the hash of version 2.
    assert kinds["used since the upgrade"] == "sha512"


@pytest.mark.parametrize("version", ["1.7", "1.4"])
def test_keys_of_better_auth_are_the_same_from_json_and_csv(version: str) -> None:
    found = better_auth(f"{version}.json")
    assert found == better_auth(f"{version}.csv")
    beside = json.loads((FIXTURES / f"better-auth/{version}-tokens.json").read_text())
    assert set(found) == set(beside["tokens"])
    for name, candidate in found.items():
        pattern = candidate.token_format.pattern.replace("[A-Za-z]{64}", "").replace("\\", "")
        assert beside["tokens"][name].startswith(pattern)
        assert len(beside["tokens"][name]) == len(pattern) + 64
        assert candidate.token_format.lookup is TokenLookup.DIGEST
        assert candidate.owners[0] in beside["users"].values()
    assert found["with a prefix"].token_format == found["same prefix"].token_format
    assert found["permitted"].item.key["scopes"] == ["datasets.read", "datasets.list"]
    assert {name: each.left_out for name, each in found.items() if each.left_out} == {
        "three calls left": "limited to a number of uses, which keys are not here",
        "expired": "expired 2020-01-01",
        "disabled": "disabled",
    }


@pytest.mark.parametrize("version", ["1.7", "1.4"])
def test_a_token_that_was_stored_as_it_is_never_leaves_the_reader(version: str) -> None:
    (candidate,) = better_auth(f"{version}-unhashed.json").values()
    beside = json.loads((FIXTURES / f"better-auth/{version}-unhashed-tokens.json").read_text())
    (token,) = beside["tokens"].values()
    assert candidate.item.hash == hashlib.sha256(token.encode()).hexdigest()
    assert candidate.item.hash_form is HashForm.SHA256_HEX


def test_columns_may_be_named_as_orms_name_them() -> None:
    (row, *_) = rows("better-auth/1.7.json", import_better_auth.COLUMNS)
    renamed = {"expires_at": "2099-01-01", "created_at": 1_700_000_000_000, "user_id": 7}
    cells = {
        key: value for key, value in row.cells.items() if key not in {"expiresAt", "createdAt"}
    }
    candidate = BetterAuthReader(NOW, user_column="user_id")(Row("row 1", {**cells, **renamed}))
    assert candidate.item.key["expire_time"] == datetime(2099, 1, 1, tzinfo=UTC)
    assert candidate.item.original_create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert candidate.owners == ("7",)


def test_a_model_of_ones_own_may_say_whose_a_key_is() -> None:
    (row, *_) = rows("drf/apikeys.json", import_drf.COLUMNS)
    owned = Row(row.where, {**row.cells, "organization": 12, "prefix": "abcdef"})
    candidate = DrfReader(NOW, user_column="organization")(owned)
    assert candidate.owners == ("12",)
    assert candidate.token_format.prefix_length == 6
    assert candidate.token_format.pattern.startswith("[A-Za-z0-9]{6}")
    assert DrfReader(NOW, "own[a-z]{32}")(row).token_format.pattern == "own[a-z]{32}"


# --- tables of one's own ----------------------------------------------------------------------

CSV = CsvReader(NOW, "own_[a-z]{32}", TokenLookup.DIGEST, 4, HashForm.SHA256_HEX)


def test_a_row_of_a_table_of_ones_own_may_say_all_that_a_key_can_be() -> None:
    content = (
        b"hash,hash_form,token_prefix,key_id,display_name,user,role,scopes,resource,environment,"
        b"expire_time,create_time\n"
        b'x,phc,own_abcd,ci,"a, b",ann,member,a.read b.read,projects/1,test,2099-01-01,1700000000\n'
    )
    reader = replace(CSV, lookup=TokenLookup.PREFIX)
    candidate = reader(read_rows(content, import_csv.COLUMNS)[0])
    assert candidate.token_format == ImportedTokenFormat(
        "own_[a-z]{32}", TokenLookup.PREFIX, prefix_length=8, hash_offset=4
    )
    assert candidate.owners == ("ann",)
    item = candidate.item
    assert (item.hash, item.hash_form, item.prefix, item.key_id) == (
        *("x", HashForm.PHC),
        *("own_abcd", "ci"),
    )
    assert item.original_create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert item.key == {
        "display_name": "a, b",
        "role": "member",
        "scopes": ["a.read", "b.read"],
        "resource": "projects/1",
        "environment": "test",
        "expire_time": datetime(2099, 1, 1, tzinfo=UTC),
    }


def test_a_misspelt_column_is_refused_and_not_passed_over() -> None:
    misspelt = [Row("row 1", {"hash": SECRET}), Row("row 2", {"hash": SECRET, "expires": "2099"})]
    with pytest.raises(FileError, match="row 2: expires is not a known column") as refused:
        CSV.check(misspelt)
    assert SECRET not in str(refused.value)
    owned, reader = Row("row 1", {"hash": "x", "owner": "ann"}), replace(CSV, user_column="owner")
    reader.check([owned])
    assert reader(owned).owners == ("ann",)


@pytest.mark.parametrize(
    ("reader", "cells", "told"),
    [
        (CSV, {"hash": None}, "hash is missing"),
        (CSV, {"hash": 5}, "hash must be a text"),
        (CSV, {"hash": SECRET, "hash_form": "md5"}, "hash_form must be one of sha256_hex, "),
        (replace(CSV, hash_form=None), {"hash": SECRET}, "hash_form must be one of"),
        (replace(CSV, lookup=TokenLookup.PREFIX), {"hash": SECRET}, "token_prefix is missing"),
        (CSV, {"hash": SECRET, "expire_time": SECRET}, "expire_time must be a moment"),
        (CSV, {"hash": SECRET, "expire_time": [1]}, "expire_time must be a moment"),
        (CSV, {"hash": SECRET, "expire_time": 10**20}, "expire_time must be a moment"),
        (DrfReader(NOW), {"prefix": "abcdefgh", "hashed_key": None}, "hashed_key is missing"),
        (
            DrfReader(NOW),
            {"prefix": "abcdefgh", "hashed_key": SECRET, "revoked": "perhaps"},
            "revoked must be true or false",
        ),
        (BetterAuthReader(NOW), {"key": f"{SECRET}x", "start": "other"}, "key is neither"),
        (
            BetterAuthReader(NOW),
            {"key": SECRET[:43], "permissions": SECRET},
            "permissions must be as",
        ),
        (BetterAuthReader(NOW), {"key": SECRET[:43], "permissions": '["a"]'}, "permissions must"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_by_its_column_and_not_repeated(
    reader: Reader, cells: dict[str, Any], told: str
) -> None:
    assert told in unreadable(reader, **cells)


# --- damaged files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \r\n\r\n", "is empty"),
        ("hash\nä\n".encode("utf-16"), "is UTF-16"),
        ("hash\nabc\nä\n".encode("latin-1"), "line 3 is not UTF-8"),
        (b'[{"hash": "x"},\n  {"hash" "x"}]', "is not JSON: line 2, column 11"),
        (b'{"hash": "x"}', "must be an array of rows"),
        (b'[{"hash": "x"}, "y"]', "row 2 must be an object"),
        (b"[" * 100_000, "is not JSON that can be read"),
        (b'[{"hash": ' + b"9" * 5_000 + b"}]", "is not JSON that can be read"),
        (b'[{"id": "x", "name": "y"}]', "row 1 has no hash; it has id, name"),
        (b"id,name\nx,y\n", "the header has no hash; it has id, name"),
        (b"id;hash\nx;y\n", "the header has no hash; it has id;hash"),
        (b"hash,hash\nx,y\n", "names a column twice"),
        (b"hash,user\nx,ann\ny\n", "line 3 has 1 cells, and the header 2"),
        (b'hash,user\n"x\n', "line 2: unexpected end of data"),
        (b"hash\n" + b"x" * 200_000 + b"\n", "line 2: field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_place_is_told(
    content: bytes, told: str
) -> None:
    assert told in refused(content)


def test_a_byte_order_mark_crlf_and_empty_lines_do_no_harm() -> None:
    content = b'\xef\xbb\xbfhash,user\r\nx,"two\r\nlines"\r\n\r\ny,\r\n'
    found = read_rows(content, ("hash",))
    assert [each.where for each in found] == ["line 2", "line 5"]
    assert found[0].cells == {"hash": "x", "user": "two\r\nlines"}
    assert found[1].cells == {"hash": "y", "user": None}
    assert read_rows(b"\xef\xbb\xbf[]", ("hash",)) == []
    assert read_rows(b"hash\n", ("hash",)) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a,b,c\n", "line 1 must be two cells"),
        (b"a,b\na,\n", "line 2 must be two cells"),
        (b"a,b\na,c\n", "line 2 names another user"),
        (b"", "is empty"),
    ],
)
def test_a_user_map_that_does_not_say_who_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(FileError, match=told):
        read_map(content)


def test_a_user_map_says_who_is_who() -> None:
    assert read_map(b"7, ann\r\n\r\n8,ben@acme.example\n8,ben@acme.example") == {
        "7": "ann",
        "8": "ben@acme.example",
    }


# --- before anything is sent ------------------------------------------------------------------


def table(*cells: dict[str, Any]) -> list[Row]:
    return [Row(f"line {number}", each) for number, each in enumerate(cells, 2)]


@dataclass
class Sent:
    """Keeps what would be sent."""

    items: list[ImportItem] = field(default_factory=list)

    def __call__(
        self, _: ImportedTokenFormat, items: Sequence[ImportItem]
    ) -> Iterable[ImportResult]:
        self.items.extend(items)
        return ()


def test_what_is_twice_in_a_file_is_sent_once() -> None:
    sent = Sent()
    work = Import(CSV, Owners(otherwise="ann"), {})
    same = table({"hash": "x"}, {"hash": "y"}, {"hash": "x"})
    list(work.run(same, sent))
    assert [each.hash for each in sent.items] == ["x", "y"]
    assert (work.reports[2].outcome, work.reports[2].message) == (
        Outcome.LEFT_OUT,
        "the same as line 2",
    )


def test_a_row_narrows_a_key_and_the_command_line_says_what_rows_do_not() -> None:
    sent = Sent()
    common: Any = {"scopes": ["a.*"], "environment": "test"}
    work = Import(CSV, Owners({"7": "ann"}, "ben", as_named=True), common)
    given = table(
        {"hash": "x", "user": "7", "scopes": "a.read"}, {"hash": "y"}, {"hash": "z", "user": "cleo"}
    )
    list(work.run(given, sent))
    assert [each.key["user"] for each in sent.items] == ["ann", "ben", "cleo"]
    assert [each.key["scopes"] for each in sent.items] == [["a.read"], ["a.*"], ["a.*"]]
    assert {each.key["environment"] for each in sent.items} == {"test"}


def test_a_key_that_expires_this_moment_is_left_out() -> None:
    assert CSV(Row("", {"hash": "x", "expire_time": NOW.isoformat()})).left_out
    soon = (NOW + timedelta(seconds=1)).isoformat()
    assert not CSV(Row("", {"hash": "x", "expire_time": soon})).left_out

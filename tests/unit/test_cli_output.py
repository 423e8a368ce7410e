"""What reaches a terminal or a program."""

import io
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keywright.cli.output import Branch, Mark, Output, OutputFormat, visible
from keywright.sdk import FieldViolation, InvalidArgument, RateLimit

TABLE, JSON = Output(OutputFormat.TABLE), Output(OutputFormat.JSON)

Captured = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Thing:
    display_name: str = ""
    rate_limit: RateLimit | None = None
    expire_time: datetime | None = None
    tags: tuple[str, ...] = ()


HOSTILE = "\x1b]0;owned\x07\x9b31m[red]a[/red] :smile: \u202egnp.exe\u200b\r\n\x7f\ud800"


def test_no_control_or_direction_character_of_a_name_reaches_the_terminal(
    capsys: Captured,
) -> None:
    TABLE.record(Thing(HOSTILE))
    TABLE.records("things", [Thing(HOSTILE)], {"NAME": lambda thing: thing.display_name})
    TABLE.note(HOSTILE)
    TABLE.error(InvalidArgument(HOSTILE, violations=[FieldViolation("name", HOSTILE)]))
    JSON.record(Thing(HOSTILE))
    out, err = capsys.readouterr()
    assert {each for each in out + err if not each.isprintable()} == {"\n"}


def test_markup_and_emoji_codes_are_shown_as_they_are(capsys: Captured) -> None:
    TABLE.record(Thing("[bold red]a[/] :smile: \\"))
    assert "[bold red]a[/] :smile: \\" in capsys.readouterr().out


def test_letters_of_every_language_stay_readable() -> None:
    assert visible("Zoë Ærø 三宅 مرحبا 🔑") == "Zoë Ærø 三宅 مرحبا 🔑"


def test_json_has_times_as_rfc_3339_durations_in_seconds_and_null_for_what_is_absent(
    capsys: Captured,
) -> None:
    cet = timezone(timedelta(hours=1))
    JSON.record(Thing("a", RateLimit(5, timedelta(minutes=1)), datetime(2026, 1, 1, 1, tzinfo=cet)))
    JSON.record(RateLimit(1, timedelta(seconds=1.5)))
    JSON.record(Thing())
    out = capsys.readouterr().out
    first, second, third = out.replace("}\n{", "}\0{").split("\0")
    assert json.loads(first) == {
        "display_name": "a",
        "rate_limit": {"requests": 5, "period": 60},
        "expire_time": "2026-01-01T00:00:00Z",
        "tags": [],
    }
    assert json.loads(second)["period"] == 1.5
    assert json.loads(third)["expire_time"] is None


def test_a_row_is_a_line_however_long_where_no_terminal_reads_it(capsys: Captured) -> None:
    long = "x" * 500
    TABLE.records("things", [Thing(long)] * 3, {"NAME": lambda thing: thing.display_name})
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["NAME", *[long] * 3]


def test_an_empty_list_says_so_on_stderr_and_is_empty_on_stdout(capsys: Captured) -> None:
    TABLE.records("things", [], {"NAME": str})
    assert capsys.readouterr() == ("", "No things.\n")
    JSON.records("things", [], {"NAME": str})
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"things": []}, "")


def test_a_record_shows_what_is_there_and_leaves_out_what_is_empty(capsys: Captured) -> None:
    expire_time = datetime(2026, 1, 1, tzinfo=UTC)
    TABLE.record(Thing("a", RateLimit(5, timedelta(seconds=60)), expire_time, ("b", "c")))
    rows = [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()]
    assert [(label, text.strip()) for label, text in rows] == [
        ("display name", "a"),
        ("rate limit", "5/1m"),
        ("expire time", "2026-01-01 00:00:00Z"),
        ("tags", "b, c"),
    ]


def test_an_error_is_a_line_and_a_line_for_each_field(capsys: Captured) -> None:
    error = InvalidArgument(
        "no", reason="FIELD_INVALID", violations=[FieldViolation("key.role", "is odd")]
    )
    TABLE.error(error)
    assert capsys.readouterr() == ("", "error: FIELD_INVALID: no\n  key.role: is odd\n")


def test_an_error_that_names_its_field_is_told_once(capsys: Captured) -> None:
    error = InvalidArgument(
        "key.role: is odd",
        reason="FIELD_INVALID",
        violations=[FieldViolation("key.role", "is odd")],
    )
    TABLE.error(error)
    assert capsys.readouterr() == ("", "error: FIELD_INVALID: key.role: is odd\n")
    assert str(error) == "FIELD_INVALID: key.role: is odd"


def test_a_column_in_which_nothing_stands_is_left_out_where_that_is_asked_for(
    capsys: Captured,
) -> None:
    columns = {"NAME": lambda thing: thing.display_name, "TAGS": lambda thing: thing.tags}
    TABLE.records("things", [Thing("a"), Thing("b")], columns, hide_empty=True)
    TABLE.records("things", [Thing("a", tags=("c",)), Thing("b")], columns, hide_empty=True)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["NAME"], ["a"], ["b"], ["NAME", "TAGS"], ["a", "c"], ["b"]]


def test_a_program_gets_an_error_as_json_on_stderr(capsys: Captured) -> None:
    JSON.error(
        InvalidArgument(
            "no",
            reason="FIELD_INVALID",
            metadata={"a": "b"},
            violations=[FieldViolation("key.role", "is odd")],
            request_id="r-1",
        )
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "error": {
            "code": "INVALID_ARGUMENT",
            "reason": "FIELD_INVALID",
            "message": "no",
            "metadata": {"a": "b"},
            "violations": [{"field": "key.role", "description": "is odd"}],
            "request_id": "r-1",
        }
    }


def test_a_tree_is_readable_where_the_terminal_has_ascii_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    TABLE.tree({}, Branch("no", Mark.BAD, [Branch("yes", Mark.GOOD), Branch("-", Mark.NEITHER)]))
    assert raw.getvalue().decode("ascii").splitlines() == ["x no", "+-- + yes", "`-- - -"]


def test_no_control_character_reaches_the_terminal_in_a_tree(capsys: Captured) -> None:
    TABLE.tree({}, Branch(HOSTILE, Mark.BAD, [Branch(HOSTILE)]))
    assert {each for each in capsys.readouterr().out if not each.isprintable()} == {"\n"}

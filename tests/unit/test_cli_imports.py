"""What `keywright import` refuses before it sends anything, and what it tells of many rows."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from keywright.cli import app
from keywright.cli.import_report import show
from keywright.cli.import_run import Outcome, Report
from keywright.cli.output import Output, OutputFormat

CSV = ("--pattern", "own_[a-z]{32}", "--lookup", "digest")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("drf", "FILE"), "say whose the keys become"),
        (("better-auth", "FILE"), "say whose the keys become"),
        (("drf", "FILE", "--user", ""), "is empty"),
        (("drf", "FILE", "--user", "ann"), "the header has no prefix, hashed_key"),
        (("drf", "absent", "--user", "ann"), "No such file"),
        (("drf", ".", "--user", "ann"), "Is a directory"),
        (("drf", "FILE", "--user-map", "absent"), "No such file"),
        (("drf", "FILE", "--user-map", "FILE"), "must be two cells"),
        (("csv", "FILE", "--user", "ann"), "Missing option '--pattern'"),
        (("csv", "FILE", *CSV, "--hash-form", "md5"), "must be one of sha256_hex"),
        (("csv", "FILE", *CSV, "--label", "a"), "is written key=value"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("hash\nx\n")
    given = [str(file) if each == "FILE" else each for each in arguments]
    ended = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["import", *given])
    assert ended.exit_code == 2
    assert told in ended.stderr


def test_of_many_rows_a_table_has_those_that_need_attention(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports = [Report(f"line {number}", outcome=Outcome.IMPORTED) for number in range(2, 3_000)]
    reports.append(Report("line 3000", outcome=Outcome.FAILED, message="no such user"))
    show(Output(OutputFormat.TABLE), reports, dry_run=False)
    told = capsys.readouterr()
    assert "line 3000" in told.out
    assert "line 2999" not in told.out
    assert told.err == "2998 imported, 1 failed.\n"

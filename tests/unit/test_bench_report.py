"""What a benchmark shows lands in its part of the document, and nowhere else."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import plot, table
from bench.__main__ import BENCHMARKS
from bench.report import parts
from bench.report.parts import PartMissingError
from bench.report.shown import Bars, Item, Lines, Table, collecting
from bench.report.writing import DOCS, Report

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = """# Performance

Written by people; `<!-- bench: warm -->` is only mentioned here.

<!-- bench: warm -->
what an earlier run showed
<!-- /bench: warm -->

Between the parts.

<!-- bench: look-up -->

as it was

<!-- /bench: look-up -->

The end.
"""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    (tmp_path / "performance.md").write_text(DOCUMENT)
    return Report(tmp_path)


def shown() -> Sequence[Item]:
    with collecting() as items:
        table.show("Calls", "As shipped.", ("", "calls/s"), [("no-op", "4,611"), ("a | b", "9")])
        table.remark("It stood still.")
        plot.bars("calls", "Calls/s & more", "calls/s", {"no-op": 4611.0, "Authenticate": 3598.0})
    return items


def test_what_is_shown_lands_in_its_part_and_all_else_stays(report: Report) -> None:
    report.write("warm", "2026-11-28; 2 cores", shown())
    head, rest = DOCUMENT.split("what an earlier run showed\n")
    assert report.document.read_text() == (
        f"{head}\n"
        "`.venv/bin/python -m bench warm`: 2026-11-28; 2 cores\n"
        "\n"
        "### Calls\n"
        "\n"
        "As shipped.\n"
        "\n"
        "|        | calls/s |\n"
        "| ------ | ------: |\n"
        "| no-op  |   4,611 |\n"
        "| a \\| b |       9 |\n"
        "\n"
        "It stood still.\n"
        "\n"
        "![Calls/s & more](performance/calls.svg)\n"
        f"\n{rest}"
    )


def test_the_same_results_give_the_same_bytes(report: Report) -> None:
    written = []
    for _ in range(2):
        report.write("warm", "2026-11-28", shown())
        written.append(
            {each: each.read_bytes() for each in report.directory.rglob("*") if each.is_file()}
        )
    assert len(written[0]) == 2
    assert written[0] == written[1]


def test_a_part_that_is_missing_is_told_by_name_and_nothing_is_written(report: Report) -> None:
    with pytest.raises(PartMissingError, match=r"denials, herd: .*<!-- bench: denials -->"):
        report.check(["warm", "denials", "look-up", "herd"])
    with pytest.raises(PartMissingError, match="denials"):
        report.write("denials", "2026-11-28", shown())
    assert [each.name for each in report.directory.iterdir()] == ["performance.md"]
    assert report.document.read_text() == DOCUMENT


@pytest.mark.parametrize(
    "document",
    [
        "<!-- bench: warm -->\n",
        "<!-- /bench: warm -->\n<!-- bench: warm -->\n",
        "<!-- bench: warm -->\n<!-- bench: look-up -->\n<!-- /bench: warm -->\n",
        "<!-- bench: warm -->\n<!-- /bench: warm -->\n" * 2,
    ],
    ids=["no end", "the wrong way round", "over the beginning of another", "twice"],
)
def test_markers_that_are_no_part_are_refused(document: str) -> None:
    with pytest.raises(PartMissingError, match="warm"):
        parts.replaced(document, "warm", "new")


def test_text_of_a_benchmark_forges_no_marker_and_no_line(report: Report) -> None:
    forged = "x\n<!-- /bench: warm -->\n| y"
    report.write("warm", "2026-11-28", [Table(forged, forged, ("",), [(forged,)])])
    assert "\n| y" not in report.document.read_text()
    report.write("warm", "2026-11-28", [])
    emptied = parts.replaced(DOCUMENT, "warm", "`.venv/bin/python -m bench warm`: 2026-11-28")
    assert report.document.read_text() == emptied


@pytest.mark.parametrize(
    "drawn",
    [
        Bars("drawn", "Cost <of> a call, $5 & $6", "us", {"1 in flight": {"no-op": 1.5, "own": 2}}),
        Lines("drawn", "Cost <of> a call, $5 & $6", "keys", "us", {"own": {0: 1, 10_000: 2.5}}),
    ],
    ids=["bars", "lines"],
)
def test_a_plot_is_an_svg_that_says_what_it_shows(report: Report, drawn: Bars | Lines) -> None:
    report.write("warm", "2026-11-28", [drawn])
    svg = (report.directory / "performance" / "drawn.svg").read_bytes()
    said = [element.text for element in ET.fromstring(svg).iter() if element.text]
    labels = ["no-op, 1 in flight", "1.5"] if isinstance(drawn, Bars) else ["keys", "10,000"]
    assert {drawn.title, "us", *labels} <= set(said)
    assert b"fill: #ffffff" in svg  # readable where the page is dark
    assert not re.search(rb"<dc:(date|creator)", svg)


def test_every_benchmark_has_its_part_in_the_documentation_and_every_part_a_benchmark() -> None:
    document = (DOCS / "performance.md").read_text()
    assert sorted(parts.names(document)) == sorted(BENCHMARKS)
    Report(DOCS).check(BENCHMARKS)


def test_every_plot_of_the_documentation_is_there() -> None:
    document = (DOCS / "performance.md").read_text()
    plots = re.findall(r"\]\((performance/[^)]+)\)", document)
    assert sorted(plots) == sorted(
        str(each.relative_to(DOCS)) for each in (DOCS / "performance").glob("*")
    )


def test_a_run_that_cannot_be_written_measures_nothing(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text("# Nothing\n")
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--into", tmp_path, "warm"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert "<!-- bench: warm -->" in run.stderr


def test_matplotlib_is_imported_only_where_something_is_drawn() -> None:
    code = "import sys, bench.__main__; sys.exit('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, timeout=60)
    assert run.returncode == 0

"""What is told of an import: while it runs, and at its end."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import typer

from keywright.cli.import_run import Outcome, Report
from keywright.cli.output import Output, last_part

_TOLD_EVERY = 1_000
# Of more rows a table says only what needs attention; to lay out 100,000 takes half a minute.
_TABLE_MAX_ROWS = 1_000
_WELL = {Outcome.IMPORTED, Outcome.EXISTS}


def follow(out: Output, reports: Iterable[Report], total: int) -> None:
    """Go through them, and tell a person at a terminal how far it is."""
    telling = not out.is_json and sys.stderr.isatty() and total > _TOLD_EVERY
    for done, _ in enumerate(reports, 1):
        if telling and (done % _TOLD_EVERY == 0 or done == total):
            typer.echo(f"\r{done:,} of {total:,} rows", nl=done == total, err=True)


def show(out: Output, reports: Sequence[Report], *, dry_run: bool) -> None:
    """A table or a document with what became of each row; and how many there are of each outcome.

    Of more than 1,000 rows the table has only those that were not imported.
    """
    if dry_run:
        reports = [replace(each, key="") for each in reports]  # there is no key of this id
    count = Counter(each.outcome for each in reports)
    if out.is_json:
        counts = {outcome.lower(): count[outcome] for outcome in Outcome}
        out.document({"rows": reports, "dry_run": dry_run, **counts})
        return
    many = len(reports) > _TABLE_MAX_ROWS
    out.records(
        "rows to look at" if many else "rows",
        [each for each in reports if not many or each.outcome not in _WELL],
        {
            "ROW": lambda report: report.row,
            "NAME": lambda report: report.display_name,
            "USER": lambda report: report.user,
            "OUTCOME": lambda report: _told(report.outcome, dry_run=dry_run),
            **({} if dry_run else {"KEY": lambda report: last_part(report.key)}),
            "WHY": lambda report: report.message,
        },
    )
    told = (f"{count[each]} {_told(each, dry_run=dry_run)}" for each in Outcome if count[each])
    out.note(f"{', '.join(told) or 'nothing to do'}.")


def _told(outcome: Outcome, *, dry_run: bool) -> str:
    if outcome is Outcome.IMPORTED and dry_run:
        return "would be imported"
    return {
        Outcome.UNKNOWN: "not known",
        Outcome.IMPORTED: "imported",
        Outcome.EXISTS: "there already",
        Outcome.LEFT_OUT: "left out",
        Outcome.FAILED: "failed",
    }[outcome]

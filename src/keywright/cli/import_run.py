"""An import: from rows to what became of each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

from keywright.cli.import_candidates import Candidate, Reader
from keywright.cli.import_rows import CellError, Row
from keywright.sdk import (
    FailedPrecondition,
    ImportedKeyAttributes,
    ImportedTokenFormat,
    ImportItem,
    ImportResult,
    InvalidArgument,
)

Send = Callable[[ImportedTokenFormat, Sequence[ImportItem]], Iterable[ImportResult]]


class Outcome(StrEnum):
    """What became of a row. `UNKNOWN`: an error ended the import before its turn, or in it."""

    UNKNOWN = "UNKNOWN"
    IMPORTED = "IMPORTED"
    EXISTS = "EXISTS"
    LEFT_OUT = "LEFT_OUT"
    FAILED = "FAILED"


class PatternError(ValueError):
    """The pattern that all tokens are said to match cannot be used: says why."""


@dataclass(slots=True)
class Report:
    """What became of a row: the key, or why there is none."""

    row: str
    display_name: str = ""
    user: str = ""
    outcome: Outcome = Outcome.UNKNOWN
    key: str = ""
    reason: str = ""
    message: str = ""

    def end(self, outcome: Outcome, message: str = "", reason: str = "") -> None:
        """Say what became of it."""
        self.outcome, self.message, self.reason = outcome, message, reason


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose keys they become: as a map says, else as the rows do, else one user's.

    Attributes:
        known: users here, by what their keys' rows call them.
        otherwise: whose the others are; None: there must be a name for each.
        as_named: whether what a row says is a user here, unless the map knows better.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    as_named: bool = False

    def user(self, names: Sequence[str]) -> str | None:
        """Whose key it becomes, if that is known."""
        for name in names:
            if name in self.known:
                return self.known[name]
        return (self.as_named and next(filter(None, names), None)) or self.otherwise


@dataclass(frozen=True, slots=True)
class Import:
    """Takes rows over; `reports` tell what became of each, in the order of the file.

    With `one_pattern` all tokens are said to match the same: a mistake in it is no row's.
    """

    reader: Reader
    owners: Owners
    common: ImportedKeyAttributes
    one_pattern: bool = False
    reports: list[Report] = field(default_factory=list)

    def run(self, rows: Iterable[Row], send: Send) -> Iterator[Report]:
        """Send what can be sent, tokens of one form at a time; gives each report that is ended.

        Raises:
            PatternError: the pattern that all tokens are said to match cannot be used.
            KeywrightError: it cannot go on; the reports say how far it came.
        """
        groups: dict[ImportedTokenFormat, list[tuple[Report, ImportItem]]] = {}
        seen: dict[tuple[str, str], str] = {}
        for row in rows:
            report = Report(row.where)
            self.reports.append(report)
            candidate = self._read(row, report)
            if candidate is not None and self._is_to_go(candidate, report, seen):
                item = replace(candidate.item, key=self._key(candidate, report.user))
                groups.setdefault(candidate.token_format, []).append((report, item))
            else:
                yield report
        for token_format, group in groups.items():
            yield from self._sent(token_format, group, send)

    def _read(self, row: Row, report: Report) -> Candidate | None:
        try:
            candidate = self.reader(row)
        except CellError as error:
            report.end(Outcome.FAILED, str(error))
            return None
        report.display_name = candidate.display_name
        report.user = self.owners.user(candidate.owners) or ""
        return candidate

    def _is_to_go(
        self, candidate: Candidate, report: Report, seen: dict[tuple[str, str], str]
    ) -> bool:
        same = (candidate.item.prefix, candidate.item.hash)
        if candidate.left_out:
            report.end(Outcome.LEFT_OUT, candidate.left_out)
        elif same in seen:
            report.end(Outcome.LEFT_OUT, f"the same as {seen[same]}")
        elif not report.user:
            named = " or ".join(map(repr, filter(None, candidate.owners)))
            report.end(Outcome.FAILED, f"has no user: give --user, or {named} in --user-map")
        else:
            seen[same] = report.row
            return True
        return False

    def _key(self, candidate: Candidate, user: str) -> ImportedKeyAttributes:
        own = {name: value for name, value in candidate.item.key.items() if value}
        # What a row says comes first: scopes for all must not widen a key that has fewer.
        return cast("ImportedKeyAttributes", {**self.common, **own, "user": user})

    def _sent(
        self,
        token_format: ImportedTokenFormat,
        group: Sequence[tuple[Report, ImportItem]],
        send: Send,
    ) -> Iterator[Report]:
        left = iter([report for report, _ in group])
        try:
            for result in send(token_format, [item for _, item in group]):
                report = next(left)
                _end(report, result)
                yield report
        except (InvalidArgument, FailedPrecondition) as error:
            if error.about_caller:
                raise
            for each in error.violations:
                if self.one_pattern and each.field == "format.pattern":
                    raise PatternError(each.description) from None
            # It is about tokens of this form; those of others may do.
            for report in left:
                report.end(Outcome.FAILED, "; ".join([error.message, *error.more]), error.reason)
                yield report


def _end(report: Report, result: ImportResult) -> None:
    if result.key is not None:
        report.end(Outcome.IMPORTED)
        report.key = result.key.name
    elif result.error is not None:
        exists = result.error.reason == "RESOURCE_ALREADY_EXISTS"
        outcome = Outcome.EXISTS if exists else Outcome.FAILED
        report.end(outcome, result.error.message, result.error.reason)

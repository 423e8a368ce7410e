"""Rows of a table that another product exported, from JSON or CSV.

Nothing here repeats what a cell contains: it may be a hash, or a token.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_TRUE = {"true", "t", "1"}
_FALSE = {"false", "f", "0"}
# Seconds have ten digits until 2286, milliseconds thirteen.
_MILLISECONDS = 10**11


class FileError(ValueError):
    """A file cannot be read at all: says why, and where."""


class CellError(ValueError):
    """A cell cannot be read: says which column it is of, and what would be right."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: `where` it stands in its file, and its cells by column; what is empty is None."""

    where: str
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A text that must be there."""
        text = self.optional_text(column)
        if not text:
            raise CellError(f"{column} is missing")
        return text

    def optional_text(self, column: str) -> str:
        """A text, empty if there is none."""
        value = self.cells.get(column)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise CellError(f"{column} must be a text")
        return value

    def owner(self, column: str) -> str:
        """Whose the row is, in the other product: a text or a number."""
        value = self.cells.get(column)
        return "" if value is None else str(value)

    def flag(self, column: str, *, otherwise: bool) -> bool:
        """Yes or no: true, t or 1, and false, f or 0, in any case; `otherwise` if it is empty."""
        value = self.cells.get(column)
        if value is None:
            return otherwise
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise CellError(f"{column} must be true or false")
        return word in _TRUE

    def moment(self, column: str) -> datetime | None:
        """A moment in ISO 8601, in UTC if it does not say, or in seconds or ms since 1970."""
        value = self.cells.get(column)
        if value is None:
            return None
        try:
            return _moment(str(value))
        except (ValueError, OverflowError, OSError):  # the last: beyond the year 9999
            raise CellError(f"{column} must be a moment such as 2026-12-31T00:00:00Z") from None


def read_rows(content: bytes, columns: Sequence[str]) -> list[Row]:
    """The rows of an export, whose first line or object must have these columns.

    Raises:
        FileError: it is neither JSON nor CSV, damaged, or of another table.
    """
    text = _decoded(content)
    rows = list(_json(text) if text.lstrip()[:1] in {"[", "{"} else _csv(text, columns))
    if rows:
        _check(rows[0].where, rows[0].cells, columns)
    return rows


def read_map(content: bytes) -> dict[str, str]:
    """A CSV of two columns without a header, from the first to the second.

    Raises:
        FileError: it is none, or names something twice.
    """
    reader = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    found: dict[str, str] = {}
    try:
        for cells in filter(None, reader):
            if len(cells) != 2 or not all(cells):  # noqa: PLR2004
                raise FileError(f"line {reader.line_num} must be two cells: theirs, ours")
            theirs, ours = (each.strip() for each in cells)
            if found.setdefault(theirs, ours) != ours:
                raise FileError(f"line {reader.line_num} names another user for the same as before")
    except csv.Error as error:
        raise FileError(f"line {reader.line_num}: {error}") from None
    return found


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError("is UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"line {line} is not UTF-8: save it as UTF-8") from None
    if not text.strip():
        raise FileError("is empty")
    return text


def _check(where: str, present: Mapping[str, Any], columns: Sequence[str]) -> None:
    missing = [each for each in columns if each not in present]
    if missing:
        raise FileError(f"{where} has no {', '.join(missing)}; it has {', '.join(present)}")


def _json(text: str) -> Iterator[Row]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FileError(f"is not JSON: {where}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise FileError("is not JSON that can be read: too deep, or a number too long") from None
    if not isinstance(document, list):
        raise FileError("must be an array of rows: [{...}, ...]")
    for number, row in enumerate(document, 1):
        if not isinstance(row, dict):
            raise FileError(f"row {number} must be an object: {{...}}")
        # `manage.py dumpdata` puts all columns but the primary key into an object of its own.
        cells = row.get("fields")
        yield Row(f"row {number}", cells if isinstance(cells, dict) else row)


def _csv(text: str, columns: Sequence[str]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [each.strip() for each in next(reader)]
        _check("the header", dict.fromkeys(header), columns)
        if len(set(header)) < len(header):
            raise FileError("the header names a column twice")
        while True:
            where = f"line {reader.line_num + 1}"
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:  # an empty line
                continue
            if len(cells) != len(header):
                raise FileError(f"{where} has {len(cells)} cells, and the header {len(header)}")
            yield Row(where, {key: cell or None for key, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise FileError(f"line {reader.line_num}: {error}") from None


def _moment(text: str) -> datetime:
    if text.isdecimal():
        number = int(text)
        return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when

"""What is printed: results on stdout, everything else on stderr, and nothing that a terminal obeys.

Names come from whoever made them: control characters, direction marks and rich's markup among them.
"""

import dataclasses
import io
import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from itertools import compress
from typing import IO, TYPE_CHECKING, Any, TypeVar

import typer

from keywright.cli import values
from keywright.sdk import CreatedKey, EnsuredKey, RateLimit, RotatedKey, SignInLink
from keywright.sdk.errors import KeywrightError

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")

# Wide enough for any row where no terminal would fold it: a line is a row then.
_UNFOLDED = 100_000


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Mark(Enum):
    """What stands before a line of a tree: in Unicode, in ASCII, and its colour."""

    NONE = "", "", ""
    GOOD = "✓ ", "+ ", "green"
    BAD = "✗ ", "x ", "red"
    NEITHER = "· ", "- ", "dim"


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of a tree, and what hangs on it; one that matters most is `strong`."""

    text: str
    mark: Mark = Mark.NONE
    branches: Sequence["Branch"] = ()
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """Prints in one format."""

    format: OutputFormat

    @property
    def is_json(self) -> bool:
        """Whether a program reads it."""
        return self.format is OutputFormat.JSON

    def document(self, value: object) -> None:
        """One JSON document on stdout."""
        # ASCII only, so that no control or direction character reaches a terminal.
        self.line(json.dumps(_plain(value), indent=2))

    def line(self, text: str) -> None:
        """A line on stdout, as it is."""
        typer.echo(text)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A sentence for people, on stderr; programs do not need it."""
        if not self.is_json:
            typer.echo(visible(text), err=True)

    def record(self, value: object, *, aside: bool = False) -> None:
        """One result with all its fields that are not empty; `aside`: on stderr."""
        if self.is_json:
            self.document(value)
        else:
            _print_table(None, _fields(value), sys.stderr if aside else sys.stdout)

    def answer(self, value: object, told: str) -> None:
        """A result that a person reads as a sentence."""
        if self.is_json:
            self.document(value)
        else:
            self.line(visible(told))

    def changed(self, value: object, told: str) -> None:
        """A result that a person need only be told of."""
        if self.is_json:
            self.document(value)
        else:
            self.note(told)

    def token(self, made: CreatedKey | EnsuredKey | RotatedKey) -> None:
        """A key, and its token if there is one: to a person alone on stdout, in JSON beside it."""
        token = None if made.token is None else made.token.reveal()
        if self.is_json:
            parts = {each.name: getattr(made, each.name) for each in dataclasses.fields(made)}
            self.document({**parts, "token": token})
            return
        self.record(made.key, aside=True)
        if token is None:
            self.note("The key was there already; its token is not shown again.")
        else:
            self.note("The token, shown this once:")
            self.line(token)

    def link(self, made: SignInLink, console: str) -> None:
        """A sign-in link: to a person alone on stdout; what it carries if no console is known."""
        token = made.token.reveal()
        url = f"{console.rstrip('/')}/sign-in/link?token={token}" if console else ""
        if self.is_json:
            self.document({"token": token, "url": url, "expire_time": made.expire_time})
            return
        self.note(f"It signs in once, until {exactly(made.expire_time)}:")
        self.line(url or token)

    def records(
        self,
        plural: str,
        items: Iterable[Item],
        columns: Mapping[str, Callable[[Item], object]],
        *,
        unfolded: Collection[str] = (),
        hide_empty: bool = False,
    ) -> None:
        """A list: a table, or the document `{plural: [...]}`.

        Columns that are `unfolded` keep each text on one line, however narrow the terminal is.
        """
        if self.is_json:
            self.document({plural: list(items)})
            return
        rows = [[shown(column(item)) for column in columns.values()] for item in items]
        if not rows:
            self.note(f"No {plural}.")
            return
        kept = [not hide_empty or any(column) for column in zip(*rows, strict=True)]
        rows = [list(compress(row, kept)) for row in rows]
        _print_table(list(compress(columns, kept)), rows, sys.stdout, unfolded)

    def tree(self, value: object, root: "Branch") -> None:
        """A result that a person reads as a tree."""
        if self.is_json:
            self.document(value)
        else:
            _print_tree(root)

    def error(self, error: KeywrightError) -> None:
        """An error, on stderr."""
        if self.is_json:
            told = {
                "code": error.code,
                "reason": error.reason,
                "message": error.message,
                "metadata": error.metadata,
                "violations": error.violations,
                "request_id": error.request_id,
            }
            typer.echo(json.dumps({"error": _plain(told)}, indent=2), err=True)
            return
        message, more = error.message, error.more
        if not more and len(error.violations) > 1:  # the message tells them all, in one line
            message = f"{len(error.violations)} fields are wrong"
            more = [f"{each.field}: {each.description}" for each in error.violations]
        for line in (f"error: {error.reason}: {message}", *(f"  {each}" for each in more)):
            typer.echo(visible(line), err=True)


def last_part(name: str) -> str:
    """The id in a full name, which is what fits into a table."""
    return name.rpartition("/")[2]


def visible(text: str) -> str:
    r"""`text` with every character that is not printable written as an escape, `\x1b`."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _plain(value: object) -> Any:
    """As JSON has it: times as RFC 3339, durations in seconds."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            seconds = value.total_seconds()
            return int(seconds) if seconds.is_integer() else seconds
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case str() | int() | float() | bytes() | None:
            return value.hex() if isinstance(value, bytes) else value
    return {
        field.name: _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)  # type: ignore[arg-type]
    }


def _fields(value: Any, of: str = "") -> list[list[str]]:
    rows = []
    for field in dataclasses.fields(value):
        each = getattr(value, field.name)
        label = f"{of} {field.name.replace('_', ' ')}".lstrip()
        if dataclasses.is_dataclass(each) and not isinstance(each, RateLimit):
            rows += _fields(each, label)
        elif isinstance(each, tuple) and each and dataclasses.is_dataclass(each[0]):
            rows += [[label if item is each[0] else "", str(item)] for item in each]
        elif text := exactly(each) if isinstance(each, datetime) else shown(each):
            rows.append([label, text])
    return rows


def exactly(moment: datetime | None) -> str:
    """A moment to the second, where order matters."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def shown(value: object) -> str:
    """A value as a person reads it; lengths of time and rate limits as they are typed."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
        case timedelta():
            text = values.as_typed(value)
        case RateLimit():
            text = f"{value.requests}/{values.as_typed(value.period)}"
        case Mapping():
            text = ", ".join(f"{key}={each}" for key, each in value.items())
        case bytes():
            text = value.hex()
        case tuple() | list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    return text


def _print_table(
    header: list[str] | None,
    rows: Iterable[list[str]],
    file: IO[str],
    unfolded: Collection[str] = (),
) -> None:
    from rich.table import Column, Table  # noqa: PLC0415  not needed for JSON
    from rich.text import Text  # noqa: PLC0415

    console = _console(file)
    columns = [Column(each, no_wrap=each in unfolded) for each in header or ()]
    table = Table(*columns, box=None, show_header=header is not None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(visible(text), overflow="fold") for text in row))
    console.print(table)


def _print_tree(root: Branch) -> None:
    from rich.text import Text  # noqa: PLC0415  not needed for JSON
    from rich.tree import Tree  # noqa: PLC0415

    console = _console(sys.stdout)

    def line(branch: Branch) -> Text:
        mark, ascii_mark, colour = branch.mark.value
        text = Text(ascii_mark if console.options.ascii_only else mark, colour)
        return text.append(visible(branch.text), "bold" if branch.strong else None)

    def grow(tree: Tree, branches: Iterable[Branch]) -> None:
        for each in branches:
            grow(tree.add(line(each)), each.branches)

    tree = Tree(line(root))
    grow(tree, root.branches)
    console.print(tree)


def _console(file: IO[str]) -> "Console":
    from rich.console import Console  # noqa: PLC0415  not needed for JSON

    if isinstance(file, io.TextIOWrapper):  # letters that the terminal lacks are no reason to fail
        file.reconfigure(errors="backslashreplace")
    return Console(file=file, width=None if file.isatty() else _UNFOLDED, highlight=False)

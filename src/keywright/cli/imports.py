"""`keywright import ...`: keys of other products."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from keywright.cli import import_better_auth, import_csv, import_drf, import_report, values
from keywright.cli.command import Session, command
from keywright.cli.exits import ExitCode
from keywright.cli.import_better_auth import BetterAuthReader
from keywright.cli.import_csv import CsvReader
from keywright.cli.import_drf import DrfReader
from keywright.cli.import_rows import FileError, Row, read_map, read_rows
from keywright.cli.import_run import Import, Outcome, Owners, PatternError
from keywright.cli.options import KeyRoleOption, LabelOption, ScopeOption
from keywright.sdk import (
    HashForm,
    ImportedKeyAttributes,
    ImportedTokenFormat,
    ImportItem,
    ImportResult,
    KeywrightError,
    TokenLookup,
)

app = typer.Typer(
    help="Take over keys of other products, whose tokens go on working.", no_args_is_help=True
)

_FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The export; - is stdin.", show_default=False)
]
_PatternOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN", help="What every token matches, if not what is usual: 'sk_\\[a-z]{32}'."
    ),
]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the keys become, and whose."""

    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Whose the keys become that --user-map does not name."),
    ] = None
    user_map: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV without a header: what the export says, and the user here."
        ),
    ] = None
    user_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that says whose a key is, if another."),
    ] = None
    role: KeyRoleOption = None
    scope: ScopeOption = None
    environment: Annotated[
        str | None, typer.Option(metavar="ID", help="live or test, for example.")
    ] = None
    label: LabelOption = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check, change nothing.")] = False

    def owners(self, *, as_named: bool = False) -> Owners:
        """Whose the keys become."""
        known = {} if self.user_map is None else _map(self.user_map)
        otherwise = values.not_empty(self.user, "--user")
        if not known and otherwise is None and not as_named:
            raise typer.BadParameter(
                "say whose the keys become: one user's, or as a map has it",
                param_hint="--user, --user-map",
            )
        return Owners(known, otherwise, as_named)

    def common(self) -> ImportedKeyAttributes:
        """What all keys become."""
        common = ImportedKeyAttributes()
        if role := values.not_empty(self.role, "--role"):
            common["role"] = role
        if self.scope:
            common["scopes"] = self.scope
        if environment := values.not_empty(self.environment, "--environment"):
            common["environment"] = environment
        if labels := values.labels(self.label):
            common["labels"] = labels
        return common


@app.command()
@command
def drf(
    session: Session, file: _FileArgument, options: ImportOptions, pattern: _PatternOption = None
) -> None:
    """Take over keys of djangorestframework-api-key.

    FILE is what `python manage.py dumpdata rest_framework_api_key` writes, or the table as CSV. A
    key has no user there: --user-map finds one by its prefix or its name, else it is --user's.

    Example: keywright import drf apikeys.json --user django --dry-run
    """
    reader = DrfReader(datetime.now(UTC), pattern, options.user_column)
    work = Import(reader, options.owners(), options.common(), one_pattern=pattern is not None)
    _run(session, _rows(file, import_drf.COLUMNS), work, options)


@app.command("better-auth")
@command
def better_auth(
    session: Session, file: _FileArgument, options: ImportOptions, pattern: _PatternOption = None
) -> None:
    """Take over keys of better-auth's plugin api-key.

    FILE is its table `apikey`, as an array of objects in JSON or as CSV. --user-map says who is
    who, by userId or referenceId.

    Example: keywright import better-auth apikey.json --user-map users.csv --dry-run
    """
    reader = BetterAuthReader(datetime.now(UTC), pattern, options.user_column)
    work = Import(reader, options.owners(), options.common(), one_pattern=pattern is not None)
    _run(session, _rows(file, import_better_auth.COLUMNS), work, options)


@app.command("csv")
@command
def csv_(
    session: Session,
    file: _FileArgument,
    options: ImportOptions,
    pattern: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="What every token matches: 'sk_\\[a-z]{32}'.",
            show_default=False,
        ),
    ],
    lookup: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="How the record of a token is found: by its prefix or its digest.",
            autocompletion=lambda: [each.lower() for each in TokenLookup],
            show_default=False,
        ),
    ],
    hash_offset: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=128, help="So many first characters are not hashed."),
    ] = 0,
    hash_form: Annotated[
        str | None,
        typer.Option(
            metavar="FORM",
            help="Of the hashes, if rows do not say: sha256_hex, sha512_base64, phc, django, ...",
            autocompletion=lambda: [each.lower() for each in HashForm],
        ),
    ] = None,
) -> None:
    r"""Take over keys of anything else.

    FILE is CSV, or an array of objects in JSON, with a column `hash`; with `token_prefix`, if keys
    are found by that; and any of hash_form, key_id, display_name, user, role, scopes, resource,
    environment, expire_time and create_time.

    Example: keywright import csv keys.csv --pattern 'sk_\[a-z]{32}' --lookup digest --user ci
    """
    reader = CsvReader(
        datetime.now(UTC),
        pattern,
        values.choice(TokenLookup, lookup, "--lookup"),
        hash_offset,
        None if hash_form is None else values.choice(HashForm, hash_form, "--hash-form"),
        options.user_column,
    )
    work = Import(reader, options.owners(as_named=True), options.common(), one_pattern=True)
    _run(session, _rows(file, import_csv.COLUMNS, reader.check), work, options)


def _run(session: Session, rows: Sequence[Row], work: Import, options: ImportOptions) -> None:
    with session.client() as client:

        def send(
            token_format: ImportedTokenFormat, items: Sequence[ImportItem]
        ) -> Iterable[ImportResult]:
            return client.keys.import_keys(token_format, items, validate_only=options.dry_run)

        try:
            import_report.follow(session.out, work.run(rows, send), len(rows))
        except PatternError as error:
            raise typer.BadParameter(str(error), param_hint="--pattern") from None
        except KeywrightError:
            import_report.show(session.out, work.reports, dry_run=options.dry_run)
            raise
    import_report.show(session.out, work.reports, dry_run=options.dry_run)
    if any(each.outcome is Outcome.FAILED for each in work.reports):
        raise typer.Exit(ExitCode.NOT_ALL_IMPORTED)


def _rows(
    file: Path, columns: Sequence[str], check: Callable[[Sequence[Row]], None] = lambda _: None
) -> list[Row]:
    try:
        rows = read_rows(_content(file, "FILE"), columns)
        check(rows)
    except FileError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from None
    return rows


def _map(file: Path) -> dict[str, str]:
    try:
        return read_map(_content(file, "--user-map"))
    except FileError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--user-map") from None


def _content(file: Path, param_hint: str) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint=param_hint) from None

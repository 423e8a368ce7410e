"""Rows of a table that was put together for the import; docs/guides/import.md has its columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.cli.import_candidates import Candidate, expired
from keywright.cli.import_rows import CellError, FileError, Row
from keywright.sdk import HashForm, ImportedTokenFormat, ImportItem, TokenLookup

COLUMNS = ("hash",)
_KNOWN = (
    *("hash", "hash_form", "token_prefix", "key_id", "display_name", "user", "role", "scopes"),
    *("resource", "environment", "expire_time", "create_time"),
)
_FORMS = ", ".join(each.lower() for each in HashForm)


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads a row.

    Attributes:
        now: what has expired by then is left out.
        pattern: of the tokens.
        lookup: how the record of one is found.
        hash_offset: how many characters of its beginning were not hashed.
        hash_form: of hashes whose row does not say.
        user_column: which one says whose the key is.
    """

    now: datetime
    pattern: str
    lookup: TokenLookup
    hash_offset: int = 0
    hash_form: HashForm | None = None
    user_column: str | None = None

    def check(self, rows: Sequence[Row]) -> None:
        """Refuse columns that are not known: a misspelt expire_time would be a key for ever.

        Raises:
            FileError: a row has one.
        """
        known = {*_KNOWN, self.user_column}
        for row in rows:
            for column in row.cells.keys() - known:
                raise FileError(
                    f"{row.where}: {column} is not a known column: they are {', '.join(_KNOWN)}"
                )

    def __call__(self, row: Row) -> Candidate:
        """The key of a row."""
        by_prefix = self.lookup is TokenLookup.PREFIX
        prefix = row.text("token_prefix") if by_prefix else ""
        expire_time = row.moment("expire_time")
        return Candidate(
            display_name=row.optional_text("display_name"),
            owners=(row.owner(self.user_column or "user"),),
            token_format=ImportedTokenFormat(
                self.pattern, self.lookup, len(prefix), self.hash_offset
            ),
            item=ImportItem(
                row.text("hash"),
                self._form(row),
                prefix,
                row.optional_text("key_id"),
                original_create_time=row.moment("create_time"),
                key={
                    "display_name": row.optional_text("display_name"),
                    "role": row.optional_text("role") or None,
                    "scopes": row.optional_text("scopes").split(),
                    "resource": row.optional_text("resource"),
                    "environment": row.optional_text("environment"),
                    "expire_time": expire_time,
                },
            ),
            left_out=expired(expire_time, self.now),
        )

    def _form(self, row: Row) -> HashForm:
        text = row.optional_text("hash_form")
        if not text and self.hash_form is not None:
            return self.hash_form
        try:
            return HashForm(text.upper())
        except ValueError:
            raise CellError(f"hash_form must be one of {_FORMS}") from None

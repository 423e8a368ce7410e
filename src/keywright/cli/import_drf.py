"""Rows of djangorestframework-api-key; tests/fixtures/imports/README.md says what they are."""

from dataclasses import dataclass
from datetime import datetime

from keywright.cli.import_candidates import Candidate, expired
from keywright.cli.import_rows import Row
from keywright.sdk import HashForm, ImportedTokenFormat, ImportItem, TokenLookup

COLUMNS = ("prefix", "hashed_key")


@dataclass(frozen=True, slots=True)
class DrfReader:
    """Reads a row of `APIKey`, or of a model that inherits `AbstractAPIKey`.

    Attributes:
        now: what has expired by then is left out.
        pattern: of the tokens, if the project has a key generator of its own.
        user_column: a column of such a model that says whose the key is.
    """

    now: datetime
    pattern: str | None = None
    user_column: str | None = None

    def __call__(self, row: Row) -> Candidate:
        """The key of a row."""
        prefix, name = row.text("prefix"), row.optional_text("name")
        expire_time = row.moment("expiry_date")
        revoked = row.flag("revoked", otherwise=False)
        return Candidate(
            display_name=name,
            owners=(row.owner(self.user_column),) if self.user_column else (prefix, name),
            token_format=ImportedTokenFormat(
                self.pattern or rf"[A-Za-z0-9]{{{len(prefix)}}}\.[A-Za-z0-9]{{32}}",
                TokenLookup.PREFIX,
                prefix_length=len(prefix),
            ),
            item=ImportItem(
                row.text("hashed_key"),
                HashForm.DJANGO,
                prefix,
                original_create_time=row.moment("created"),
                key={"display_name": name, "expire_time": expire_time},
            ),
            left_out="revoked" if revoked else expired(expire_time, self.now),
        )

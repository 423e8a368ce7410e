"""Rows of better-auth's `apikey`; tests/fixtures/imports/README.md says what they are."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime

from keywright.cli.import_candidates import Candidate, expired
from keywright.cli.import_rows import CellError, Row
from keywright.sdk import HashForm, ImportedTokenFormat, ImportItem, TokenLookup

COLUMNS = ("key",)
_OWNERS = ("referenceId", "userId")
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class BetterAuthReader:
    """Reads a row; its columns may also be written as `expires_at`, as ORMs do.

    Attributes:
        now: what has expired by then is left out.
        pattern: of all tokens, if they are not a prefix and 64 letters.
        user_column: which one says whose the key is, if it is neither referenceId nor userId.
    """

    now: datetime
    pattern: str | None = None
    user_column: str | None = None

    def __call__(self, row: Row) -> Candidate:
        """The key of a row."""
        owner = row.owner(self.user_column or next(filter(row.cells.get, _OWNERS), _OWNERS[0]))
        cells = {each.replace("_", "").lower(): cell for each, cell in row.cells.items()}
        row = Row(row.where, cells)
        name, expire_time = row.optional_text("name"), row.moment("expiresat")
        stored, form = _hash(row)
        pattern = self.pattern or re.escape(row.optional_text("prefix")) + "[A-Za-z]{64}"
        return Candidate(
            display_name=name,
            owners=(owner,),
            token_format=ImportedTokenFormat(pattern, TokenLookup.DIGEST),
            item=ImportItem(
                stored,
                form,
                original_create_time=row.moment("createdat"),
                key={
                    "display_name": name,
                    "scopes": _scopes(row),
                    "expire_time": expire_time,
                },
            ),
            left_out=_left_out(row) or expired(expire_time, self.now),
        )


def _hash(row: Row) -> tuple[str, HashForm]:
    """The stored hash; where the token itself was stored, its hash, so that it is not sent."""
    stored, start = row.text("key"), row.optional_text("start")
    if start and stored.startswith(start):
        return hashlib.sha256(stored.encode()).hexdigest(), HashForm.SHA256_HEX
    if _DIGEST.fullmatch(stored):
        return stored, HashForm.SHA256_BASE64
    raise CellError("key is neither a SHA-256 in base64url nor a token that begins with start")


def _scopes(row: Row) -> list[str]:
    """`datasets.read` for `{"datasets": ["read"]}`; nothing if the key has no permissions."""
    value = row.cells.get("permissions")
    try:
        permissions = (json.loads(value) if isinstance(value, str) else value) or {}
        return [f"{each}.{action}" for each, actions in permissions.items() for action in actions]
    except (ValueError, TypeError, AttributeError):
        raise CellError('permissions must be as {"datasets": ["read"]}') from None


def _left_out(row: Row) -> str:
    if not row.flag("enabled", otherwise=True):
        return "disabled"
    if row.cells.get("remaining") is not None:
        return "limited to a number of uses, which keys are not here"
    return ""

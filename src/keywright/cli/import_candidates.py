"""What a row of another product becomes, and what is the same for all products."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.cli.import_rows import Row
from keywright.sdk import ImportedTokenFormat, ImportItem


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key as its row has it.

    Attributes:
        display_name: what people call it.
        owners: what its owner may be called in a user map, the surest first.
        token_format: what its token looks like.
        item: what would be sent, but for what the command line says of all keys.
        left_out: why it does not stand in the other product either; empty if it does.
    """

    display_name: str
    owners: Sequence[str]
    token_format: ImportedTokenFormat
    item: ImportItem
    left_out: str = ""


Reader = Callable[[Row], Candidate]
"""Raises `CellError` for a row that it cannot read."""


def expired(expire_time: datetime | None, now: datetime) -> str:
    """Why a key is left out that has expired; empty if it has not."""
    if expire_time is None or expire_time > now:
        return ""
    return f"expired {expire_time:%Y-%m-%d}"

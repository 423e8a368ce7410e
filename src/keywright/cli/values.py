"""What people type as values: `2w`, `2026-12-31T00:00:00Z`, `team=data`, `active`."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import typer

Choice = TypeVar("Choice", bound=StrEnum)

_TTL = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII
)


def ttl(text: str) -> timedelta:
    """A lifetime: a whole number and one of s, m, h, d, w."""
    match = _TTL.fullmatch(text)
    try:
        if match:
            return int(match["count"]) * _UNITS[match["unit"]]
    except OverflowError:
        pass
    raise typer.BadParameter(
        "is written as a whole number and one of s, m, h, d, w: 30s, 15m, 12h, 7d, 2w",
        param_hint="--ttl",
    )


def moment(text: str) -> datetime:
    """A moment as RFC 3339 has it, with its offset."""
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        "is written with its offset from UTC, as 2026-12-31T00:00:00Z or 2026-12-31T01:00:00+01:00",
        param_hint="--expires",
    )


def labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels, from `key=value` each."""
    pairs = [text.partition("=") for text in texts]
    if not all(key and separator for key, separator, _ in pairs):
        raise typer.BadParameter("is written key=value", param_hint="--label")
    return {key: value for key, _, value in pairs}


def choice(kind: type[Choice], text: str, param_hint: str) -> Choice:
    """A member of an enum, whatever its case."""
    known = choices(kind)
    if text.lower() not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}", param_hint=param_hint)
    return kind(text.upper())


def choices(kind: type[StrEnum]) -> list[str]:
    """What may be typed for an enum."""
    return [member.lower() for member in kind if member != "UNKNOWN"]

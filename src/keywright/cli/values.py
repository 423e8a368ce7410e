"""What people type as values: `2w`, `2026-12-31T00:00:00Z`, `team=data`, `100/1m`, `active`.

Where an option may be left out, its value is None and stays so.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import typer

from keywright.sdk import RateLimit

Choice = TypeVar("Choice", bound=StrEnum)

_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION_FORMS = "a whole number and one of s, m, h, d, w: 30s, 15m, 12h, 7d, 2w"
# google.protobuf.Duration holds about 10,000 years.
_LONGEST = timedelta(seconds=315_576_000_000)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII
)
_MOMENT_FORMS = "with its offset from UTC, as 2026-12-31T00:00:00Z or 2026-12-31T01:00:00+01:00"
_RATE = re.compile(r"(?P<requests>[0-9]{1,10})/(?P<period>[0-9]+[smhd])")
MOMENT_HELP = "2026-12-31T00:00:00Z or how long ago: 30m, 12h, 7d."
INT32_MAX = 2**31 - 1


def duration(text: str | None, param_hint: str) -> timedelta | None:
    """A length of time: a whole number and one of s, m, h, d, w."""
    if text is None:
        return None
    length = _length(text)
    if length is None:
        raise typer.BadParameter(f"is written as {_DURATION_FORMS}", param_hint=param_hint)
    return length


def moment(text: str | None, param_hint: str) -> datetime | None:
    """A moment as RFC 3339 has it, with its offset."""
    if text is None:
        return None
    when = _moment(text)
    if when is None:
        raise typer.BadParameter(f"is written {_MOMENT_FORMS}", param_hint=param_hint)
    return when


def ago(text: str | None, now: datetime, param_hint: str) -> datetime | None:
    """A moment as RFC 3339 has it, or how long ago it was."""
    return _near(text, now, -1, param_hint)


def ahead(text: str | None, now: datetime, param_hint: str) -> datetime | None:
    """A moment as RFC 3339 has it, or in how long it will be."""
    return _near(text, now, 1, param_hint)


def rate_limit(text: str | None) -> RateLimit | None:
    """So many requests in each period: `100/1m`."""
    if text is None:
        return None
    match = _RATE.fullmatch(text)
    period = match and _length(match["period"])
    if not match or not period or int(match["requests"]) > INT32_MAX:
        raise typer.BadParameter(
            "is written as requests/period: 10/1s, 100/1m, 5000/1d", param_hint="--rate-limit"
        )
    return RateLimit(int(match["requests"]), period)


def labels(texts: Iterable[str] | None) -> dict[str, str]:
    """Labels, from `key=value` each."""
    pairs = [text.partition("=") for text in texts or ()]
    if not all(key and separator for key, separator, _ in pairs):
        raise typer.BadParameter("is written key=value", param_hint="--label")
    return {key: value for key, _, value in pairs}


def descriptions(texts: Iterable[str] | None) -> dict[str, str]:
    """Permissions with what they permit, from `permission=description` or `permission` each."""
    pairs = [text.partition("=") for text in texts or ()]
    return {permission: description for permission, _, description in pairs}


def choice(kind: type[Choice], text: str, param_hint: str) -> Choice:
    """A member of an enum, whatever its case."""
    known = choices(kind)
    if text.lower() not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}", param_hint=param_hint)
    return kind(text.upper())


def choices(kind: type[StrEnum]) -> list[str]:
    """What may be typed for an enum."""
    return [member.lower() for member in kind if member != "UNKNOWN"]


def not_empty(text: str | None, param_hint: str) -> str | None:
    """What was given; never the nothing that an empty shell variable makes of it."""
    if text == "":  # it would be a key that is bound to nothing, or a filter that matches all
        raise typer.BadParameter("is empty", param_hint=param_hint)
    return text


def only_one(given: Mapping[str, object]) -> None:
    """Refuse options of which one makes the other meaningless, by their names."""
    if sum(bool(value) or value == "" for value in given.values()) > 1:
        raise typer.BadParameter("give only one of these", param_hint=", ".join(given))


def as_typed(length: timedelta) -> str:
    """A length of time as it may be typed, where one unit suffices: `12w`, `90s`, else `1d 12h`."""
    if length and not length % _UNITS["w"]:
        return f"{length // _UNITS['w']}w"
    parts = []
    for unit in "dhms":
        count, length = divmod(length, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def _near(text: str | None, now: datetime, sign: int, param_hint: str) -> datetime | None:
    if text is None:
        return None
    length = _length(text)
    try:
        when = _moment(text) if length is None else now + sign * length
    except OverflowError:  # before the year 1 or after 9999
        when = None
    if when is None:
        raise typer.BadParameter(
            f"is written as {_DURATION_FORMS}; or {_MOMENT_FORMS}", param_hint=param_hint
        )
    return when


def _length(text: str) -> timedelta | None:
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        length = int(match["count"]) * _UNITS[match["unit"]]
    except OverflowError:
        return None
    return length if length <= _LONGEST else None


def _moment(text: str) -> datetime | None:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None

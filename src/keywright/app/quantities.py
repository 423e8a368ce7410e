"""Durations and sizes as an operator writes them: `500ms`, `30s`, `1h`, `90d`; `16KiB`, `4MiB`.

One unit, no fractions, no spaces.
"""

import re
from datetime import timedelta

_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_DURATION_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_SIZE = re.compile(r"(?P<count>[0-9]{1,12})(?P<unit>GiB|MiB|KiB|)")
_SIZE_UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "": 1}


def parse_duration(text: str) -> timedelta:
    """The duration that `30s` says.

    Raises:
        ValueError: it is not written so. The message does not contain the text.
    """
    if (match := _DURATION.fullmatch(text)) is None:
        raise ValueError("is written as a whole number and one of ms, s, m, h, d")
    return int(match["count"]) * _DURATION_UNITS[match["unit"]]


def parse_size(text: str) -> int:
    """The number of bytes that `4MiB`, or a plain number of bytes, says.

    Raises:
        ValueError: it is not written so. The message does not contain the text.
    """
    if (match := _SIZE.fullmatch(text)) is None:
        raise ValueError("is written as a whole number of bytes, or of KiB, MiB or GiB")
    return int(match["count"]) * _SIZE_UNITS[match["unit"]]


def format_size(size: int) -> str:
    """`size` in bytes, in the largest unit that has no fraction."""
    unit = next(unit for unit, length in _SIZE_UNITS.items() if not size % length)
    return f"{size // _SIZE_UNITS[unit]}{unit}"

"""Validators for the types of settings: each reads what an operator writes and says what is right.

Their messages follow a setting's name ("KEYWRIGHT_LISTEN must be ...") and never contain the value.
A value that already has the right type, as in a default or a test, is held to the same bounds.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BeforeValidator, PlainValidator

from keywright.app.quantities import format_size, parse_duration, parse_size
from keywright.domain.secret import Secret

_Quantity = TypeVar("_Quantity", int, timedelta)

# The whole URL is matched, because urllib's and asyncpg's errors print the parts that they find,
# and after a mistake in the password's spelling those are parts of the password.
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[\w.%-]+)(?::[0-9]{1,5})?"
_PARAMETER = r"[\w.]+=[^&#\s]+"
_DATABASE_URL = re.compile(
    r"postgres(?:ql)?://"
    r"(?:[^@/?#\s]*@)?"
    rf"(?:{_HOST}(?:,{_HOST})*)?"
    r"(?:/[^@/?#\s]*)?"
    rf"(?:\?{_PARAMETER}(?:&{_PARAMETER})*)?"
)

OFF_WHEN_EMPTY = BeforeValidator(lambda value: None if value == "" else value)
"""Empty text means None: how an environment variable says that there is none."""


def text(parse: Callable[[str], object], kind: type[Any] | tuple[type[Any], ...]) -> PlainValidator:
    """Text that `parse` understands, or what it gives, which is of a `kind`."""

    def validate(value: object) -> object:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError("must be text")  # noqa: TRY004  pydantic collects ValueErrors only
        return parse(value)

    return PlainValidator(validate)


def whole(least: int, most: int) -> PlainValidator:
    """A whole number within bounds, which are included."""
    return _between(least, most, _parse_whole, f"must be a whole number from {least} to {most}")


def duration(least: str, most: str) -> PlainValidator:
    """A duration within bounds, which are included."""
    rule = f"must be a duration from {least} to {most}, written as in 500ms, 30s, 5m, 1h or 90d"
    return _between(parse_duration(least), parse_duration(most), parse_duration, rule)


def size(least: int, most: int) -> PlainValidator:
    """A number of bytes within bounds, which are included."""
    bounds = f"from {format_size(least)} to {format_size(most)}"
    rule = f"must be a size {bounds}, written as in 65536, 64KiB or 4MiB"
    return _between(least, most, parse_size, rule)


def parse_database_url(url: str) -> Secret[str]:
    """A PostgreSQL URL (libpq, section 34.1.1.2), which may carry a password.

    Raises:
        ValueError: it is none.
    """
    if not _DATABASE_URL.fullmatch(url):
        raise ValueError(
            "must be a URL such as postgresql://user:password@host:5432/database, or with"
            " ?host=/run/postgresql for a UNIX socket; in a password, write @ : / ? # and % as"
            " %40 %3A %2F %3F %23 and %25"
        )
    return Secret(url)


def _between(
    least: _Quantity, most: _Quantity, parse: Callable[[str], _Quantity], rule: str
) -> PlainValidator:
    def validate(value: object) -> object:
        try:
            quantity = parse(value) if isinstance(value, str) else value
        except (ValueError, OverflowError):
            raise ValueError(rule) from None
        # Not isinstance: True is an int, and `database_pool_size = true` is a mistake.
        if type(quantity) is not type(least) or not least <= quantity <= most:
            raise ValueError(rule)
        return quantity

    return PlainValidator(validate)


def _parse_whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()):  # int() would take "1_0", " 1" and "+1" too
        raise ValueError("not a whole number")
    return int(digits)

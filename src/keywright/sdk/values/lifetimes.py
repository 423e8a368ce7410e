"""How long a key is to live, in the units that people count in."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from keywright.sdk.connection.argument_types import other


class TimeUnit(Enum):
    """A unit of `validity`. There is no month or year, which are not always as long."""

    SECOND = timedelta(seconds=1)
    MINUTE = timedelta(minutes=1)
    HOUR = timedelta(hours=1)
    DAY = timedelta(days=1)
    WEEK = timedelta(weeks=1)


def seconds_of(length: timedelta) -> float:
    """The same in seconds.

    Raises:
        TypeError: it is no `timedelta`: a number has no unit.
    """
    if not isinstance(length, timedelta):
        raise TypeError(f"a length of time is a timedelta, and not {type(length).__name__}")
    return length.total_seconds()


def check_timeout(timeout: timedelta) -> None:
    """Do nothing if something could be done in that time.

    Raises:
        TypeError: it is no `timedelta`.
        ValueError: it is none at all.
    """
    if seconds_of(timeout) <= 0:
        raise ValueError("a timeout is longer than nothing")


_LIFETIMES = ("ttl", "validity", "expire_time", "never_expires")


def with_ttl(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A key's attributes with `ttl` in place of `validity` and `unit`.

    Raises:
        ValueError: more than one lifetime is given, one of validity and unit is missing, or no time
            is so long.
        TypeError: validity is no number, or unit none.
    """
    attributes = dict(attributes)
    given = [name for name in _LIFETIMES if _is_given(attributes.get(name))]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are given: a key has one lifetime")
    validity, unit = attributes.pop("validity", None), attributes.pop("unit", None)
    if (validity is None) != (unit is None):
        raise ValueError("validity and unit are given together: validity=2, unit=TimeUnit.WEEK")
    if unit is not None:
        if not isinstance(unit, TimeUnit):
            raise other("unit", "a TimeUnit such as TimeUnit.WEEK", unit)
        if not isinstance(validity, int | float):
            raise other("validity", "a number", validity)
        try:
            attributes["ttl"] = validity * unit.value
        except (OverflowError, ValueError):  # or it is infinite, or nan
            raise ValueError(
                f"no time is as long as a validity of {validity} {unit.name}"
            ) from None
    return attributes


def _is_given(value: object) -> bool:
    return value is not None and value is not False  # a length of 0 is given, and refused

"""Names of things, as people read them."""

from enum import StrEnum

from keywright.sdk import FieldChange

_NOTHING = frozenset({"", "null", "[]", "{}", '""'})


def last_part(name: str) -> str:
    """The id in a resource name."""
    return name.rpartition("/")[2]


def spelled(member: StrEnum | str) -> str:
    """`OPENID_CONNECT` as `Openid connect`: what an enumeration says, for people."""
    return str(member).replace("_", " ").capitalize()


def is_telling(change: FieldChange) -> bool:
    """Whether there was something before, or is now: a new key has many fields without a value."""
    return not {change.before, change.after} <= _NOTHING

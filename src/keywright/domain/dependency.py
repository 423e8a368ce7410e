"""What a decision rests on, as one number: a row of authority, whatever table it is in."""

from enum import StrEnum


class ChangeKind(StrEnum):
    """Which table a row is in whose change is one of authority. A grant is its user's."""

    WORKSPACE = "workspace"
    ROLE = "role"
    USER = "user"
    KEY = "key"
    SESSION = "session"


_NUMBERS = {kind: number for number, kind in enumerate(ChangeKind)}
_KIND_BITS = 2


def dependency(kind: ChangeKind, internal_id: int) -> int:
    """The number of a row; a signed integer of 64 bits.

    A session's is below zero: all that the bits can tell is given, and what clients hold of the
    others has to mean the same on servers of another version.
    """
    if kind is ChangeKind.SESSION:
        return ~(internal_id << _KIND_BITS)
    return internal_id << _KIND_BITS | _NUMBERS[kind]


def internal_id(dependent_on: int) -> int:
    """The id of the row, in its table."""
    return (dependent_on if dependent_on >= 0 else ~dependent_on) >> _KIND_BITS

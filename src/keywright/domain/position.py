"""Positions in the history of authority."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Position:
    """A point in the history: a revision alone can be used twice, if a failover loses the tail."""

    revision: int
    tag: UUID

    def has_reached(self, other: "Position") -> bool:
        """Whether `other` is this point or, as far as can be told from here, lies before it."""
        return self.revision > other.revision or self == other


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the history: the position it led to, and the dependencies that it changed."""

    position: Position
    changed: Sequence[int]

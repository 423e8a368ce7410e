"""Positions in the history of authority."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Position:
    """A point in the history: a revision alone can be used twice, if a failover loses the tail."""

    revision: int
    tag: UUID

"""Charts as geometry; `templates/overview/charts.html` draws them, and tells the same as a table.

All lengths are percentages, so that a chart is as wide as its place, and its strokes stay thin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_GAP = 0.24
"""The part of a column's place that is left free."""
_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
STYLES = 6
"""So many fills can be told apart, each by colour and by pattern."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is counted, moment by moment.

    Attributes:
        style: which of the fills, from 0.
    """

    label: str
    style: int
    counts: Sequence[int]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Segment:
    """A rectangle; `y` is from the top."""

    style: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A moment's counts, one upon the other.

    Attributes:
        counts: of each series, in their order.
    """

    moment: datetime
    counts: Sequence[int]
    x: float
    width: float
    segments: Sequence[Segment]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart of stacked columns over time; `top` is what its height stands for."""

    series: Sequence[Series]
    top: int
    columns: Sequence[Column]


def columns(moments: Sequence[datetime], series: Sequence[Series]) -> Columns:
    """A chart of series, whose counts are those of the moments."""
    counts = [tuple(each.counts[number] for each in series) for number in range(len(moments))]
    top = round_top(max(map(sum, counts), default=0))
    place = 100 / max(1, len(moments))
    return Columns(
        series,
        top,
        [
            Column(
                moment,
                of_moment,
                x=place * (number + _GAP / 2),
                width=place * (1 - _GAP),
                segments=_stacked(series, of_moment, top),
            )
            for number, (moment, of_moment) in enumerate(zip(moments, counts, strict=True))
        ],
    )


def _stacked(series: Sequence[Series], counts: Sequence[int], top: int) -> Sequence[Segment]:
    found, reached = [], 0
    for each, count in zip(series, counts, strict=True):
        reached += count
        if count:
            found.append(Segment(each.style, 100 * (1 - reached / top), 100 * count / top))
    return found


def round_top(count: int) -> int:
    """The next round number: one of the steps and noughts; at least 1."""
    power = int("1" + "0" * (len(str(count)) - 1))
    return next(power * step for step in _STEPS if count <= power * step)

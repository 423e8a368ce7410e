"""What a benchmark shows, in the order in which it does."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `note` is Markdown, cells are text."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Remark:
    """A paragraph of Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each label, in groups.

    Attributes:
        name: of the file, `warm-rate`; one in all benchmarks.
        unit: of the values.
        groups: values by label, by group; one group without a name is drawn as plain bars.
    """

    name: str
    title: str
    unit: str
    groups: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Lines:
    """A line for each series.

    Attributes:
        name: of the file; one in all benchmarks.
        x, y: what the axes are, with their units.
        series: y by x, by what the line is called.
    """

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Mapping[float, float]]


Plot: TypeAlias = Bars | Lines
Item: TypeAlias = Table | Remark | Plot

_items: ContextVar[list[Item] | None] = ContextVar("_items", default=None)


def add(item: Item) -> None:
    """Have an item among what is shown; outside of `collecting` it is forgotten."""
    items = _items.get()
    if items is not None:
        items.append(item)


@contextmanager
def collecting() -> Iterator[Sequence[Item]]:
    """What is shown in the block."""
    items: list[Item] = []
    before = _items.set(items)
    try:
        yield items
    finally:
        _items.reset(before)

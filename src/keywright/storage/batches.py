"""What is written behind the answers goes in batches, each a short transaction of its own."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

BATCH_COUNT = 1000
BATCH_PATIENCE = timedelta(seconds=5)
"""How long one may take."""


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, as they are now, in lists of at most `BATCH_COUNT`."""
    left = iter(list(items))
    while batch := list(islice(left, BATCH_COUNT)):
        yield batch

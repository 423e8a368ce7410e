"""What was once made of an object, kept while the same object comes again."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Source = TypeVar("Source")
Made = TypeVar("Made")


class ByIdentity(Generic[Source, Made]):
    """Results of `make`, by the very object that they were made of; the longest unused go first.

    For frozen objects that cannot be hashed. They are held, so that no other takes their identity.
    """

    def __init__(self, make: Callable[[Source], Made], max_count: int = 10_000) -> None:
        self._make = make
        self._max_count = max_count
        self._kept: OrderedDict[int, tuple[Source, Made]] = OrderedDict()

    def __call__(self, source: Source) -> Made:
        """What `make` makes of it."""
        identity = id(source)
        kept = self._kept.get(identity)
        if kept is not None:
            self._kept.move_to_end(identity)
            return kept[1]
        made = self._make(source)
        self._kept[identity] = (source, made)
        if len(self._kept) > self._max_count:
            self._kept.popitem(last=False)
        return made

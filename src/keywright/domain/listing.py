"""Lists that come in pages: an item, and where the list goes on after it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Listed(Generic[Item]):
    """An item of a list. `cursor` is where it stands: the next page begins after it."""

    item: Item
    cursor: str

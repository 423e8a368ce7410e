"""Long loops that hold up nobody."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")

EVERY_COUNT = 50
"""Items, of tens of microseconds each."""


async def with_pauses(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """The items, and whatever else the event loop has to do in between."""
    for place, item in enumerate(items, start=1):
        yield item
        if place % EVERY_COUNT == 0:
            await asyncio.sleep(0)

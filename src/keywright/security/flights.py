"""Computations under way: each once for all who ask for it, and of one source one at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from keywright.security.hash_pool import HashPoolFullError

WAITING_MAX_COUNT = 128
"""Computations of a source, the one that runs among them; each holds less than 4 KiB."""


@dataclass(frozen=True, slots=True)
class _Queue:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    flights: "dict[bytes, asyncio.Task[bool]]" = field(default_factory=dict)


class Flights:
    """What is computed, or waits for its turn, by source.

    A source that waits for itself has one place among the others, however much it asks for.
    """

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    async def join(self, source: str, mark: bytes, compute: Callable[[], Awaitable[bool]]) -> bool:
        """What `compute` says, or did for whoever of the same source asked with the same mark.

        Raises:
            HashPoolFullError: too many of this source wait; nothing was computed.
        """
        queue = self._queues.setdefault(source, _Queue())
        flight = queue.flights.get(mark)
        if flight is None:
            if len(queue.flights) >= WAITING_MAX_COUNT:
                raise HashPoolFullError(f"{WAITING_MAX_COUNT} hashes of one source wait")
            flight = asyncio.create_task(_in_turn(queue, compute))
            queue.flights[mark] = flight
            flight.add_done_callback(lambda ended: self._ended(source, mark, ended))
        # Who joins is not ended with who began, nor the other way round; what is right once it is
        # computed is known to whoever asks again.
        return await asyncio.shield(flight)

    def __len__(self) -> int:
        return sum(len(queue.flights) for queue in self._queues.values())

    def _ended(self, source: str, mark: bytes, flight: "asyncio.Task[bool]") -> None:
        queue = self._queues[source]
        del queue.flights[mark]
        if not queue.flights:
            del self._queues[source]
        if not flight.cancelled():
            flight.exception()  # looked at, in case everybody who waited has gone


async def _in_turn(queue: _Queue, compute: Callable[[], Awaitable[bool]]) -> bool:
    async with queue.turn:
        return await compute()

"""What imported tokens look like: held in memory, so that garbage is told without the database."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keywright.domain.imported import TokenShape
from keywright.storage.database import Database

KNOWN_SECONDS = 1.0
"""How long it may take until a server knows what was registered at another one."""


@dataclass(slots=True)
class TokenShapes:
    """The registered shapes, read anew once a second at most, and only when somebody asks.

    `now` are seconds of a clock that never goes back. There are at most `SHAPES_MAX_COUNT`.
    """

    database: Database
    now: Callable[[], float]
    _known: Sequence[TokenShape] = ()
    _known_since: float = float("-inf")
    _reading: "asyncio.Task[Sequence[TokenShape]] | None" = None

    async def matching(self, text: str) -> Sequence[TokenShape]:
        """The shapes that `text` has.

        Raises:
            Unavailable: the database cannot be reached, and nobody knows.
        """
        known = self._known
        if self.now() - self._known_since >= KNOWN_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
                self._reading.add_done_callback(_retrieved)
            # Who joins is not ended with who began, nor the other way round.
            known = await asyncio.shield(self._reading)
        return [shape for shape in known if shape.pattern.matches(text)]

    def none_matches(self, text: str) -> bool:
        """Whether it is certain, from memory, that `text` has none of the shapes."""
        return self.now() - self._known_since < KNOWN_SECONDS and not any(
            shape.pattern.matches(text) for shape in self._known
        )

    def forget(self) -> None:
        """Read them anew at the next question, also if they are being read just now."""
        self._known_since = float("-inf")
        self._reading = None

    def __len__(self) -> int:
        return len(self._known)

    async def _read(self) -> Sequence[TokenShape]:
        begun, task = self.now(), asyncio.current_task()
        try:
            async with self.database.reading() as reads:
                shapes = await reads.token_formats.shapes()
            if self._reading is task:
                self._known, self._known_since = shapes, begun
            return shapes
        finally:
            if self._reading is task:
                self._reading = None


def _retrieved(reading: "asyncio.Task[Sequence[TokenShape]]") -> None:
    """Look at how it ended, in case everybody who waited has gone."""
    if not reading.cancelled():
        reading.exception()

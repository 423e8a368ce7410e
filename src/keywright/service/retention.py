"""What is kept for a while only, and forgotten in the background, in batches."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from keywright.storage.batches import BATCH_PATIENCE
from keywright.storage.database import Database, Writes

_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Forgets the usage of hours that are older than `usage`, notices, ids of requests, changes.

    Each but usage has its own time: a minute, 24 hours, and an hour; sessions a month after their
    end, sign-in links a day.
    """

    database: Database
    usage: timedelta

    async def forget(self) -> None:
        """Forget all that is too old.

        Raises:
            ServiceError: the database cannot be reached.
        """
        await self._all(lambda writes: writes.usage.prune(self.usage, _ROWS))
        await self._all(lambda writes: writes.notices.prune(_ROWS))
        await self._all(lambda writes: writes.requests.prune(_ROWS))
        await self._all(lambda writes: writes.authority.prune(_ROWS))
        await self._all(lambda writes: writes.sessions.prune(_ROWS))
        await self._all(lambda writes: writes.sessions.prune_links(_ROWS))

    async def _all(self, prune: Callable[[Writes], Awaitable[int]]) -> None:
        while await self.database.writing(prune, within=BATCH_PATIENCE) == _ROWS:
            pass

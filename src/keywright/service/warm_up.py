"""After a start: what will be asked for first is looked up before it is asked for.

The keys that were used most of late, by the usage table. Their tokens still have to be proven,
since nothing of a token is stored; but without the database, in the second in which all clients
come back. In the background, and bounded: in number, so in memory, and in time.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from keywright.service.proving import Proving
from keywright.storage.database import Database

KEYS_MAX_COUNT = 10_000
"""Each holds about 3 KiB, until it is asked for, or for `KEPT`."""
KEPT = timedelta(minutes=1)

_AT_A_TIME = 128
"""As many as a query of look-ups has: others do not wait longer for these than for one another."""


@dataclass(slots=True)
class WarmUp:
    """Done once a process."""

    database: Database
    proving: Proving
    keys: int = 0

    async def run(self) -> None:
        """Look them up, and forget after a while those that nobody asked for.

        Raises:
            ServiceError: the database cannot be reached; nothing is lost.
        """
        expected = self.proving.expected
        try:
            async with self.database.reading() as reads:
                prefixes = await reads.usage.hottest(KEYS_MAX_COUNT)
            for start in range(0, len(prefixes), _AT_A_TIME):
                some = prefixes[start : start + _AT_A_TIME]
                async with self.database.reading() as reads:
                    seen = await reads.credentials.look_up(some)
                expected.update((prefix, (found, seen)) for prefix, found in seen.found.items())
                self.keys += len(seen.found)
            await asyncio.sleep(KEPT.total_seconds())
        finally:
            expected.clear()

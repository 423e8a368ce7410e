"""How much keys are used, and when last: counted here, written in batches off the answer's path.

At most what was counted since the last writing is lost when a process ends without warning. What
cannot be written is kept. Whether a COMMIT was done whose answer is lost, nobody knows: such a
batch is written again, and may be counted twice.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from keywright.domain.decision import Credential, Principal
from keywright.domain.errors import Reason
from keywright.domain.keys import Address
from keywright.domain.usage import ALLOWED
from keywright.storage.batches import BATCH_PATIENCE, batches
from keywright.storage.database import Database, Writes
from keywright.storage.last_use import Use
from keywright.storage.usage import Counted

# Only keys whose secret was proven are counted, so nobody can fill this with inventions.
_MAX_COUNT = 100_000
_EARLY_COUNT = _MAX_COUNT // 2
_HOUR_SECONDS = 3600


@dataclass(slots=True)
class UsageCounters:
    """What was counted since the last writing, and the last use of each key.

    `max_count` is how many different things are counted at most; what comes on top is `dropped`.
    """

    database: Database
    max_count: int = _MAX_COUNT
    dropped: int = 0
    _counts: dict[Counted, int] = field(default_factory=dict)
    _uses: dict[int, Use] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def allowed(self, principal: Principal, address: Address | None) -> None:
        """Count that a key was used, from `address` if that is known."""
        credential, time = principal.credential, principal.decided_at
        self._count(credential, time, ALLOWED)
        key = credential.key.internal_id
        before = self._uses.get(key)
        if before is None and len(self._uses) >= self.max_count:
            self.dropped += 1
        elif before is None or before.time <= time:  # proofs may overtake one another
            self._uses[key] = Use(key, time, address)

    def denied(self, credential: Credential, reason: Reason, now: datetime) -> None:
        """Count that a key was denied to somebody who has its secret."""
        self._count(credential, now, reason.value)

    async def write(self) -> None:
        """Write what was counted.

        The last use of a key that somebody is changing at this moment waits for the next time.

        Raises:
            ServiceError: the database cannot be reached.
        """
        async with self._writing:
            for batch in batches(self._counts.items()):
                counts = dict(batch)
                await self.database.writing(partial(_add, counts), within=BATCH_PATIENCE)
                self._take_away(counts)
            for uses in batches(self._uses.values()):
                kept = await self.database.writing(partial(_write, uses), within=BATCH_PATIENCE)
                self._forget(use for use in uses if use.key not in kept)

    async def write_early(self) -> None:
        """Write, if so much was counted that it cannot wait for its time."""
        if self.waiting >= min(_EARLY_COUNT, self.max_count // 2):
            await self.write()

    async def finish(self) -> None:
        """Write everything, waiting for whoever is changing a key."""
        await self.write()
        for use in list(self._uses.values()):
            await self.database.writing(partial(_write_one, use), within=BATCH_PATIENCE)
            self._forget([use])

    @property
    def waiting(self) -> int:
        """How many different things wait to be written."""
        return max(len(self._counts), len(self._uses))

    def _count(self, credential: Credential, now: datetime, outcome: str) -> None:
        key, hour = credential.key, int(now.timestamp()) // _HOUR_SECONDS
        counted = Counted(
            key.internal_id, hour, outcome, credential.workspace_internal_id, key.key_id
        )
        count = self._counts.get(counted, 0)
        if not count and len(self._counts) >= self.max_count:
            self.dropped += 1
            return
        self._counts[counted] = count + 1

    def _take_away(self, written: Mapping[Counted, int]) -> None:
        for counted, count in written.items():
            if self._counts[counted] == count:
                del self._counts[counted]
            else:
                self._counts[counted] -= count

    def _forget(self, written: Iterable[Use]) -> None:
        for use in written:
            if self._uses.get(use.key) is use:
                del self._uses[use.key]


async def _add(counts: Mapping[Counted, int], writes: Writes) -> None:
    await writes.usage.add(counts)


async def _write(uses: Sequence[Use], writes: Writes) -> frozenset[int]:
    return await writes.last_use.write(uses)


async def _write_one(use: Use, writes: Writes) -> None:
    await writes.last_use.write_one(use)

"""How much keys are used, and when last, as sessions: counted here, written off the answer's path.

At most what was counted since the last writing is lost when a process ends without warning. What
cannot be written is kept. Whether a COMMIT was done whose answer is lost, nobody knows: such a
batch is written again, and may be counted twice.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from keywright.domain.errors import Reason
from keywright.domain.keys import Address
from keywright.domain.usage import ALLOWED
from keywright.service.known import Ids, Known
from keywright.storage.batches import BATCH_PATIENCE, batches
from keywright.storage.database import Database, Writes
from keywright.storage.last_use import Use
from keywright.storage.usage import Counted

# Only keys whose secret was proven are counted, so nobody can fill this with inventions.
_MAX_COUNT = 100_000
_EARLY_COUNT = _MAX_COUNT // 2
_HOUR_SECONDS = 3600
# Keys that were used and are not collected yet: they stay in memory, whatever the cache forgets.
# As many as a busy server has at a time: who is used again before that costs nothing more.
_COLLECTED_COUNT = 4096


@dataclass(slots=True)
class UsageCounters:
    """What was counted since the last writing, and the last use of each key.

    `max_count` is how many different things are counted at most; what comes on top is `dropped`.
    """

    database: Database
    max_count: int = _MAX_COUNT
    dropped: int = 0
    _used: list[Known] = field(default_factory=list)
    _denied: dict[tuple[Known, Reason], int] = field(default_factory=dict)
    _hour_end: float = 0
    _counts: dict[Counted, int] = field(default_factory=dict)
    _uses: dict[int, Use] = field(default_factory=dict)
    _session_uses: dict[int, Use] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def used(self, known: Known, time: float, address: Address | None) -> None:
        """Count that a key was used, from `address` if that is known.

        At `time`, in seconds since 1970 on the database's clock. On the path of every answer, so it
        is counted where the key is remembered, and collected later.
        """
        if time >= self._hour_end or len(self._used) >= _COLLECTED_COUNT:
            self._collect(time)
        if not known.allowed:
            self._used.append(known)
        known.allowed += 1
        known.last_time, known.last_address = time, address

    def denied(self, known: Known, reason: Reason, time: float) -> None:
        """Count that a key was denied to somebody who has its secret."""
        if time >= self._hour_end or len(self._denied) >= _COLLECTED_COUNT:
            self._collect(time)
        self._denied[known, reason] = self._denied.get((known, reason), 0) + 1

    async def write(self) -> None:
        """Write what was counted.

        The last use of a key that somebody is changing at this moment waits for the next time.

        Raises:
            ServiceError: the database cannot be reached.
        """
        async with self._writing:
            self._collect(self._hour_end - 1)
            for batch in batches(self._counts.items()):
                counts = dict(batch)
                await self.database.writing(partial(_add, counts), within=BATCH_PATIENCE)
                self._take_away(counts)
            for uses in batches(self._uses.values()):
                kept = await self.database.writing(partial(_write, uses), within=BATCH_PATIENCE)
                _forget(self._uses, (use for use in uses if use.key not in kept))
            for uses in batches(self._session_uses.values()):
                await self.database.writing(partial(_write_sessions, uses), within=BATCH_PATIENCE)
                _forget(self._session_uses, uses)

    async def write_early(self) -> None:
        """Write, if so much was counted that it cannot wait for its time."""
        if self.waiting >= min(_EARLY_COUNT, self.max_count // 2):
            await self.write()

    async def finish(self) -> None:
        """Write everything, waiting for whoever is changing a key."""
        await self.write()
        for use in list(self._uses.values()):
            await self.database.writing(partial(_write_one, use), within=BATCH_PATIENCE)
            _forget(self._uses, [use])

    @property
    def waiting(self) -> int:
        """How many different things wait to be written."""
        uses = max(len(self._uses), len(self._session_uses))
        return max(len(self._counts), uses, len(self._used), len(self._denied))

    def _collect(self, time: float) -> None:
        """Count what was used since the last time, in the hour in which it was."""
        denied, self._denied = self._denied, {}
        for (known, reason), count in denied.items():
            self._count(known.ids, self._hour_end - 1, reason.value, count)
        used, self._used = self._used, []
        for known in used:
            ids, (count, last, address) = known.ids, known.collected()
            self._count(ids, last, ALLOWED, count)
            uses = self._session_uses if ids.is_session else self._uses
            if ids.key not in uses and len(uses) >= self.max_count:
                self.dropped += 1
            else:
                uses[ids.key] = Use(ids.key, datetime.fromtimestamp(last, UTC), address)
        self._hour_end = (time // _HOUR_SECONDS + 1) * _HOUR_SECONDS

    def _count(self, ids: Ids, time: float, outcome: str, more: int) -> None:
        if ids.is_session:
            return
        hour = int(time) // _HOUR_SECONDS
        counted = Counted(ids.key, hour, outcome, ids.workspace, ids.key_id)
        count = self._counts.get(counted, 0)
        if not count and len(self._counts) >= self.max_count:
            self.dropped += more
            return
        self._counts[counted] = count + more

    def _take_away(self, written: Mapping[Counted, int]) -> None:
        for counted, count in written.items():
            if self._counts[counted] == count:
                del self._counts[counted]
            else:
                self._counts[counted] -= count


def _forget(uses: dict[int, Use], written: Iterable[Use]) -> None:
    for use in written:
        if uses.get(use.key) is use:
            del uses[use.key]


async def _add(counts: Mapping[Counted, int], writes: Writes) -> None:
    await writes.usage.add(counts)


async def _write(uses: Sequence[Use], writes: Writes) -> frozenset[int]:
    return await writes.last_use.write(uses)


async def _write_sessions(uses: Sequence[Use], writes: Writes) -> None:
    await writes.last_use.write_sessions(uses)


async def _write_one(use: Use, writes: Writes) -> None:
    await writes.last_use.write_one(use)

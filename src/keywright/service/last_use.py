"""When keys were last used: remembered here, and written in batches, off the answer's path.

At most a batch is lost when a process ends without warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice

from keywright.domain.decision import Principal
from keywright.domain.keys import Address
from keywright.storage.database import Database, Writes
from keywright.storage.last_use import Use

# Only keys whose secret was proven are remembered, so nobody can fill this with inventions.
_REMEMBERED_MAX_COUNT = 100_000
_BATCH_COUNT = 1000
_PATIENCE = timedelta(seconds=5)


@dataclass(slots=True)
class LastUse:
    """The last use of each key since the last writing."""

    database: Database
    dropped: int = 0
    _uses: dict[int, Use] = field(default_factory=dict)

    def saw(self, principal: Principal, address: Address | None) -> None:
        """Remember that a key was used, from `address` if that is known."""
        key = principal.credential.key.internal_id
        if key not in self._uses and len(self._uses) >= _REMEMBERED_MAX_COUNT:
            self.dropped += 1
            return
        self._uses[key] = Use(key, principal.decided_at, address)

    async def write(self) -> None:
        """Write what is remembered; what cannot be written is remembered on.

        Raises:
            ServiceError: the database cannot be reached.
        """
        while self._uses:
            batch = list(islice(self._uses.values(), _BATCH_COUNT))
            await self.database.writing(partial(_write, batch), within=_PATIENCE)
            for use in batch:
                if self._uses.get(use.key) is use:
                    del self._uses[use.key]

    @property
    def waiting(self) -> int:
        """How many uses wait to be written."""
        return len(self._uses)


async def _write(batch: Sequence[Use], writes: Writes) -> None:
    await writes.last_use.write(batch)

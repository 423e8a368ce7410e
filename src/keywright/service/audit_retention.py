"""The months of the audit trail: made before they come, and removed when they are too old."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.audit_trail import first_of_month
from keywright.storage.database import Database, Writes

_MONTHS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class AuditRetention:
    """Keeps the trail for so long; without a `retention`, for ever.

    Attributes:
        held: told of a workspace whose old events are not sealed: nobody's are removed then, since
            a month is dropped as a whole.
    """

    database: Database
    retention: timedelta | None
    held: Callable[[str], None]

    async def run(self) -> None:
        """Make the next months, and remove those of which all is too old.

        In the trail of each workspace that loses events an event says so, so that a verification
        tells a removal by age from any other. What is not sealed is not removed.

        Raises:
            ServiceError: the database cannot be reached, or the table is in use; nothing was done.
        """
        await self.database.writing(self._add)
        if self.retention is not None:
            for workspace_id in await self.database.writing(self._remove):
                self.held(workspace_id)

    async def _add(self, writes: Writes) -> None:
        if await writes.audit_partitions.try_lock():
            await writes.audit_partitions.add(_MONTHS_AHEAD)

    async def _remove(self, writes: Writes) -> Sequence[str]:
        """Remove what is too old, unless it is held by the workspaces that are returned."""
        assert self.retention is not None, "asked for only then"  # noqa: S101
        partitions = writes.audit_partitions
        if not await partitions.try_lock():
            return []
        first_kept = first_of_month(await writes.seals.now() - self.retention)
        if not await partitions.any_before(first_kept):
            return []
        unsealed = await partitions.unsealed_before(first_kept)
        if not unsealed:
            await partitions.remove_before(first_kept)
        return unsealed

"""When keys were last used, which is no change of them: neither version nor history moves."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from keywright.domain.keys import Address
from keywright.storage.connection import Connection

# SKIP LOCKED: what somebody is changing at this moment is not worth waiting for in a batch, and who
# waits for several can be waited for.
_WRITE = """
    WITH free AS (
        SELECT id FROM keywright.key WHERE id = ANY($1::bigint[])
        ORDER BY id FOR NO KEY UPDATE {skip}
    ), written AS (
        UPDATE keywright.key k
        SET last_used_time = used.time, last_used_address = used.address
        FROM free,
             unnest($1::bigint[], $2::timestamptz[], $3::inet[]) AS used (id, time, address)
        WHERE k.id = free.id AND used.id = k.id
          AND (k.last_used_time IS NULL OR k.last_used_time < used.time)
    )
    SELECT id FROM keywright.key
    WHERE id = ANY($1::bigint[]) AND id <> ALL (ARRAY(SELECT id FROM free))
"""


# What is skipped was locked by a call that changes something: its session is used again soon, or is
# revoked.
_WRITE_SESSIONS = """
    WITH free AS (
        SELECT id FROM keywright.session WHERE id = ANY($1::bigint[])
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE keywright.session e SET last_used_time = used.time
    FROM free, unnest($1::bigint[], $2::timestamptz[]) AS used (id, time)
    WHERE e.id = free.id AND used.id = e.id AND e.last_used_time < used.time
"""


class Use(NamedTuple):
    """The last use of a key or a session (by internal id); `address` is None if it was not told."""

    key: int
    time: datetime
    address: Address | None


class LastUseWriter:
    """Writes the last use of keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, uses: Sequence[Use]) -> frozenset[int]:
        """Write uses, but where a later one is written already.

        Returns:
            The keys that somebody is changing at this moment: theirs are not written.
        """
        return await self._write(_WRITE.format(skip="SKIP LOCKED"), uses)

    async def write_one(self, use: Use) -> None:
        """Write one use, and wait for whoever is changing the key."""
        await self._write(_WRITE.format(skip=""), [use])

    async def write_sessions(self, uses: Sequence[Use]) -> None:
        """Write uses of sessions, but where a later one is written already."""
        await self._connection.execute(
            _WRITE_SESSIONS, [use.key for use in uses], [use.time for use in uses]
        )

    async def _write(self, statement: str, uses: Sequence[Use]) -> frozenset[int]:
        rows = await self._connection.fetch(
            statement,
            [use.key for use in uses],
            [use.time for use in uses],
            [use.address for use in uses],
        )
        return frozenset(row["id"] for row in rows)

"""When keys were last used, which is no change of them: neither version nor history moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keywright.domain.keys import Address
from keywright.storage.connection import Connection


@dataclass(frozen=True, slots=True)
class Use:
    """The last use of a key (by internal id); `address` is None if it was not told."""

    key: int
    time: datetime
    address: Address | None


class LastUseWriter:
    """Writes the last use of keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, uses: Sequence[Use]) -> None:
        """Write uses, the later one where another process wrote one.

        A key that somebody is changing at this moment is passed over: it is not worth waiting for.
        """
        await self._connection.execute(
            """
            WITH free AS (
                SELECT id FROM keywright.key WHERE id = ANY($1::bigint[])
                ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE keywright.key k
            SET last_used_time = used.time, last_used_address = used.address
            FROM free,
                 unnest($1::bigint[], $2::timestamptz[], $3::inet[]) AS used (id, time, address)
            WHERE k.id = free.id AND used.id = k.id
              AND (k.last_used_time IS NULL OR k.last_used_time < used.time)
            """,
            [use.key for use in uses],
            [use.time for use in uses],
            [use.address for use in uses],
        )

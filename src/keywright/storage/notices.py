"""What may happen any number of times gets into the audit trail once a minute, over all servers."""

from collections.abc import Sequence
from datetime import timedelta

from keywright.storage.connection import Connection, row_count

_MINUTE = timedelta(minutes=1)
# One statement at a time sees a subject: whoever comes second waits, and is refused.
_TURN = """
    INSERT INTO keywright.notice AS n (subject, notice_time)
    SELECT subject, now() FROM unnest($1::bytea[]) AS subject ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET notice_time = excluded.notice_time
        WHERE n.notice_time <= excluded.notice_time - $2::interval
           OR n.notice_time > excluded.notice_time + $2::interval  -- the clock was put back
    RETURNING subject
"""
_PRUNE = """
    DELETE FROM keywright.notice WHERE subject = ANY (ARRAY(
        SELECT subject FROM keywright.notice
        WHERE notice_time < now() - $1::interval OR notice_time > now() + $1::interval
        LIMIT $2 FOR UPDATE SKIP LOCKED))
"""


class NoticeWriter:
    """Says whose turn it is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def passing(self, subjects: Sequence[bytes]) -> frozenset[bytes]:
        """Those of `subjects` that did not pass within a minute, by any server: they pass now."""
        rows = await self._connection.fetch(_TURN, subjects, _MINUTE)
        return frozenset(row["subject"] for row in rows)

    async def prune(self, limit: int) -> int:
        """Forget at most `limit` of those that could pass; returns how many."""
        done = await self._connection.execute(_PRUNE, _MINUTE, limit)
        return row_count(done)

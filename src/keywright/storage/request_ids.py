"""What was committed under which `request_id`, for 24 hours (AIP-155)."""

from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.identity import RequestIdentity
from keywright.storage.connection import Connection, row_count

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """A request that was committed: its digest, and its reply without what is shown once."""

    digest: bytes
    reply: bytes


class RequestIdReader:
    """Reads what was committed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def earlier(self, actor: int, identity: RequestIdentity) -> EarlierRequest | None:
        """What a user, by its internal id, has had committed under that id."""
        row = await self._connection.fetchrow(
            "SELECT digest, reply FROM keywright.request_id "
            "WHERE actor = $1 AND method = $2 AND request_id = $3 "
            "AND create_time > now() - $4::interval",
            actor,
            identity.method,
            identity.request_id,
            KEPT_FOR,
        )
        return None if row is None else EarlierRequest(row["digest"], row["reply"])


class RequestIdWriter:
    """Claims and keeps request ids, in the transaction of what they stand for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(self, actor: int, identity: RequestIdentity) -> EarlierRequest | None:
        """Claim an id for a user, by its internal id; what was committed under it, if it is taken.

        Waits for a transaction that has claimed it and is still under way: if that fails, the id is
        free.
        """
        claimed = await self._connection.fetchval(
            """
            INSERT INTO keywright.request_id AS r (actor, method, request_id, digest)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT ON CONSTRAINT request_id_pkey DO UPDATE
                SET digest = excluded.digest, reply = '', create_time = now()
                WHERE r.create_time <= now() - $5::interval
            RETURNING true
            """,
            actor,
            identity.method,
            identity.request_id,
            identity.digest,
            KEPT_FOR,
        )
        if claimed:
            return None
        # The conflict has locked the row, so that nobody can have deleted it in between.
        earlier = await RequestIdReader(self._connection).earlier(actor, identity)
        assert earlier is not None, "what conflicted is there"  # noqa: S101
        return earlier

    async def keep(self, actor: int, identity: RequestIdentity, reply: bytes) -> None:
        """Keep the reply for repetitions."""
        await self._connection.execute(
            "UPDATE keywright.request_id SET reply = $4 "
            "WHERE actor = $1 AND method = $2 AND request_id = $3",
            actor,
            identity.method,
            identity.request_id,
            reply,
        )

    async def prune(self, limit: int) -> int:
        """Forget at most `limit` ids whose time is over; returns how many."""
        result: str = await self._connection.execute(
            """
            DELETE FROM keywright.request_id WHERE (actor, method, request_id) IN (
                SELECT actor, method, request_id FROM keywright.request_id
                WHERE create_time <= now() - $1::interval
                LIMIT $2 FOR UPDATE SKIP LOCKED)
            """,
            KEPT_FOR,
            limit,
        )
        return row_count(result)

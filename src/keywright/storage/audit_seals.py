"""The chain of seals of each workspace, and which events they cover."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import asyncpg

from keywright.domain.audit import REMOVE_AUDIT_EVENTS
from keywright.domain.audit_trail import Covering, Found, Leaves, Link, Seal, first_of_month, sha256
from keywright.domain.listing import Listed
from keywright.storage.audit_events import RECORD
from keywright.storage.conditions import Conditions
from keywright.storage.connection import Connection

ADVISORY_LOCK = 0x6B777365  # "kwse": one sealer at a time
# To verify a signature takes longer than to hash many events.
_RUN_MAX_COUNT = 100
_COLUMNS = """
    workspace_id, number, create_time, month, previous, event_count, root, digest, signature,
    public_key
"""
# As they are read. What no datetime and no list of numbers can say, and only tampering leaves, is
# read as something else: then the seal is not as it was signed, and that can be told.
_READABLE = "{0} >= '0001-01-01' AND {0} < '10000-01-01'"
_SEAL = f"""
    workspace_id, number,
    CASE WHEN {_READABLE.format("create_time")} THEN create_time ELSE 'epoch' END AS create_time,
    CASE WHEN {_READABLE.format("month")} THEN month ELSE 'epoch' END AS month,
    coalesce(previous, '') AS previous, coalesce(event_count, 0) AS event_count,
    coalesce(root, '') AS root, coalesce(digest, '') AS digest,
    coalesce(signature, '') AS signature, coalesce(public_key, '') AS public_key
"""
_COVERED = """
    ARRAY(SELECT coalesce(id, 0) FROM unnest(event_ids) AS id) AS event_ids,
    coalesce(leaves, '') AS leaves
"""
# Events may be without a seal for so long; a time to come would make it longer.
_DUE = "e.create_time BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'"
_HEADS = """
    SELECT w.workspace_id, c.number, c.digest, s.number AS newest, s.digest AS newest_digest
    FROM unnest($1::text[]) AS w (workspace_id)
    LEFT JOIN keywright.audit_chain c ON c.workspace_id = w.workspace_id
    LEFT JOIN LATERAL (
        SELECT number, digest FROM keywright.audit_seal
        WHERE workspace_id = w.workspace_id ORDER BY number DESC LIMIT 1
    ) s ON true
"""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: as the chain says, and by the newest seal that there is."""

    said: Link
    newest: Link


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An event that no seal covers yet, and its record."""

    workspace_id: str
    event_id: int
    create_time: datetime
    record: str


@dataclass(frozen=True, slots=True)
class Removal:
    """That events of the months before one were removed; said by an event, with its leaf."""

    before: date
    event_id: int
    leaf: bytes
    seal: int | None


class SealReader:
    """Reads chains."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def waited(self) -> timedelta | None:
        """How long the first event without a seal has waited; None if there is none."""
        waited: timedelta | None = await self._connection.fetchval(
            f"""
            SELECT clock_timestamp() - e.create_time FROM keywright.audit_event e
            WHERE e.seal IS NULL AND {_READABLE.format("e.create_time")} ORDER BY e.id LIMIT 1
            """
        )
        return waited

    async def overdue(self, workspace_id: str) -> int | None:
        """The first event that should have a seal by now, and has none."""
        event_id: int | None = await self._connection.fetchval(
            f"""
            SELECT e.id FROM keywright.audit_event e
            WHERE e.workspace_id = $1 AND e.seal IS NULL AND NOT {_DUE}
            ORDER BY e.id LIMIT 1
            """,
            workspace_id,
        )
        return event_id

    async def heads(self, workspace_ids: Collection[str]) -> dict[str, Head]:
        """Where the chain of each workspace ends."""
        rows = await self._connection.fetch(_HEADS, list(workspace_ids))
        return {
            row["workspace_id"]: Head(
                _link(row["number"], row["digest"]), _link(row["newest"], row["newest_digest"])
            )
            for row in rows
        }

    async def exists(self, workspace_id: str, number: int) -> bool:
        """Whether there is a seal of that number."""
        found: bool = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM keywright.audit_seal "
            "WHERE workspace_id = $1 AND number = $2)",
            workspace_id,
            number,
        )
        return found

    async def get(self, workspace_id: str, number: int) -> Covering | None:
        """The seal of that number, with what it covers."""
        found = await self.run(workspace_id, after=number - 1, until=number, limit=1)
        return found[0] if found else None

    async def run(self, workspace_id: str, *, after: int, until: int, limit: int) -> list[Covering]:
        """Seals in order of their numbers, those after one and up to another, with what they cover.

        As many, and at least one, as cover `limit` events together; at most 100.
        """
        rows = await self._connection.fetch(
            f"""
            SELECT {_SEAL}, {_COVERED} FROM (
                SELECT *, sum(event_count) OVER (ORDER BY number) - event_count AS before
                FROM (SELECT * FROM keywright.audit_seal
                      WHERE workspace_id = $1 AND number > $2 AND number <= $3
                      ORDER BY number LIMIT {_RUN_MAX_COUNT}) AS next
            ) AS counted
            WHERE before = 0 OR before + event_count <= $4 ORDER BY number
            """,
            workspace_id,
            after,
            until,
            limit,
        )
        return [_covering(row) for row in rows]

    async def leaves(self, workspace_id: str, first: int, last: int) -> dict[int, list[Found]]:
        """The events as they are now, by seal, in order of their ids."""
        rows = await self._connection.fetch(
            f"""
            SELECT e.seal, e.id, {RECORD} FROM keywright.audit_event e
            WHERE e.workspace_id = $1 AND e.seal BETWEEN $2 AND $3 ORDER BY e.seal, e.id
            """,
            workspace_id,
            first,
            last,
        )
        found: dict[int, list[Found]] = {}
        for seal, event_id, record in rows:
            found.setdefault(seal, []).append((event_id, sha256(record)))
        return found

    async def astray(self, workspace_id: str) -> tuple[int, int] | None:
        """Seal and id of an event that says it is covered by a seal outside of the chain."""
        row = await self._connection.fetchrow(
            """
            SELECT e.seal, e.id FROM keywright.audit_event e
            WHERE e.workspace_id = $1 AND e.seal > coalesce(
                (SELECT number FROM keywright.audit_chain WHERE workspace_id = $1), 0)
            UNION ALL
            SELECT e.seal, e.id FROM keywright.audit_event e
            WHERE e.workspace_id = $1 AND e.seal < 1
            LIMIT 1
            """,
            workspace_id,
        )
        return None if row is None else (row["seal"], row["id"])

    async def removal(self, workspace_id: str) -> Removal | None:
        """What the newest event says that speaks of a removal.

        One that waits to be sealed for longer than is right is passed over: see `overdue`. None
        removes what came after it: its own month, and those after that, are not believed.
        """
        row = await self._connection.fetchrow(
            f"""
            SELECT e.id, e.create_time, e.seal,
                e.change #>> '{{after,removed_before}}' AS removed_before, {RECORD} AS record
            FROM keywright.audit_event e
            WHERE e.workspace_id = $1 AND e.action = '{REMOVE_AUDIT_EVENTS}'
                AND {_READABLE.format("e.create_time")} AND (e.seal IS NOT NULL OR {_DUE})
            ORDER BY e.id DESC LIMIT 1
            """,
            workspace_id,
        )
        before = None if row is None else _date(row["removed_before"])
        if row is None or before is None:
            return None
        past = min(before, first_of_month(row["create_time"]))
        return Removal(past, row["id"], sha256(row["record"]), row["seal"])

    async def list(
        self,
        workspace_id: str,
        *,
        start_time: datetime | None,
        end_time: datetime | None,
        after: int,
        limit: int,
    ) -> list[Listed[Seal]]:
        """Seals oldest first, at most `limit`, those after a number."""
        where = Conditions(
            [
                ("workspace_id = {0}", workspace_id),
                ("number > {0}", after),
                ("create_time >= {0}", start_time),
                ("create_time < {0}", end_time),
            ]
        )
        rows = await self._connection.fetch(
            f"SELECT {_SEAL} FROM keywright.audit_seal WHERE {where.sql} "
            f"ORDER BY number LIMIT {where.placeholder(limit)}",
            *where.values,
        )
        return [Listed(Seal(**row), str(row["number"])) for row in rows]


class SealWriter:
    """Seals events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def try_lock(self) -> bool:
        """Become the one sealer until the end of the transaction, unless another is.

        To be called before anything is read: what is read after it has all that others sealed.
        """
        locked: bool = await self._connection.fetchval(
            "SELECT pg_try_advisory_xact_lock($1)", ADVISORY_LOCK
        )
        return locked

    async def unsealed(self, passing_over: Collection[str], limit: int) -> list[Unsealed]:
        """Events without a seal in order of their ids, but for those of some workspaces.

        And but for those whose time is none that a seal could have.
        """
        rows = await self._connection.fetch(
            f"""
            SELECT e.workspace_id, e.id, e.create_time, {RECORD} AS record
            FROM keywright.audit_event e
            WHERE e.seal IS NULL AND {_READABLE.format("e.create_time")}
                AND e.workspace_id <> ALL ($1::text[])
            ORDER BY e.id LIMIT $2
            """,
            list(passing_over),
            limit,
        )
        return [Unsealed(*row) for row in rows]

    async def now(self) -> datetime:
        """The database's time."""
        now: datetime = await self._connection.fetchval("SELECT clock_timestamp()")
        return now

    async def insert(self, sealed: Sequence[Covering], events: Sequence[Unsealed]) -> None:
        """Insert seals, mark the `events` that they cover, and move the heads of the chains."""
        seals = [each.seal for each in sealed]
        await self._connection.executemany(
            f"INSERT INTO keywright.audit_seal ({_COLUMNS}, event_ids, leaves) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            [(*_values(each.seal), each.covered.event_ids, each.covered.leaves) for each in sealed],
        )
        covering = {
            event_id: each.seal.number for each in sealed for event_id in each.covered.event_ids
        }
        marked = [each for each in events if each.event_id in covering]
        await self._connection.execute(
            """
            UPDATE keywright.audit_event e SET seal = covered.seal
            FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[])
                AS covered (id, create_time, seal)
            WHERE e.id = covered.id AND e.create_time = covered.create_time
            """,
            [each.event_id for each in marked],
            [each.create_time for each in marked],
            [covering[each.event_id] for each in marked],
        )
        heads = {each.workspace_id: each for each in seals}
        await self._connection.execute(
            """
            INSERT INTO keywright.audit_chain (workspace_id, number, digest)
            SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
            ON CONFLICT (workspace_id)
                DO UPDATE SET number = excluded.number, digest = excluded.digest
            """,
            list(heads),
            [each.number for each in heads.values()],
            [each.digest for each in heads.values()],
        )


def _values(seal: Seal) -> Iterator[object]:
    return (getattr(seal, name.strip()) for name in _COLUMNS.split(","))


def _link(number: int | None, digest: bytes | None) -> Link:
    return Link() if number is None else Link(number, digest or b"")


def _date(text: str | None) -> date | None:
    """The date that an event says, unless it says none."""
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _covering(row: asyncpg.Record) -> Covering:
    values = dict(row)
    covered = Leaves(values.pop("event_ids"), values.pop("leaves"))
    return Covering(Seal(**values), covered)

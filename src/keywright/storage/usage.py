"""How much keys are used: per key, hour and outcome. What a deleted key did stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from keywright.domain.listing import Listed
from keywright.domain.usage import ALLOWED, Point
from keywright.storage.conditions import Conditions
from keywright.storage.connection import Connection, row_count

# In the order of the primary key, so that two servers never wait for each other crosswise.
_ADD = """
    INSERT INTO keywright.key_usage AS u (key, hour, outcome, count, workspace, key_id)
    SELECT key, to_timestamp(hour * 3600), outcome, count, workspace, key_id
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
        AS used (key, hour, outcome, count, workspace, key_id)
    ORDER BY key, hour, outcome
    ON CONFLICT (key, hour, outcome) DO UPDATE SET count = u.count + excluded.count
"""
# Workspace by workspace, which is what the index goes by; their rows stay for ever.
_PRUNE = """
    DELETE FROM keywright.key_usage WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM keywright.workspace w CROSS JOIN LATERAL (
            SELECT u.ctid FROM keywright.key_usage u
            WHERE u.workspace = w.id AND u.hour < now() - $1::interval LIMIT $2
        ) old LIMIT $2))
"""
# Workspace by workspace, which is what the index goes by.
_HOTTEST = """
    SELECT s.prefix
    FROM (SELECT u.key, sum(u.count) AS uses
          FROM keywright.workspace w CROSS JOIN LATERAL (
              SELECT key, count FROM keywright.key_usage
              WHERE workspace = w.id AND hour >= date_trunc('hour', now() - interval '1 hour')
                  AND outcome = $2
          ) u
          GROUP BY u.key ORDER BY uses DESC LIMIT $1) hot
    JOIN keywright.key_secret s ON s.key = hot.key AND s.prefix IS NOT NULL
    ORDER BY hot.uses DESC LIMIT $1
"""
_OWNED = "keywright.key k JOIN keywright.key_usage u ON u.key = k.id"


class Counted(NamedTuple):
    """What is counted together; `hour` counts from 1970, and the key is remembered by its id."""

    key: int
    hour: int
    outcome: str
    workspace: int
    key_id: str


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage is meant, in a workspace: of `start` <= hour < `end`.

    Attributes:
        keys: of keys of these ids; empty is all.
        owner: of keys of this user, by internal id.
        daily: whether a point is a day (UTC) and not an hour.
        total: whether a point is the sum of all keys.
    """

    workspace: int
    start: datetime
    end: datetime
    keys: Sequence[str] = ()
    owner: int | None = None
    daily: bool = False
    total: bool = False


class UsageReader:
    """Reads usage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(
        self, only: UsageFilter, *, after: str | None, limit: int
    ) -> list[Listed[Point]]:
        """Points by time and key, at most `limit`, those after a cursor."""
        where = _conditions(only)
        begins = "date_trunc('day', u.hour)" if only.daily else "u.hour"  # the session is in UTC
        key_id = "''::text" if only.total else "u.key_id"
        if after is not None:
            time, _, key = after.partition(" ")
            begin = datetime.fromisoformat(time)
            where.require("u.hour >= {0}", begin)  # for the index
            where.require(f"({begins}, {key_id}) > ({{0}}, {{1}})", begin, key)
        rows = await self._connection.fetch(
            f"""
            WITH counted AS (
                SELECT {begins} AS begins, {key_id} AS key_id, u.outcome, sum(u.count) AS count
                FROM {_OWNED if only.owner is not None else "keywright.key_usage u"}
                WHERE {where.sql}
                GROUP BY 1, 2, 3
            )
            SELECT begins, key_id, jsonb_object_agg(outcome, count) AS counts
            FROM counted GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {where.placeholder(limit)}
            """,
            *where.values,
        )
        return [
            Listed(
                Point(row["begins"], row["key_id"], row["counts"]),
                f"{row['begins'].isoformat()} {row['key_id']}",
            )
            for row in rows
        ]

    async def hottest(self, limit: int) -> Sequence[str]:
        """Prefixes of the keys that were allowed most in this hour and the last, in this order."""
        rows = await self._connection.fetch(_HOTTEST, limit, ALLOWED)
        return [row["prefix"] for row in rows]

    async def known(self, workspace: int, keys: Sequence[str], owner: int | None) -> frozenset[str]:
        """Those of the ids that are keys' of a workspace; of `owner`, if one is given."""
        rows = await self._connection.fetch(
            "SELECT key_id FROM keywright.key WHERE workspace = $1 AND key_id = ANY($2) "
            "AND ($3::bigint IS NULL OR owner = $3)",
            workspace,
            keys,
            owner,
        )
        return frozenset(row["key_id"] for row in rows)

    async def remembered(self, only: UsageFilter) -> frozenset[str]:
        """The ids of keys with any usage, those of deleted ones among them."""
        where = _conditions(only)
        rows = await self._connection.fetch(
            f"SELECT DISTINCT u.key_id FROM keywright.key_usage u WHERE {where.sql}", *where.values
        )
        return frozenset(row["key_id"] for row in rows)


class UsageWriter:
    """Counts, and forgets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, counts: Mapping[Counted, int]) -> None:
        """Add to what is counted already."""
        await self._connection.execute(
            _ADD,
            [each.key for each in counts],
            [each.hour for each in counts],
            [each.outcome for each in counts],
            list(counts.values()),
            [each.workspace for each in counts],
            [each.key_id for each in counts],
        )

    async def prune(self, retention: timedelta, limit: int) -> int:
        """Forget what is older than `retention`, at most `limit` rows; returns how many."""
        done = await self._connection.execute(_PRUNE, retention, limit)
        return row_count(done)


def _conditions(only: UsageFilter) -> Conditions:
    return Conditions(
        [
            ("u.workspace = {0}", only.workspace),
            ("u.hour >= {0}", only.start),
            ("u.hour < {0}", only.end),
            ("u.key_id = ANY({0})", list(only.keys)),
            ("k.owner = {0}", only.owner),
        ]
    )

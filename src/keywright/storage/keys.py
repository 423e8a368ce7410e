"""Keys as they are read. The secrets themselves are stored nowhere."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from keywright.domain.keys import (
    Key,
    KeyAt,
    KeyOrder,
    KeyState,
    Narrowing,
    Person,
    RateLimit,
)
from keywright.domain.listing import Listed
from keywright.storage.conditions import Conditions, below, in_workspace
from keywright.storage.connection import Connection
from keywright.storage.roles import role

# `k` is the key, `w` its workspace, `s` a secret of it and `n` the role it is narrowed to; the
# look-up of `Authenticate` joins them, too.
COLUMNS = """
    k.id AS key, w.workspace_id, k.key_id, k.owner, k.owner_user_id, k.creator_user_id,
    k.creator_credential,
    k.display_name AS key_display_name, k.environment, k.scopes, k.resource, k.allowed_networks,
    k.rate_requests, k.rate_period, k.labels AS key_labels, k.state AS key_state,
    k.version AS key_version, k.create_time AS key_create_time, k.update_time AS key_update_time,
    k.expire_time, k.revoke_time, k.last_used_time, k.last_used_address,
    coalesce(s.prefix, s.foreign_prefix, '') AS prefix, s.create_time AS rotate_time,
    n.id AS key_role, n.role_id AS key_role_id, n.permissions AS key_role_permissions,
    n.may_hold_keys AS key_role_may_hold_keys, n.workspace IS NULL AS key_role_built_in
"""
# `o` is the owner and `c` the creator, while they are there; `s` is the secret of today and `t` the
# one that a rotation replaced, while its grace lasts.
_JOINS = {
    "w": "JOIN keywright.workspace w ON w.id = k.workspace",
    "o": "LEFT JOIN keywright.user o ON o.id = k.owner",
    "c": "LEFT JOIN keywright.user c ON c.id = k.creator",
    "n": "LEFT JOIN keywright.role n ON n.id = k.role",
    "s": """JOIN LATERAL (
        SELECT id, prefix, foreign_prefix, create_time FROM keywright.key_secret
        WHERE key = k.id ORDER BY id DESC LIMIT 1
    ) s ON true""",
    "t": """LEFT JOIN LATERAL (
        SELECT coalesce(prefix, foreign_prefix, '') AS prefix, not_after
        FROM keywright.key_secret
        WHERE key = k.id AND id < s.id AND not_after > clock_timestamp() ORDER BY id DESC LIMIT 1
    ) t ON true""",
}
_SELECT = f"""
    SELECT {COLUMNS},
           CASE WHEN o.id IS NULL THEN k.owner_email ELSE o.email END AS owner_email,
           CASE WHEN c.id IS NULL THEN k.creator_email ELSE c.email END AS creator_email,
           t.prefix AS retiring_prefix,
           -- No longer than the key; LEAST alone would take the key's end where there is no `t`.
           CASE WHEN t.prefix IS NOT NULL THEN least(t.not_after, k.expire_time) END AS retire_time,
           -- The statement's own moment on the database's clock: whoever reads a key can tell its
           -- state without asking another clock.
           clock_timestamp() AS now
"""
_STATE = """
    CASE WHEN k.state <> 'REVOKED' AND k.expire_time <= now() THEN 'EXPIRED' ELSE k.state END
"""
# strpos() and not LIKE: in what a person types, % and _ stand for themselves.
_SEARCH = """
    (strpos(lower(k.display_name), lower({0})) > 0
     OR strpos(lower(coalesce(s.prefix, s.foreign_prefix, '')), lower({0})) > 0
     OR strpos(lower(coalesce(CASE WHEN o.id IS NULL THEN k.owner_email ELSE o.email END, '')),
               lower({0})) > 0)
"""
# What a list is sorted by, and the type of that. Nothing is null: a key that never expires comes
# after all that do, and one that was never used before all that were.
_ORDERS = {
    KeyOrder.DISPLAY_NAME: ('lower(k.display_name) COLLATE "C"', "text"),
    KeyOrder.EXPIRE_TIME: ("coalesce(k.expire_time, 'infinity')", "timestamptz"),
    KeyOrder.LAST_USED_TIME: ("coalesce(k.last_used_time, '-infinity')", "timestamptz"),
    KeyOrder.ROTATE_TIME: ("s.create_time", "timestamptz"),
}


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys are meant; None and empty ask nothing.

    Attributes:
        owner, creator: by internal id.
        gone_owner, gone_creator: by the id that a deleted user had.
        covered_by: only those of this user, or bound to resources of `covered_on` or below them;
            None is all.
    """

    states: frozenset[KeyState] = frozenset()
    owner: int | None = None
    gone_owner: str = ""
    creator: int | None = None
    gone_creator: str = ""
    resource: str = ""
    role_id: str = ""
    environment: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    expires_before: datetime | None = None
    unused_since: datetime | None = None
    unrotated_since: datetime | None = None
    search: str = ""
    covered_by: int | None = None
    covered_on: Sequence[str] = ()


class KeyReader:
    """Reads keys of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, key_id: str) -> KeyAt | None:
        """The key of that id."""
        return await self._one(f"{in_workspace('k', '$1')} AND k.key_id = $2", workspace_id, key_id)

    async def with_prefix(self, workspace_id: str, prefix: str) -> KeyAt | None:
        """The key of which some token, of today or replaced, has that prefix."""
        return await self._one(
            f"{in_workspace('k', '$1')} AND k.id = "
            "(SELECT key FROM keywright.key_secret WHERE prefix = $2)",
            workspace_id,
            prefix,
        )

    async def list(
        self,
        workspace_id: str,
        only: KeyFilter,
        order: KeyOrder,
        *,
        descending: bool,
        after: str | None,
        limit: int,
    ) -> list[Listed[KeyAt]]:
        """Keys in an order, at most `limit`, those after a cursor.

        Keys of the same place in the order come as they were created; without an index for them
        (all but CREATE_TIME) the database sorts what the filter leaves.
        """
        where = conditions(workspace_id, only)
        comes, turn, back = ("<", "DESC", "ASC") if descending else (">", "ASC", "DESC")
        # Keys were created in the order of their ids.
        by, kind = _ORDERS.get(order, ("''::text", "text"))
        if after is not None:
            internal_id, _, value = after.partition(" ")
            if order is KeyOrder.CREATE_TIME:
                where.require(f"k.id {comes} {{0}}", int(internal_id))
            else:
                where.require(
                    f"({by}, k.id) {comes} ({{0}}::text::{kind}, {{1}})", value, int(internal_id)
                )
        sorting = f"{by} {turn}" if order in _ORDERS else f"k.workspace {back}"  # the index's order
        # First which keys, then all that is told of these few.
        of_page = f"{where.sql} {by}"
        rows = await self._connection.fetch(
            f"""
            WITH page AS (
                SELECT k.id, {by} AS place {source(of_page)} WHERE {where.sql}
                ORDER BY {sorting}, k.id {turn} LIMIT {where.placeholder(limit)}
            )
            {_SELECT}, page.place::text AS place
            FROM page JOIN keywright.key k ON k.id = page.id {" ".join(_JOINS.values())}
            ORDER BY page.place {turn}, k.id {turn}
            """,
            *where.values,
        )
        return [
            Listed(KeyAt(key_of(row), row["now"]), f"{row['key']} {row['place']}") for row in rows
        ]

    async def count(self, workspace_id: str, only: KeyFilter) -> int:
        """How many keys match."""
        where = conditions(workspace_id, only)
        count: int = await self._connection.fetchval(
            f"SELECT count(*) {source(where.sql)} WHERE {where.sql}", *where.values
        )
        return count

    async def count_live(self, *owners: int) -> Counter[int]:
        """How many keys of these users are neither revoked nor expired, by internal id."""
        rows = await self._connection.fetch(
            "SELECT owner, count(*) FROM keywright.key "
            "WHERE owner = ANY($1) AND state <> 'REVOKED' "
            "AND (expire_time IS NULL OR expire_time > now()) GROUP BY owner",
            owners,
        )
        return Counter({row["owner"]: row["count"] for row in rows})

    async def names_unrevoked(self, owner: int, limit: int) -> tuple[Sequence[str], int]:
        """Ids of keys of a user that are not revoked, at most `limit`, and how many there are."""
        rows = await self._connection.fetch(
            "SELECT key_id, count(*) OVER () AS total FROM keywright.key "
            "WHERE owner = $1 AND state <> 'REVOKED' ORDER BY id LIMIT $2",
            owner,
            limit,
        )
        return [row["key_id"] for row in rows], rows[0]["total"] if rows else 0

    async def remembers(self, workspace: int, user_id: str) -> bool:
        """Whether a key remembers a user of that id, as owner or creator, who is gone."""
        found: bool = await self._connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM keywright.key WHERE workspace = $1
                           AND (owner IS NULL AND owner_user_id = $2
                                OR creator IS NULL AND creator_user_id = $2))
            """,
            workspace,
            user_id,
        )
        return found

    async def _one(self, condition: str, *values: object) -> KeyAt | None:
        row = await self._connection.fetchrow(
            f"{_SELECT} FROM keywright.key k {' '.join(_JOINS.values())} WHERE {condition}", *values
        )
        return None if row is None else KeyAt(key_of(row), row["now"])


def source(sql: str) -> str:
    """The keys `k`, with what `sql` names of the rest: a join that nobody needs still costs."""
    needed = (join for alias, join in _JOINS.items() if re.search(rf"\b{alias}\.", sql))
    return f"FROM keywright.key k {' '.join(needed)}"


def conditions(workspace_id: str, only: KeyFilter) -> Conditions:
    """What `only` asks, of `k` and what else `source` can join."""
    where = Conditions(
        [
            (in_workspace("k"), workspace_id),
            (f"{_STATE} = ANY({{0}})", sorted(only.states)),
            ("k.owner = {0}", only.owner),
            ("k.owner IS NULL AND k.owner_user_id = {0}", only.gone_owner),
            ("k.creator = {0}", only.creator),
            ("k.creator IS NULL AND k.creator_user_id = {0}", only.gone_creator),
            ("k.resource = {0}", only.resource),
            ("n.role_id = {0}", only.role_id),
            ("k.environment = {0}", only.environment),
            ("k.labels @> {0}", dict(only.labels)),
            ("k.expire_time < {0}", only.expires_before),
            ("coalesce(k.last_used_time, k.create_time) < {0}", only.unused_since),
            ("s.create_time < {0}", only.unrotated_since),
            (_SEARCH, only.search),
        ]
    )
    if only.covered_by is not None and not only.covered_on:
        where.require("k.owner = {0}", only.covered_by)
    elif only.covered_by is not None:
        where.require(
            f"(k.owner = {{0}} OR {below('k.resource', '{1}')})",
            only.covered_by,
            list(only.covered_on),
        )
    return where


def key_of(row: asyncpg.Record) -> Key:
    """A key from `COLUMNS` and what `_SELECT` adds to them."""
    narrowed_to = None
    if row["key_role"] is not None:
        narrowed_to = role(
            row["key_role"],
            row["key_role_id"],
            row["key_role_permissions"],
            row["key_role_may_hold_keys"],
            row["key_role_built_in"],
        )
    rate_limit = None
    if row["rate_requests"] is not None:
        rate_limit = RateLimit(row["rate_requests"], row["rate_period"])
    return Key(
        workspace_id=row["workspace_id"],
        key_id=row["key_id"],
        owner=Person(row["owner_user_id"], row["owner_email"] or ""),
        creator=Person(row["creator_user_id"], row["creator_email"] or ""),
        creator_credential=row["creator_credential"],
        display_name=row["key_display_name"],
        narrowing=Narrowing(
            role=narrowed_to,
            scopes=tuple(row["scopes"]),
            resource=row["resource"],
            allowed_networks=tuple(row["allowed_networks"]),
        ),
        environment=row["environment"],
        prefix=row["prefix"],
        stored_state=KeyState(row["key_state"]),
        create_time=row["key_create_time"],
        update_time=row["key_update_time"],
        rotate_time=row["rotate_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
        last_used_time=row["last_used_time"],
        last_used_address=str(row["last_used_address"] or ""),
        retiring_prefix=row["retiring_prefix"] or "",
        retire_time=row["retire_time"],
        rate_limit=rate_limit,
        labels=row["key_labels"],
        version=row["key_version"],
        internal_id=row["key"],
        owner_internal_id=row["owner"],
    )

"""Keys and their secrets. A secret is stored as prefix, verifier tag and hash; never as itself."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from keywright.domain.directory import User
from keywright.domain.keys import Key, KeyAt, KeyState, Narrowing, Person, RateLimit
from keywright.domain.secret import HashedSecret
from keywright.storage.conditions import Conditions
from keywright.storage.connection import Connection
from keywright.storage.roles import role

# `now` is the statement's own moment on the database's clock: whoever reads a key can tell its
# state without asking another clock.
COLUMNS = """
    k.id AS key, w.workspace_id, k.key_id, k.owner,
    coalesce(o.user_id, k.owner_user_id) AS owner_user_id,
    coalesce(o.email, k.owner_email) AS owner_email,
    k.creator_user_id, k.creator_email, k.creator_credential,
    k.display_name AS key_display_name, k.environment, k.scopes, k.resource, k.allowed_networks,
    k.rate_requests, k.rate_period, k.labels AS key_labels, k.state AS key_state,
    k.version AS key_version, k.create_time AS key_create_time, k.update_time AS key_update_time,
    k.expire_time, k.revoke_time, k.last_used_time, k.last_used_address,
    s.prefix, s.create_time AS rotate_time,
    n.id AS key_role, n.role_id AS key_role_id, n.permissions AS key_role_permissions,
    n.may_hold_keys AS key_role_may_hold_keys, n.workspace IS NULL AS key_role_built_in
"""
_SELECT = f"""
    SELECT {COLUMNS}, clock_timestamp() AS now
    FROM keywright.key k
    JOIN keywright.workspace w ON w.id = k.workspace
    LEFT JOIN keywright.user o ON o.id = k.owner
    LEFT JOIN keywright.role n ON n.id = k.role
    JOIN LATERAL (
        SELECT prefix, create_time FROM keywright.key_secret
        WHERE key = k.id ORDER BY id DESC LIMIT 1
    ) s ON true
"""  # noqa: S608
_STATE = """
    CASE WHEN k.state <> 'REVOKED' AND k.expire_time <= now() THEN 'EXPIRED' ELSE k.state END
"""
# strpos() and not LIKE: in what a person types, % and _ stand for themselves.
_SEARCH = """
    (strpos(lower(k.display_name), lower({0})) > 0 OR strpos(lower(s.prefix), lower({0})) > 0
     OR strpos(lower(coalesce(o.email, k.owner_email)), lower({0})) > 0)
"""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys to list; None and empty ask nothing."""

    states: frozenset[KeyState] = frozenset()
    owner: int | None = None
    creator_user_id: str = ""
    resource: str = ""
    role_id: str = ""
    environment: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    expires_before: datetime | None = None
    unrotated_since: datetime | None = None
    search: str = ""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to insert, with its first secret."""

    key_id: str
    owner: User
    creator: User
    creator_credential: str
    display_name: str
    environment: str
    narrowing: Narrowing
    labels: dict[str, str]
    rate_limit: RateLimit | None
    expire_time: datetime | None
    prefix: str
    hashed: HashedSecret


class KeyReader:
    """Reads keys of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, key_id: str) -> KeyAt | None:
        """The key of that id."""
        row = await self._connection.fetchrow(
            f"{_SELECT} WHERE w.workspace_id = $1 AND k.key_id = $2",
            workspace_id,
            key_id,
        )
        return None if row is None else KeyAt(key_of(row), row["now"])

    async def list(
        self, workspace_id: str, only: KeyFilter, *, after: int | None, limit: int
    ) -> list[KeyAt]:
        """Keys newest first, at most `limit`, older than the internal id `after`."""
        where = Conditions(
            [
                ("w.workspace_id = {0}", workspace_id),
                ("k.id < {0}", after),
                (f"{_STATE} = ANY({{0}})", sorted(only.states)),
                ("k.owner = {0}", only.owner),
                ("k.creator_user_id = {0}", only.creator_user_id),
                ("k.resource = {0}", only.resource),
                ("n.role_id = {0}", only.role_id),
                ("k.environment = {0}", only.environment),
                ("k.labels @> {0}", dict(only.labels)),
                ("k.expire_time < {0}", only.expires_before),
                ("s.create_time < {0}", only.unrotated_since),
                (_SEARCH, only.search),
            ]
        )
        newest = f"ORDER BY k.id DESC LIMIT {where.placeholder(limit)}"
        rows = await self._connection.fetch(f"{_SELECT} WHERE {where.sql} {newest}", *where.values)
        return [KeyAt(key_of(row), row["now"]) for row in rows]

    async def count_live(self, owner: int) -> int:
        """How many keys of a user are neither revoked nor expired."""
        count: int = await self._connection.fetchval(
            "SELECT count(*) FROM keywright.key WHERE owner = $1 AND state <> 'REVOKED' "
            "AND (expire_time IS NULL OR expire_time > now())",
            owner,
        )
        return count


class KeyWriter:
    """Creates and changes keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, new: NewKey) -> None:
        """Insert a key and its first secret, in one statement."""
        narrowing = new.narrowing
        await self._connection.execute(
            """
            WITH inserted AS (
                INSERT INTO keywright.key
                    (workspace, key_id, owner, owner_user_id, owner_email, creator_user_id,
                     creator_email, creator_credential, display_name, environment, role,
                     role_scope, scopes, resource, allowed_networks, rate_requests, rate_period,
                     labels, expire_time)
                SELECT o.workspace, $2, o.id, o.user_id, coalesce(o.email, ''), $3, $4, $5, $6, $7,
                       r.id, r.scope, $9, $10, $11, $12, $13, $14, $15
                FROM keywright.user o LEFT JOIN keywright.role r ON r.id = $8
                WHERE o.id = $1
                RETURNING id
            )
            INSERT INTO keywright.key_secret (key, prefix, verifier_tag, hash, pepper_version)
            SELECT id, $16, $17, $18, $19 FROM inserted
            """,
            new.owner.internal_id,
            new.key_id,
            new.creator.user_id,
            new.creator.email or "",
            new.creator_credential,
            new.display_name,
            new.environment,
            None if narrowing.role is None else narrowing.role.internal_id,
            list(narrowing.scopes),
            narrowing.resource,
            list(narrowing.allowed_networks),
            None if new.rate_limit is None else new.rate_limit.requests,
            None if new.rate_limit is None else new.rate_limit.period,
            new.labels,
            new.expire_time,
            new.prefix,
            new.hashed.verifier_tag,
            new.hashed.phc,
            new.hashed.pepper_version,
        )

    async def revoke(self, key: int) -> None:
        """Make a key (by internal id) `REVOKED`, which is final."""
        await self._connection.execute(
            "UPDATE keywright.key SET state = 'REVOKED', revoke_time = now(), "
            "version = version + 1, update_time = now() WHERE id = $1",
            key,
        )

    async def delete(self, key: int) -> None:
        """Delete a key (by internal id) and its secrets."""
        await self._connection.execute("DELETE FROM keywright.key WHERE id = $1", key)

    async def renew_hash(self, secret: int, old_hash: str, renewed: HashedSecret) -> None:
        """Replace a secret's hash by one with today's parameters, unless someone was faster."""
        await self._connection.execute(
            """
            UPDATE keywright.key_secret
            SET hash = $3, pepper_version = $4, hash_version = hash_version + 1
            WHERE id = $1 AND hash = $2
            """,
            secret,
            old_hash,
            renewed.phc,
            renewed.pepper_version,
        )


def key_of(row: asyncpg.Record) -> Key:
    """A key from `COLUMNS` and a prefix."""
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
        creator=Person(row["creator_user_id"], row["creator_email"]),
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
        rate_limit=rate_limit,
        labels=row["key_labels"],
        version=row["key_version"],
        internal_id=row["key"],
        owner_internal_id=row["owner"],
    )

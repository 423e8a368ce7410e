"""Sessions, and the links by which people sign in. Of secrets there are hashes only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from keywright.domain.keys import Address, Person
from keywright.domain.listing import Listed
from keywright.domain.names import KeyName
from keywright.domain.secret import HashedSecret
from keywright.domain.sessions import (
    OpeningKey,
    Session,
    SessionAt,
    SessionState,
    SessionTimes,
    SignInMethod,
)
from keywright.storage.conditions import Conditions, in_workspace
from keywright.storage.connection import Connection, row_count

# `e` is the session, `w` its workspace, `u` its user and `r` that user's role; `o` is the secret
# that opened it, and `k` the key of that. `Authenticate`'s look-up joins them, too.
#
# What a key opened is withdrawn when the key is gone, does not stand, or could sign nobody in: as
# `SignIn.by_key` has it, it must take nothing away from its user.
_WITHDRAWN = """
    (e.method = 'KEY' AND (
        k.state = 'ACTIVE' AND coalesce(r.may_hold_keys, true) AND k.role IS NULL
        AND cardinality(k.scopes) = 0 AND k.resource = '' AND cardinality(k.allowed_networks) = 0
    ) IS NOT TRUE)
"""
# (LEAST passes over what is null.)
_END = "least(e.expire_time, k.expire_time, o.not_after)"
COLUMNS = f"""
    e.id AS session, e.session_id, e.method, e.client_address, e.user_agent, e.idle_timeout,
    e.create_time AS session_create_time, {_END} AS session_expire_time,
    e.last_used_time AS session_last_used_time, e.revoke_time AS session_revoke_time,
    o.key AS opening_key, k.key_id AS opening_key_id, {_WITHDRAWN} AS is_withdrawn,
    least(e.not_after, k.expire_time, o.not_after) AS session_not_after
"""
_FROM = """
    FROM keywright.session e
    JOIN keywright.workspace w ON w.id = e.workspace
    JOIN keywright.user u ON u.id = e."user"
    LEFT JOIN keywright.role r ON r.id = u.role
    LEFT JOIN keywright.key_secret o ON o.id = e.opening_secret
    LEFT JOIN keywright.key k ON k.id = o.key
"""
_SELECT = f"""
    SELECT w.workspace_id, {COLUMNS}, u.id, u.user_id, u.email, clock_timestamp() AS now {_FROM}
"""
_STATE = f"""
    CASE WHEN e.revoke_time IS NOT NULL OR {_WITHDRAWN} THEN 'REVOKED'
         WHEN least({_END}, e.last_used_time + e.idle_timeout) <= now() THEN 'EXPIRED'
         ELSE 'ACTIVE' END
"""
_INSERT = """
    WITH inserted AS (
        INSERT INTO keywright.session
            (workspace, session_id, "user", method, client_address, user_agent, idle_timeout,
             create_time, expire_time, last_used_time, not_after, opening_secret)
        SELECT u.workspace, $2, u.id, $3, $4, $5, $6, t.now,
               least(t.now + $7, $8::timestamptz), t.now, $8, $13
        FROM keywright.user u, clock_timestamp() AS t (now) WHERE u.id = $1
        RETURNING id
    ), secret AS (
        INSERT INTO keywright.key_secret (session, prefix, verifier_tag, hash, pepper_version)
        SELECT id, $9, $10, $11, $12 FROM inserted
    )
    SELECT id FROM inserted
"""
# How long sessions and links are remembered after their end.
_SESSIONS_KEPT = timedelta(days=30)
_LINKS_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; `user` by internal id, None is all."""

    states: frozenset[SessionState]
    user: int | None = None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to insert, with its secret.

    Attributes:
        not_after: the latest end of it, and of what is created in it.
        opening_secret: of the key that opens it, by internal id.
    """

    session_id: str
    user: int
    method: SignInMethod
    times: SessionTimes
    client_address: Address | None
    user_agent: str
    prefix: str
    hashed: HashedSecret
    not_after: datetime | None
    opening_secret: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """A sign-in link: whom it signs in, and whether it still can."""

    internal_id: int
    workspace: int
    workspace_id: str
    user: int
    user_id: str
    digest: bytes
    not_after: datetime | None
    is_good: bool


class SessionReader:
    """Reads sessions of one workspace, and links."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, session_id: str) -> SessionAt | None:
        """The session of that id."""
        row = await self._connection.fetchrow(
            f"{_SELECT} WHERE {in_workspace('e', '$1')} AND e.session_id = $2",
            workspace_id,
            session_id,
        )
        return None if row is None else _at(row)

    async def list(
        self, workspace_id: str, only: SessionFilter, *, after: str | None, limit: int
    ) -> list[Listed[SessionAt]]:
        """Sessions newest first, at most `limit`, those after a cursor."""
        where = Conditions(
            [
                (in_workspace("e"), workspace_id),
                ("e.id < {0}", None if after is None else int(after)),
                ('e."user" = {0}', only.user),
                (f"{_STATE} = ANY({{0}})", sorted(only.states)),
            ]
        )
        newest = f"ORDER BY e.workspace DESC, e.id DESC LIMIT {where.placeholder(limit)}"
        rows = await self._connection.fetch(f"{_SELECT} WHERE {where.sql} {newest}", *where.values)
        return [Listed(_at(row), str(row["session"])) for row in rows]

    async def link(self, prefix: str) -> Link | None:
        """The link with that prefix, whether it is still good or not."""
        row = await self._connection.fetchrow(
            """
            SELECT l.id, l.workspace, w.workspace_id, l."user", u.user_id, l.digest, l.not_after,
                   l.use_time IS NULL AND l.expire_time > clock_timestamp() AS is_good
            FROM keywright.sign_in_link l
            JOIN keywright.workspace w ON w.id = l.workspace
            JOIN keywright.user u ON u.id = l."user"
            WHERE l.prefix = $1
            """,
            prefix,
        )
        return None if row is None else Link(*row)


class SessionWriter:
    """Makes and ends sessions, and links."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, new: NewSession) -> None:
        """Insert a session and its secret, in one statement."""
        await self._connection.execute(
            _INSERT,
            new.user,
            new.session_id,
            new.method,
            new.client_address,
            new.user_agent,
            new.times.idle,
            new.times.lifetime,
            new.not_after,
            new.prefix,
            new.hashed.verifier_tag,
            new.hashed.phc,
            new.hashed.pepper_version,
            new.opening_secret,
        )

    async def revoke(self, session: int) -> None:
        """Revoke a session (by internal id), for good."""
        await self._connection.execute(
            "UPDATE keywright.session SET revoke_time = now() "
            "WHERE id = $1 AND revoke_time IS NULL",
            session,
        )

    async def revoke_all_of(self, user: int, *, but: int = 0) -> dict[int, str]:
        """Revoke all sessions of a user that are not, `but` one (by internal ids).

        Returns:
            Their public ids by internal id.
        """
        rows = await self._connection.fetch(
            "UPDATE keywright.session SET revoke_time = now() "
            'WHERE "user" = $1 AND id <> $2 AND revoke_time IS NULL RETURNING id, session_id',
            user,
            but,
        )
        return {row["id"]: row["session_id"] for row in rows}

    async def end_unused(self, user: int, *, but: int) -> dict[int, str]:
        """Revoke the sessions of a user (by internal id) that stand, but those last used.

        Returns:
            Their public ids by internal id.
        """
        rows = await self._connection.fetch(
            f"""
            UPDATE keywright.session SET revoke_time = now()
            WHERE id = ANY (ARRAY(
                SELECT e.id {_FROM}
                WHERE e."user" = $1 AND e.revoke_time IS NULL AND {_STATE} = 'ACTIVE'
                ORDER BY e.last_used_time DESC, e.id DESC OFFSET $2))
            RETURNING id, session_id
            """,
            user,
            but,
        )
        return {row["id"]: row["session_id"] for row in rows}

    async def insert_link(
        self,
        user: int,
        prefix: str,
        digest: bytes,
        *,
        lifetime: timedelta,
        not_after: datetime | None,
    ) -> datetime:
        """Insert a link that signs a user (by internal id) in; returns when it ends.

        `not_after` is the latest end of the session, and of what is created in it.
        """
        ends: datetime = await self._connection.fetchval(
            """
            INSERT INTO keywright.sign_in_link
                (workspace, "user", prefix, digest, expire_time, not_after)
            SELECT workspace, id, $2, $3, least(clock_timestamp() + $4, $5::timestamptz), $5
            FROM keywright.user WHERE id = $1
            RETURNING expire_time
            """,
            user,
            prefix,
            digest,
            lifetime,
            not_after,
        )
        return ends

    async def use_link(self, link: int) -> bool:
        """Use a link (by internal id), if it is still good; of several at once one is told so."""
        used = await self._connection.fetchval(
            """
            UPDATE keywright.sign_in_link SET use_time = clock_timestamp()
            WHERE id = $1 AND use_time IS NULL AND expire_time > clock_timestamp()
            RETURNING true
            """,
            link,
        )
        return used is True

    async def prune(self, limit: int) -> int:
        """Forget sessions that ended long ago; at most `limit` rows."""
        return await self._prune("session", _SESSIONS_KEPT, limit)

    async def prune_links(self, limit: int) -> int:
        """Forget links that ended long ago; at most `limit` rows."""
        return await self._prune("sign_in_link", _LINKS_KEPT, limit)

    async def _prune(self, table: str, kept: timedelta, limit: int) -> int:
        done = await self._connection.execute(
            f"""
            DELETE FROM keywright.{table} WHERE id = ANY (ARRAY(
                SELECT id FROM keywright.{table} WHERE expire_time < now() - $1::interval
                ORDER BY expire_time LIMIT $2 FOR UPDATE SKIP LOCKED))
            """,
            kept,
            limit,
        )
        return row_count(done)


def session_of(row: asyncpg.Record) -> Session:
    """A session from `COLUMNS`, its workspace's id and its user's `id`, `user_id` and `email`."""
    opening = None
    if row["opening_key"] is not None:
        name = KeyName(row["workspace_id"], row["opening_key_id"])
        opening = OpeningKey(name, row["opening_key"])
    return Session(
        workspace_id=row["workspace_id"],
        session_id=row["session_id"],
        user=Person(row["user_id"], row["email"] or ""),
        method=SignInMethod(row["method"]),
        create_time=row["session_create_time"],
        expire_time=row["session_expire_time"],
        idle_timeout=row["idle_timeout"],
        last_used_time=row["session_last_used_time"],
        revoke_time=row["session_revoke_time"],
        opening_key=opening,
        is_withdrawn=row["is_withdrawn"],
        not_after=row["session_not_after"],
        client_address=str(row["client_address"] or ""),
        user_agent=row["user_agent"],
        internal_id=row["session"],
        user_internal_id=row["id"],
    )


def _at(row: asyncpg.Record) -> SessionAt:
    return SessionAt(session_of(row), row["now"])

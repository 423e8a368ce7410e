"""The one query of `Authenticate`: everything a decision needs, in one snapshot.

And the same of a key's newest secret, for whoever asks why it is decided as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from keywright.domain.authority import Authority
from keywright.domain.decision import Credential
from keywright.domain.directory import State
from keywright.domain.imported import Place
from keywright.domain.position import Position
from keywright.domain.secret import HashedSecret
from keywright.storage.authority import HERE, position_of
from keywright.storage.connection import Connection
from keywright.storage.keys import COLUMNS, key_of
from keywright.storage.sessions import COLUMNS as SESSION
from keywright.storage.sessions import session_of
from keywright.storage.users import COLUMNS as USER
from keywright.storage.users import GRANTS, NAMED_GRANTS, grants_of, user_of


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """A stored secret, and the credential that it proves: a key or a session.

    Attributes:
        is_imported: whether another product made the token.
        hash_offset: how many characters of an imported token are not part of the secret.
    """

    internal_id: int
    hashed: HashedSecret
    credential: Credential
    is_imported: bool = False
    hash_offset: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """At which position and moment of the database something was looked up."""

    position: Position
    now: datetime


@dataclass(frozen=True, slots=True)
class LookUp(Seen):
    """What a look-up by prefix saw; `broken` are those whose rows cannot be understood, and why."""

    found: Mapping[str, FoundSecret]
    broken: Mapping[str, Exception]


@dataclass(frozen=True, slots=True)
class Candidates(Seen):
    """The secrets that something may be: none, one, or of imported tokens several."""

    found: Sequence[FoundSecret]


@dataclass(frozen=True, slots=True)
class SeenCredential(Seen):
    """What a key's newest secret, or a session's, proves."""

    credential: Credential


_COLUMNS = f"""
           {COLUMNS}, {SESSION}, {USER},
           u.email AS owner_email, k.creator_email,
           NULL AS retiring_prefix, NULL::timestamptz AS retire_time, -- of no matter to a decision
           s.id AS secret, s.verifier_tag, s.hash, s.pepper_version, s.not_after, s.format,
           w.id AS workspace, w.state AS workspace_state
"""
_FROM = """
    FROM keywright.key_secret s
    LEFT JOIN keywright.session e ON e.id = s.session   -- a secret is of a session
    LEFT JOIN keywright.key_secret o ON o.id = e.opening_secret -- (which another may have opened)
    -- Or of a key. Of a session it is the key that opened it, if one did.
    LEFT JOIN keywright.key k ON k.id = coalesce(s.key, o.key)
    JOIN keywright.workspace w ON w.id = coalesce(k.workspace, e.workspace)
    -- The key of a deleted user proves nothing.
    JOIN keywright.user u ON u.id = coalesce(k.owner, e."user")
    LEFT JOIN keywright.role r ON r.id = u.role     -- the user's role, live, if it has one
    LEFT JOIN keywright.role n ON n.id = k.role     -- the role the key is narrowed to, if any
"""

_FROM_SECRET = f"SELECT {_COLUMNS}, {GRANTS} {_FROM}"

# The outer row is the history's position, so that it comes with the same snapshot even when no
# prefix is found; the inner part goes through the unique index on `prefix`.
BY_PREFIX = f"""
    SELECT p.revision, p.tag, clock_timestamp() AS now, f.*
    FROM keywright.authority_revision p
    LEFT JOIN ({_FROM_SECRET} WHERE s.prefix = ANY($1::text[])) f ON true
"""
_EXPLAINED = f"""
    SELECT {_COLUMNS}, {NAMED_GRANTS}, {HERE}, clock_timestamp() AS now
    {_FROM}
"""
_BY_KEY = f"""
    {_EXPLAINED}
    WHERE s.id = (SELECT max(id) FROM keywright.key_secret WHERE key = $1)
"""
_BY_SESSION = f"{_EXPLAINED} WHERE s.session = $1"
_BY_ID = f"""
    SELECT p.revision, p.tag, clock_timestamp() AS now, f.*
    FROM keywright.authority_revision p
    LEFT JOIN ({_FROM_SECRET} WHERE s.id = $1) f ON true
"""
# An array, so that the secrets are found first: each through a unique index, one after another.
# Its rows are places: what a token that looks as the pattern says begins with, or its digest. No
# workspace crowds out another: the first secret of each comes before the second of any.
_OF_WORKSPACE_MAX_COUNT = 4
_CANDIDATES_MAX_COUNT = 64
BY_PLACE = f"""
    SELECT p.revision, p.tag, clock_timestamp() AS now, f.*, of.hash_offset
    FROM keywright.authority_revision p
    LEFT JOIN ({_FROM_SECRET} WHERE s.id = ANY (ARRAY(
        SELECT id FROM (
            SELECT secret.id,
                   row_number() OVER (PARTITION BY t.workspace ORDER BY secret.id) AS turn
            FROM unnest(
                $1::text[], $2::text[], $3::integer[], $4::integer[], $5::text[], $6::bytea[]
            ) AS place (pattern, lookup, prefix_length, hash_offset, prefix, digest)
            CROSS JOIN LATERAL (
                SELECT id, format FROM keywright.key_secret WHERE foreign_prefix = place.prefix
                UNION ALL
                SELECT id, format FROM keywright.key_secret WHERE digest = place.digest
            ) AS secret
            JOIN keywright.token_format t ON t.id = secret.format
            WHERE (t.pattern, t.lookup, t.prefix_length, t.hash_offset)
                = (place.pattern, place.lookup, place.prefix_length, place.hash_offset)
              AND ($7::bigint IS NULL OR t.workspace = $7)
        ) AS candidate
        WHERE turn <= {_OF_WORKSPACE_MAX_COUNT}
        ORDER BY turn, id LIMIT {_CANDIDATES_MAX_COUNT}
    ))) f ON true
    LEFT JOIN keywright.token_format of ON of.id = f.format
    ORDER BY row_number() OVER (PARTITION BY f.workspace ORDER BY f.secret), f.secret
"""


class CredentialReader:
    """Reads credentials by what a token shows of itself."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def look_up(self, prefixes: Sequence[str]) -> LookUp:
        """The secrets with these prefixes, whatever the state of their keys."""
        rows = await self._connection.fetch(BY_PREFIX, prefixes)
        found: dict[str, FoundSecret] = {}
        broken: dict[str, Exception] = {}
        for row in rows:
            if (prefix := row["prefix"]) is None:
                continue
            try:
                found[prefix] = _found(row)
            except Exception as error:  # noqa: BLE001  one row must not fail the others (G15)
                broken[prefix] = error
        return LookUp(position_of(rows[0]), rows[0]["now"], found, broken)

    async def of_key(self, key: int) -> SeenCredential | None:
        """What the newest secret of a key (by internal id) proves; None if it or its user is gone.

        With the names of the user's grants.
        """
        return _seen(await self._connection.fetchrow(_BY_KEY, key))

    async def of_session(self, session: int) -> SeenCredential | None:
        """The same of a session (by internal id)."""
        return _seen(await self._connection.fetchrow(_BY_SESSION, session))

    async def again(self, secret: int) -> Candidates:
        """The secret of that internal id, as it is by now; none if it is gone."""
        return _candidates(await self._connection.fetch(_BY_ID, secret))

    async def imported(self, places: Sequence[Place], *, only: int | None) -> Candidates:
        """The imported secrets that are at one of these places: the oldest of each workspace first.

        Of the workspace `only` (by internal id), unless that is None.
        """
        shapes = [place.shape for place in places]
        return _candidates(
            await self._connection.fetch(
                BY_PLACE,
                [shape.pattern.text for shape in shapes],
                [shape.lookup for shape in shapes],
                [shape.prefix_length for shape in shapes],
                [shape.hash_offset for shape in shapes],
                [place.prefix for place in places],
                [place.digest for place in places],
                only,
            )
        )


def _seen(row: asyncpg.Record | None) -> SeenCredential | None:
    if row is None:
        return None
    return SeenCredential(position_of(row), row["now"], _found(row).credential)


def _candidates(rows: Sequence[asyncpg.Record]) -> Candidates:
    position = position_of(rows[0])
    found = [_found(row) for row in rows if row["secret"] is not None]
    return Candidates(position, rows[0]["now"], found)


def _found(row: asyncpg.Record) -> FoundSecret:
    user = user_of(row)
    record = key_of(row) if row["session"] is None else session_of(row)
    return FoundSecret(
        internal_id=row["secret"],
        hashed=HashedSecret(row["verifier_tag"], row["hash"], row["pepper_version"]),
        credential=Credential(
            record=record,
            user=user,
            workspace_state=State(row["workspace_state"]),
            authority=Authority(
                workspace_id=record.workspace_id,
                role=user.role,
                grants=grants_of(row),
                narrowing=record.narrowing,
            ),
            secret_not_after=row["not_after"],
            workspace_internal_id=row["workspace"],
            secret_internal_id=row["secret"],
        ),
        is_imported=row["format"] is not None,
        hash_offset=row.get("hash_offset", 0),
    )

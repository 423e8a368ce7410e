"""The history of authority: positions, changes, and the locks under which they are made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from keywright.domain.dependency import ChangeKind
from keywright.domain.position import Position
from keywright.storage.connection import Connection, row_count


@dataclass(frozen=True, slots=True)
class Change:
    """One row whose meaning for authority changed."""

    kind: ChangeKind
    internal_id: int


# The position, as two more columns of a statement: with the same snapshot as the others.
HERE = """
    (SELECT revision FROM keywright.authority_revision) AS revision,
    (SELECT tag FROM keywright.authority_revision) AS tag
"""


async def position(connection: Connection) -> Position:
    """Where the history stands, as the next statement sees it."""
    row = await connection.fetchrow(f"SELECT {HERE}")
    assert row is not None, "the first migration inserts the one row"  # noqa: S101
    return position_of(row)


def position_of(row: asyncpg.Record) -> Position:
    """The position, from `HERE`."""
    return Position(row["revision"], row["tag"])


# Locks are always taken in this order of tables, and by id within one, so that two transactions can
# never wait for each other. A row lock's strength leaves foreign keys alone.
LOCK_ORDER = ("workspace", "user", "role", "key", "session")
# The first byte of an advisory lock says what its other bytes are the id of.
_SPACE_BITS = 56
_SPACES = {table: (number + 1) << _SPACE_BITS for number, table in enumerate(LOCK_ORDER)}
_COUNTING = 0xFF >> 1 << _SPACE_BITS
# One after another, in the order of the list. (Their result is void, which no CASE can have.)
_LOCK = """
    SELECT count(lock.taken)
    FROM unnest($1::bigint[], $2::boolean[]) AS wanted (id, alone)
    CROSS JOIN LATERAL (
        SELECT pg_advisory_xact_lock(id)::text WHERE alone
        UNION ALL
        SELECT pg_advisory_xact_lock_shared(id)::text WHERE NOT alone
    ) AS lock (taken)
"""
# Nothing is asked from here to the COMMIT, for which everybody waits who changes something: a
# process that is stopped or cut off just then must not have them all wait until they give up.
_AT_ONCE = "set_config('idle_in_transaction_session_timeout', '2s', true)"


@dataclass(frozen=True, slots=True)
class Held:
    """What a transaction keeps as it is from its beginning to its end; others may, too.

    Whoever narrows one of them waits, so what is created under them is there when that returns.
    """

    workspace: int
    user: int
    calling: Sequence[Change] = ()

    @property
    def sql(self) -> str:
        """A statement that takes the locks, in `LOCK_ORDER`; sent with BEGIN it costs no trip."""
        rows = [("workspace", self.workspace), ("user", self.user)]
        rows += [(each.kind.value, each.internal_id) for each in self.calling]
        locks = sorted(_SPACES[table] | each for table, each in rows)
        taken = (f"pg_advisory_xact_lock_shared({each})" for each in locks)
        return f"SELECT {', '.join(taken)}"


class AuthorityWriter:
    """Locks what decisions rest on, and moves the history on.

    Each lock is an advisory lock, for the sake of `Held`: row locks that are shared can keep who
    wants one for itself waiting for ever, as PostgreSQL lets others share a row that is shared
    already. Advisory locks are given in the order of asking (decision 0007). Whoever changes a row
    locks that, too.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(
        self,
        *,
        held_workspace: int,
        workspaces: Iterable[int] = (),
        users: Iterable[int] = (),
        roles: Iterable[int] = (),
        keys: Iterable[int] = (),
        sessions: Iterable[int] = (),
        calling: Iterable[Change] = (),
    ) -> None:
        """Keep rows to this transaction until its end, in `LOCK_ORDER`, and hold a workspace.

        `calling` are the rows that the call stands or falls with, whatever they are.
        """
        given = (workspaces, users, roles, keys, sessions)
        rows = {table: set(ids) for table, ids in zip(LOCK_ORDER, given, strict=True)}
        for each in calling:
            rows[each.kind.value].add(each.internal_id)
        alone = {_SPACES[table] | one for table, ids in rows.items() for one in ids}
        locks = sorted(alone | {_SPACES["workspace"] | held_workspace})
        await self._connection.execute(_LOCK, locks, [each in alone for each in locks])
        for table, ids in rows.items():
            if ids:
                await self._connection.execute(
                    f"SELECT FROM keywright.{table} WHERE id = ANY($1) "
                    "ORDER BY id FOR NO KEY UPDATE",
                    sorted(ids),
                )

    async def count_alone(self, *users: int) -> None:
        """Let nobody else count the keys of these users until the end of the transaction."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(id) FROM unnest($1::bigint[]) AS id",
            [_COUNTING | user for user in sorted(users)],
        )

    async def advance(self, changes: Sequence[Change]) -> Position:
        """Move the history on by one revision that consists of `changes`.

        The row lock that this takes orders all such transactions, so it must be the last statement
        before the COMMIT: then revisions are in commit order and without gaps.
        """
        row = await self._connection.fetchrow(
            f"""
            WITH moved AS (
                UPDATE keywright.authority_revision
                SET revision = revision + 1, tag = gen_random_uuid()
                RETURNING revision, tag
            ), changed AS (
                INSERT INTO keywright.authority_change (revision, tag, kind, changed)
                SELECT moved.revision, moved.tag, one.kind, one.id
                FROM moved, unnest($1::text[], $2::bigint[]) AS one (kind, id)
            )
            SELECT revision, tag, {_AT_ONCE} FROM moved
            """,
            [change.kind.value for change in changes],
            [change.internal_id for change in changes],
        )
        assert row is not None, "the first migration inserts the one row"  # noqa: S101
        return Position(row["revision"], row["tag"])

    async def stay(self) -> Position:
        """Leave the history where it stands, by a write.

        Whoever waits for a position that it only reads waits for one that may be lost: an old
        primary that is cut off still shows what it never made durable. It cannot commit a write.
        """
        row = await self._connection.fetchrow(
            "UPDATE keywright.authority_revision SET revision = revision "
            f"RETURNING revision, tag, {_AT_ONCE}"
        )
        assert row is not None, "the first migration inserts the one row"  # noqa: S101
        return position_of(row)

    async def prune(self, limit: int) -> int:
        """Forget changes that every process has applied long ago; at most `limit` rows.

        Never the newest: whoever is there has to find its own position, to go on from it.
        """
        status = await self._connection.execute(
            """
            DELETE FROM keywright.authority_change
            WHERE (revision, kind, changed) IN (
                SELECT revision, kind, changed FROM keywright.authority_change
                WHERE create_time < now() - interval '1 hour'
                  AND revision < (SELECT revision FROM keywright.authority_revision)
                  AND revision < coalesce((SELECT min(applied) FROM keywright.replica), 0)
                ORDER BY revision, kind, changed LIMIT $1
            )
            """,
            limit,
        )
        return row_count(status)

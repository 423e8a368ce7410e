"""The history of authority: positions, changes, and the locks under which they are made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from keywright.domain.position import Position
from keywright.storage.connection import Connection


class ChangeKind(StrEnum):
    """Which table a change is in."""

    WORKSPACE = "workspace"
    ROLE = "role"
    USER = "user"
    GRANT = "grant"
    KEY = "key"
    KEY_SECRET = "key_secret"  # noqa: S105  a table


@dataclass(frozen=True, slots=True)
class Change:
    """One row whose meaning for authority changed."""

    kind: ChangeKind
    internal_id: int


# Locks are always taken in this order of tables, and by id within one, so that two transactions can
# never wait for each other. The strength leaves foreign keys alone: creating a key for a user does
# not wait for whoever changes that user.
LOCK_ORDER = ("workspace", "user", "role", "grant", "key")


class AuthorityWriter:
    """Locks rows and moves the history on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(
        self,
        *,
        workspaces: Iterable[int] = (),
        users: Iterable[int] = (),
        keys: Iterable[int] = (),
    ) -> None:
        """Lock rows until the end of the transaction, in `LOCK_ORDER`."""
        wanted = {"workspace": workspaces, "user": users, "key": keys}
        for table in LOCK_ORDER:
            ids = sorted(set(wanted.get(table, ())))
            if ids:
                await self._connection.execute(
                    f"SELECT FROM keywright.{table} WHERE id = ANY($1) "
                    "ORDER BY id FOR NO KEY UPDATE",
                    ids,
                )

    async def hold(self, *, users: Iterable[int], keys: Iterable[int]) -> None:
        """Keep rows as they are until the end of the transaction; others may hold them, too.

        Whoever narrows one of them waits, so what is created under them is there when that returns.
        """
        for table, ids in (("user", users), ("key", keys)):
            await self._connection.execute(
                f"SELECT FROM keywright.{table} WHERE id = ANY($1) ORDER BY id FOR SHARE",
                sorted(set(ids)),
            )

    async def position(self) -> Position:
        """Where the history stands, for this transaction."""
        row = await self._connection.fetchrow(
            "SELECT revision, tag FROM keywright.authority_revision"
        )
        assert row is not None, "the first migration inserts the one row"  # noqa: S101
        return Position(row["revision"], row["tag"])

    async def advance(self, changes: Sequence[Change]) -> Position:
        """Move the history on by one revision that consists of `changes`.

        The row lock that this takes orders all such transactions, so it must be the last statement
        before the COMMIT: then revisions are in commit order and without gaps.
        """
        row = await self._connection.fetchrow(
            """
            WITH moved AS (
                UPDATE keywright.authority_revision
                SET revision = revision + 1, tag = gen_random_uuid()
                RETURNING revision, tag
            ), changed AS (
                INSERT INTO keywright.authority_change (revision, tag, kind, changed)
                SELECT moved.revision, moved.tag, one.kind, one.id
                FROM moved, unnest($1::text[], $2::bigint[]) AS one (kind, id)
            )
            SELECT revision, tag FROM moved
            """,
            [change.kind.value for change in changes],
            [change.internal_id for change in changes],
        )
        assert row is not None, "the first migration inserts the one row"  # noqa: S101
        return Position(row["revision"], row["tag"])

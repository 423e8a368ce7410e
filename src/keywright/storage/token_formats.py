"""What the tokens of imported keys look like, as imports have registered it."""

from collections.abc import Sequence
from functools import lru_cache

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.imported import (
    FORMATS_MAX_COUNT,
    SHAPES_MAX_COUNT,
    TokenLookup,
    TokenShape,
)
from keywright.domain.token_pattern import TokenPattern
from keywright.storage.connection import Connection

_SHAPE = "pattern, lookup, prefix_length, hash_offset"
_OF_WORKSPACE = f"""
    SELECT id FROM keywright.token_format
    WHERE workspace = $1 AND ({_SHAPE}) = ($2, $3, $4, $5)
"""


# They are read once a second, and checked when they are registered.
_pattern = lru_cache(maxsize=SHAPES_MAX_COUNT)(TokenPattern.parse)


class TokenFormatReader:
    """Reads token formats."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def shapes(self) -> Sequence[TokenShape]:
        """All that are registered, each once, however many workspaces have it."""
        rows = await self._connection.fetch(f"SELECT DISTINCT {_SHAPE} FROM keywright.token_format")
        return [
            TokenShape(
                _pattern(row["pattern"]),
                TokenLookup(row["lookup"]),
                row["prefix_length"],
                row["hash_offset"],
            )
            for row in rows
        ]


class TokenFormatWriter:
    """Registers token formats."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def register(self, workspace: int, shape: TokenShape) -> int:
        """The format of that shape of a workspace (by internal id): there already, or new.

        Whoever registers a new one waits for others who do, so that the bounds hold, and removes
        those that no key has any more.

        Raises:
            ServiceError: STATE_CONFLICT: there are as many as there may be.
        """
        given = (
            workspace,
            shape.pattern.text,
            shape.lookup,
            shape.prefix_length,
            shape.hash_offset,
        )
        found: int | None = await self._connection.fetchval(_OF_WORKSPACE, *given)
        if found is not None:
            return found
        await self._connection.execute(
            "LOCK TABLE keywright.token_format IN SHARE ROW EXCLUSIVE MODE"
        )
        found = await self._connection.fetchval(_OF_WORKSPACE, *given)  # made meanwhile
        if found is not None:
            return found
        await self._connection.execute(
            "DELETE FROM keywright.token_format f "
            "WHERE NOT EXISTS (SELECT FROM keywright.key_secret WHERE format = f.id)"
        )
        await self._check_count(*given)
        registered: int = await self._connection.fetchval(
            f"INSERT INTO keywright.token_format (workspace, {_SHAPE}) "
            "VALUES ($1, $2, $3, $4, $5) RETURNING id",
            *given,
        )
        return registered

    async def _check_count(self, workspace: int, *shape: object) -> None:
        row = await self._connection.fetchrow(
            f"""
            SELECT count(*) FILTER (WHERE workspace = $1) AS own,
                   count(DISTINCT ({_SHAPE})) AS all,
                   coalesce(bool_or(({_SHAPE}) = ($2, $3, $4, $5)), false) AS known
            FROM keywright.token_format
            """,
            workspace,
            *shape,
        )
        assert row is not None, "an aggregate always has a row"  # noqa: S101
        if row["own"] >= FORMATS_MAX_COUNT:
            raise _too_many(f"the workspace has keys of {FORMATS_MAX_COUNT} formats")
        if row["all"] >= SHAPES_MAX_COUNT and not row["known"]:
            raise _too_many(f"this installation has keys of {SHAPES_MAX_COUNT} formats")


def _too_many(what: str) -> ServiceError:
    return ServiceError(
        Reason.STATE_CONFLICT,
        f"format: {what} already, which is all that there may be: use one of them, or rotate the "
        "keys of one and delete what is left of it",
    )

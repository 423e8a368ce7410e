"""What a connection of ours can do beyond asyncpg's: labels and changes are jsonb."""

import json
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


async def only_roll_back(connection: Connection) -> None:
    """What a connection needs before its next user: nothing, but to be out of a transaction.

    Session state is never changed, so asyncpg's own reset would cost every read a round trip.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def set_codecs(connection: Connection) -> None:
    """Read and write jsonb as Python values."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )

"""What a connection of ours can do beyond asyncpg's: labels and changes are jsonb."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

PooledConnection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PooledConnection"


PATIENCE = timedelta(seconds=1)
"""How long a connection has to come to rest behind a caller who waits no longer; then it is closed.
"""


def row_count(status: str) -> int:
    """How many rows a statement changed, of what asyncpg returns for it: `DELETE 3`."""
    return int(status.rpartition(" ")[2])


async def keep_session(_connection: Connection) -> None:
    """What a connection needs before its next user: nothing.

    Session state is never changed, so asyncpg's own reset would cost every read a round trip.
    """


def close_at_once(connection: Connection) -> None:
    """Close a connection that is of no more use, without a word to the database."""
    with suppress(asyncpg.InterfaceError):  # it died, and the pool has its place back already
        connection.terminate()


async def set_codecs(connection: Connection) -> None:
    """Read and write jsonb as Python values."""
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )
    except BaseException:
        # The pool would take its leave of a database that may not answer any more.
        connection.terminate()
        raise

"""Asks the database for a sign of life, apart from the pool: a pool that is busy is no outage."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import asyncpg

from keywright.storage.failures import DRIVER_ERRORS, translated

_QUESTION = "SELECT"


class Probe:
    """Holds one connection to the database, and makes another when it dies.

    Args:
        dsn: the database.
        patience: how long an answer may take, with that of a new connection.
    """

    def __init__(self, dsn: str, patience: timedelta) -> None:
        self._dsn = dsn
        self._patience = patience.total_seconds()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def ask(self) -> None:
        """One round trip.

        Raises:
            Unavailable: there was no answer, on the old connection nor on a new one.
        """
        try:
            with translated():
                async with asyncio.timeout(self._patience):
                    if not await self._old_one_answers():
                        await self._connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _old_one_answers(self) -> bool:
        if self._connection is None:
            return False
        with suppress(*DRIVER_ERRORS):
            await self._connection.execute(_QUESTION)
            return True
        return False

    async def _connect(self) -> None:
        self.close()
        self._connection = await asyncpg.connect(
            self._dsn, server_settings={"application_name": "keywright probe"}
        )
        await self._connection.execute(_QUESTION)

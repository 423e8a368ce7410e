"""The pool, and the two ways to use it: a reader of one moment, a writer of one transaction."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeVar

import asyncpg

from keywright.domain.errors import Reason, ServiceError
from keywright.storage.audit import AuditWriter
from keywright.storage.authority import AuthorityWriter
from keywright.storage.connection import Connection, only_roll_back, set_codecs
from keywright.storage.credentials import CredentialReader
from keywright.storage.failures import (
    RetryTransaction,
    database_unavailable,
    outcome_unknown,
    translated,
)
from keywright.storage.installation import InstallationReader, InstallationWriter
from keywright.storage.keys import KeyReader, KeyWriter
from keywright.storage.roles import RoleReader
from keywright.storage.users import UserReader, UserWriter
from keywright.storage.workspaces import WorkspaceReader, WorkspaceWriter

Result = TypeVar("Result")

_ATTEMPTS = 5
# What a statement may not use of the caller's deadline: the way back and the reply.
_MARGIN = timedelta(milliseconds=50)


class Reads:
    """The readers, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.credentials = CredentialReader(connection)
        self.installation = InstallationReader(connection)
        self.keys = KeyReader(connection)
        self.roles = RoleReader(connection)
        self.users = UserReader(connection)
        self.workspaces = WorkspaceReader(connection)


class Writes:
    """The writers, over one transaction; `read` sees what it has written so far."""

    def __init__(self, connection: Connection) -> None:
        self.read = Reads(connection)
        self.audit = AuditWriter(connection)
        self.authority = AuthorityWriter(connection)
        self.installation = InstallationWriter(connection)
        self.keys = KeyWriter(connection)
        self.users = UserWriter(connection)
        self.workspaces = WorkspaceWriter(connection)


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections to one PostgreSQL database.

    Every failure leaves as a `ServiceError`; an outage as `Unavailable`.
    """

    pool: "asyncpg.Pool[asyncpg.Record]"
    acquire_timeout: timedelta

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        size: int,
        connect_timeout: timedelta,
        statement_timeout: timedelta,
    ) -> Self:
        """Open a pool of at most `size` connections; the first is made when first needed.

        `statement_timeout` bounds each statement of a call that came without a nearer deadline.
        """
        milliseconds = math.ceil(statement_timeout / timedelta(milliseconds=1))
        with translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=0,
                max_size=size,
                timeout=connect_timeout.total_seconds(),
                max_inactive_connection_lifetime=300,
                init=set_codecs,
                reset=only_roll_back,
                server_settings={
                    "application_name": "keywright",
                    "statement_timeout": str(milliseconds),
                    # The shorter of the two is the one that is told: waiting for others is no
                    # failure of the database.
                    "lock_timeout": str(milliseconds // 2),
                    "idle_in_transaction_session_timeout": str(milliseconds),
                    "timezone": "UTC",
                    # Planning the look-up anew takes several times as long as running it, and
                    # PostgreSQL would: it takes `prefix = ANY($1)` for a search of ten.
                    "plan_cache_mode": "force_generic_plan",
                    # Objects are named with their schema; nothing is looked up on a path that
                    # another role of the database could write to (CVE-2018-1058).
                    "search_path": "pg_catalog",
                },
            )
        return cls(pool, acquire_timeout=connect_timeout)

    async def close(self) -> None:
        """Close the pool, when the calls that use it have ended."""
        try:
            await asyncio.wait_for(self.pool.close(), timeout=5)
        except TimeoutError:
            self.pool.terminate()

    async def ping(self) -> None:
        """One round trip.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._connection() as connection:
            await connection.execute("SELECT")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reads]:
        """Readers over one connection, each statement a snapshot of its own."""
        async with self._connection() as connection:
            yield Reads(connection)

    async def writing(
        self,
        transaction: Callable[[Writes], Awaitable[Result]],
        *,
        within: timedelta | None = None,
    ) -> Result:
        """Run `transaction` and commit it; again, if the database asks for it.

        `transaction` must have no effect but through its `Writes`. `within` is what remains of the
        caller's deadline. A cancelled caller does not cancel a COMMIT under way: it is waited for,
        so that a connection never returns to the pool with an unknown outcome.
        """
        for attempt in range(_ATTEMPTS):
            try:
                async with self._connection() as connection:
                    return await self._once(connection, transaction, within)
            except RetryTransaction:
                await asyncio.sleep(0.005 * attempt)
        raise ServiceError(
            Reason.CONCURRENT_UPDATE, "others are changing the same resources; try again"
        )

    async def _once(
        self,
        connection: Connection,
        transaction: Callable[[Writes], Awaitable[Result]],
        within: timedelta | None,
    ) -> Result:
        await connection.execute(_begin(within))
        try:
            result = await transaction(Writes(connection))
        except BaseException:
            # A connection in a failed state is closed by the pool if even this does not succeed.
            with translated():
                await asyncio.shield(connection.execute("ROLLBACK"))
            raise
        commit = asyncio.ensure_future(connection.execute("COMMIT"))
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait([commit])
            raise
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            raise outcome_unknown() from error
        return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated():
            try:
                acquired = await self.pool.acquire(timeout=self.acquire_timeout.total_seconds())
            except TimeoutError as error:
                raise database_unavailable() from error
            try:
                yield acquired
            finally:
                await asyncio.shield(self.pool.release(acquired))


def _begin(within: timedelta | None) -> str:
    if within is None:
        return "BEGIN"
    milliseconds = max(1, int((within - _MARGIN) / timedelta(milliseconds=1)))
    return f"BEGIN; SET LOCAL statement_timeout = {milliseconds}"

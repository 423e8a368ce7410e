"""The pool, and the two ways to use it: a reader of one moment, a writer of one transaction."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeAlias, TypeVar

import asyncpg

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.position import Position
from keywright.storage.acknowledgements import AcknowledgementReader
from keywright.storage.audit import AuditWriter
from keywright.storage.audit_events import AuditEventReader
from keywright.storage.audit_partitions import PartitionWriter
from keywright.storage.audit_seals import SealReader, SealWriter
from keywright.storage.authority import AuthorityWriter, Held, position
from keywright.storage.commit import commit
from keywright.storage.connection import (
    PATIENCE,
    Connection,
    PooledConnection,
    close_at_once,
    keep_session,
    set_codecs,
)
from keywright.storage.connections import ConnectionLimitReader
from keywright.storage.credentials import CredentialReader
from keywright.storage.durability import DurabilityReader
from keywright.storage.failures import (
    DRIVER_ERRORS,
    RetryTransaction,
    connections_exhausted,
    database_unavailable,
    translated,
)
from keywright.storage.grants import GrantReader, GrantWriter
from keywright.storage.installation import InstallationReader, InstallationWriter
from keywright.storage.key_changes import KeyWriter
from keywright.storage.key_import import KeyImporter
from keywright.storage.keys import KeyReader
from keywright.storage.last_use import LastUseWriter
from keywright.storage.notices import NoticeWriter
from keywright.storage.request_ids import RequestIdReader, RequestIdWriter
from keywright.storage.roles import RoleReader, RoleWriter
from keywright.storage.sessions import SessionReader, SessionWriter
from keywright.storage.token_formats import TokenFormatReader, TokenFormatWriter
from keywright.storage.usage import UsageReader, UsageWriter
from keywright.storage.users import UserReader, UserWriter
from keywright.storage.workspaces import WorkspaceReader, WorkspaceWriter

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Result = TypeVar("Result")

_ATTEMPTS = 5
# A statement is planned once a connection: planning the look-up takes several times as long as
# running it, and PostgreSQL would do so each time, as it takes `prefix = ANY($1)` for a search of
# ten. The plan may be made while the tables are all but empty, when reading them whole is cheapest,
# and would then grow with them. So joins are made in the order in which they are written, row by
# row, through indexes: every statement of ours looks single rows up, or pages of them.
_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "join_collapse_limit": "1",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    # A page is not worth the start of other processes, however many keys there are beside it.
    "max_parallel_workers_per_gather": "0",
}
MARGIN = timedelta(milliseconds=50)
"""What must be left of a caller's deadline, for the way back and the reply."""


class Reads:
    """The readers, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.acknowledgements = AcknowledgementReader(connection)
        self.audit_events = AuditEventReader(connection)
        self.connections = ConnectionLimitReader(connection)
        self.credentials = CredentialReader(connection)
        self.durability = DurabilityReader(connection)
        self.grants = GrantReader(connection)
        self.installation = InstallationReader(connection)
        self.keys = KeyReader(connection)
        self.requests = RequestIdReader(connection)
        self.roles = RoleReader(connection)
        self.seals = SealReader(connection)
        self.sessions = SessionReader(connection)
        self.token_formats = TokenFormatReader(connection)
        self.usage = UsageReader(connection)
        self.users = UserReader(connection)
        self.workspaces = WorkspaceReader(connection)

    async def position(self) -> Position:
        """Where the history of authority stands."""
        return await position(self._connection)


class Writes:
    """The writers, over one transaction; `read` sees what it has written so far."""

    def __init__(self, connection: Connection) -> None:
        self.read = Reads(connection)
        self.audit = AuditWriter(connection)
        self.audit_partitions = PartitionWriter(connection)
        self.authority = AuthorityWriter(connection)
        self.grants = GrantWriter(connection)
        self.installation = InstallationWriter(connection)
        self.imports = KeyImporter(connection)
        self.keys = KeyWriter(connection)
        self.last_use = LastUseWriter(connection)
        self.notices = NoticeWriter(connection)
        self.requests = RequestIdWriter(connection)
        self.roles = RoleWriter(connection)
        self.seals = SealWriter(connection)
        self.sessions = SessionWriter(connection)
        self.token_formats = TokenFormatWriter(connection)
        self.usage = UsageWriter(connection)
        self.users = UserWriter(connection)
        self.workspaces = WorkspaceWriter(connection)


@dataclass(slots=True)
class Database:
    """A pool of connections to one PostgreSQL database.

    Every failure leaves as a `ServiceError`; an outage as `Unavailable`.
    """

    pool: Pool
    writers: asyncio.Semaphore
    new_pool: Callable[[], Awaitable[Pool]]
    acquire_timeout: timedelta
    statement_timeout: timedelta
    waiting_writers: int = 0

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

        def new_pool() -> Pool:
            return asyncpg.create_pool(
                dsn,
                min_size=0,
                max_size=size,
                timeout=connect_timeout.total_seconds(),
                max_inactive_connection_lifetime=300,
                init=set_codecs,
                reset=keep_session,
                server_settings={
                    "application_name": "keywright",
                    "client_min_messages": "warning",
                    "statement_timeout": str(milliseconds),
                    # The shorter of the two is the one that is told: waiting for others is no
                    # failure of the database.
                    "lock_timeout": str(milliseconds // 2),
                    "idle_in_transaction_session_timeout": str(milliseconds),
                    "timezone": "UTC",
                    **_PLANS,
                    # Objects are named with their schema; nothing is looked up on a path that
                    # another role of the database could write to (CVE-2018-1058).
                    "search_path": "pg_catalog",
                },
            )

        with translated():
            # Transactions wait for one another's locks, and hold a connection meanwhile: some are
            # left for reads, so that nobody's token waits for somebody's changes.
            writers = asyncio.Semaphore(max(1, size * 3 // 4))
            return cls(await new_pool(), writers, new_pool, connect_timeout, statement_timeout)

    async def close(self) -> None:
        """Close the pool, when the calls that use it have ended; or soon, if they do not."""
        with suppress(*DRIVER_ERRORS):
            await asyncio.wait_for(self.pool.close(), timeout=2 * PATIENCE.total_seconds())
        self.pool.terminate()

    async def drop(self) -> None:
        """Close every connection at once, also under who waits on one: the database is gone.

        Who waits is told `Unavailable`; who comes next gets a new connection. A connection that
        died without a word would otherwise be found out by a call that it fails.
        """
        dropped, self.pool = self.pool, await self.new_pool()
        dropped.terminate()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reads]:
        """Readers over one connection, each statement a snapshot of its own."""
        try:
            async with self._connection() as connection:
                yield Reads(connection)
        except RetryTransaction as error:
            raise database_unavailable() from error

    async def writing(
        self,
        transaction: Callable[[Writes], Awaitable[Result]],
        *,
        within: timedelta | None = None,
        holding: Held | None = None,
        then: Callable[[Reads, Result], Awaitable[None]] | None = None,
    ) -> Result:
        """Run `transaction` and commit it; again, if the database asks for it.

        `transaction` must have no effect but through its `Writes`. `within` is what remains of the
        caller's deadline, `holding` what is to stay as it is meanwhile, `then` what to do with the
        connection as soon as it has committed the result. Who is cancelled leaves nothing half
        done: before the COMMIT all is rolled back; a COMMIT under way is not cancelled (`commit`).

        Raises:
            Unavailable: nothing happened; or nobody knows, and the message says so.
        """
        for attempt in range(_ATTEMPTS):
            try:
                async with self._writing(), self._connection() as connection:
                    await connection.execute(_begin(within, self.statement_timeout, holding))
                    result = await transaction(Writes(connection))
                    await commit(connection)
                    if then is not None:
                        await then(Reads(connection), result)
                    return result
            except RetryTransaction:
                await asyncio.sleep(0.005 * attempt)
        raise ServiceError(
            Reason.CONCURRENT_UPDATE, "others are changing the same resources; try again"
        )

    def crowded(self) -> bool:
        """Whether somebody who wants to write waits for others to be through."""
        return self.waiting_writers > 0

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        self.waiting_writers += 1
        try:
            # Not `wait_for`: who is let in at once would be taken for one who waits.
            async with asyncio.timeout(self.acquire_timeout.total_seconds()):
                await self.writers.acquire()
        except TimeoutError as error:
            raise connections_exhausted() from error
        finally:
            self.waiting_writers -= 1
        try:
            yield
        finally:
            self.writers.release()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool = self.pool  # `drop` may put another in its place meanwhile
        with translated():
            connection = await self._acquire(pool)
            try:
                yield connection
            except asyncio.CancelledError:
                await _interrupt(connection)
                raise
            except asyncpg.InternalClientError:  # it broke off, but does not know that it is closed
                close_at_once(connection)
                raise
            finally:
                await _give_back(pool, connection)

    async def _acquire(self, pool: Pool) -> PooledConnection:
        try:
            return await pool.acquire(timeout=self.acquire_timeout.total_seconds())
        except TimeoutError as error:
            if pool.get_size() == pool.get_max_size() and not pool.get_idle_size():
                raise connections_exhausted() from error
            raise database_unavailable() from error


async def _interrupt(connection: Connection) -> None:
    """Wait until the database has given up what a cancelled caller asked of it."""
    try:
        # Any statement will do: asyncpg sends it once the cancellation was acknowledged. A failed
        # transaction refuses it, which is as good an answer.
        with suppress(asyncpg.InFailedSQLTransactionError):
            await connection.execute("SELECT", timeout=PATIENCE.total_seconds())
    except Exception:  # noqa: BLE001  whatever it is, this connection is of no more use
        close_at_once(connection)


async def _give_back(pool: Pool, connection: PooledConnection) -> None:
    """Give a connection back, out of any transaction; close it if that is not to be had soon.

    Never fails: what the caller came for is done, or has its own error.
    """
    seconds = PATIENCE.total_seconds()
    try:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=seconds)
        await pool.release(connection, timeout=seconds)
    except Exception:  # noqa: BLE001  whatever it is, this connection is of no more use
        close_at_once(connection)
    except asyncio.CancelledError:
        close_at_once(connection)
        raise


def _begin(within: timedelta | None, most: timedelta, holding: Held | None) -> str:
    begin = "BEGIN"
    if within is not None and within - MARGIN < most:
        milliseconds = max(1, int((within - MARGIN) / timedelta(milliseconds=1)))
        begin += f"; SET LOCAL statement_timeout = {milliseconds}"
    return begin if holding is None else f"{begin}; {holding.sql}"

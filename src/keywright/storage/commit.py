"""COMMIT, and what became of it: done, not done, or unknown."""

import asyncio
from contextlib import suppress

import asyncpg

from keywright.storage.connection import PATIENCE, Connection
from keywright.storage.failures import committing, outcome_unknown


async def commit(connection: Connection) -> None:
    """Commit the transaction of `connection`; returns only if it is certain that it is committed.

    A COMMIT is never cancelled: PostgreSQL would stop waiting for its standby, and report success.
    Who is cancelled waits a little for its end; a connection that is closed then does not disturb
    it. Cancelled from elsewhere (`pg_cancel_backend`), it comes with a WARNING.

    Raises:
        Unavailable: it may have happened or not.
        RetryTransaction: it did not happen; run the transaction again.
        ServiceError: it did not happen.
    """
    warnings: list[str | None] = []

    def listen(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING":
            warnings.append(message.message)

    connection.add_log_listener(listen)
    committing_task = asyncio.create_task(connection.execute("COMMIT"))
    try:
        with committing():
            done = await asyncio.shield(committing_task)
    except asyncio.CancelledError:
        committing_task.add_done_callback(_ignore)
        await asyncio.wait([committing_task], timeout=PATIENCE.total_seconds())
        raise
    finally:
        with suppress(asyncpg.InterfaceError):  # it died, and its listeners with it
            connection.remove_log_listener(listen)
    if warnings:
        connection.terminate()
        raise outcome_unknown()
    if done != "COMMIT":
        raise RuntimeError("a transaction went on after a statement had failed: rolled back")


def _ignore(task: "asyncio.Task[str]") -> None:
    """Take the result that nobody waits for any more."""
    if not task.cancelled():
        task.exception()

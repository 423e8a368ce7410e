"""Whether the server may serve: the database is there, migrated, and knows our peppers.

Until then, and whenever the database goes away, health is NOT_SERVING and calls are `UNAVAILABLE`:
never a verdict about anybody's token (promise G3).
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from keywright.app.composition import Parts
from keywright.app.health import Health
from keywright.domain.errors import ServiceError
from keywright.security.pepper import PepperMismatchError
from keywright.service.installation import Installation
from keywright.storage import migrate
from keywright.storage.failures import UnexpectedDatabaseError, explained
from keywright.wire.rpc import Backend, Services

_log = structlog.get_logger("keywright.readiness")

_ASK_INTERVAL = timedelta(seconds=1)
_RETRY_FIRST = timedelta(milliseconds=250)
_RETRY_MOST = timedelta(seconds=5)
# A database that takes our connections and then says nothing must not stop us from trying again.
_PREPARE_PATIENCE = timedelta(seconds=30)


class NotReadyError(Exception):
    """The database is there, but not as this server needs it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Watches the database, and tells health and the wire of every change."""

    parts: Parts
    dsn: str
    backend: Backend
    health: Health
    ready: asyncio.Event

    async def watch(self) -> None:
        """Become ready, then follow the database, until cancelled.

        Whenever it is lost: 1. health NOT_SERVING. 2. Refuse new calls at once, rather than have
        them wait for it. 3. Drop its connections: who waits on one is told. 4. Wait for it.

        Raises:
            MigrationError: the database and this program do not fit; no waiting will mend that.
        """
        services = await self._become_ready()
        self.ready.set()
        while True:
            self.backend.services = services
            self.health.tell(serving=True)
            error = await self._lost()
            _log.warning("the database is out of reach", error=explained(error))
            self.health.tell(serving=False)
            self.backend.services = None
            await self.parts.database.drop()
            await self._back()
            _log.info("the database is back")

    async def _become_ready(self) -> Services:
        wait, attempt = _RETRY_FIRST, 1
        while True:
            try:
                async with asyncio.timeout(_PREPARE_PATIENCE.total_seconds()):
                    return await self._prepare()
            except ServiceError as error:
                reason = explained(error)
            except (NotReadyError, PepperMismatchError, UnexpectedDatabaseError) as error:
                reason = str(error)
            except TimeoutError:
                reason = "the database does not answer"
            _log.warning(
                "not ready yet", error=reason, attempt=attempt, retry_in=wait.total_seconds()
            )
            await asyncio.sleep(wait.total_seconds())
            wait, attempt = min(wait * 2, _RETRY_MOST), attempt + 1

    async def _prepare(self) -> Services:
        status = await migrate.status(
            self.dsn, migrate.load(), timeout=self.parts.config.database_connect_timeout
        )
        if pending := len(status.pending):
            lacking = "a migration" if pending == 1 else f"{pending} migrations"
            raise NotReadyError(f"the database lacks {lacking}: run `keywright db migrate`")
        installation = Installation(self.parts.database)
        await installation.agree_on_peppers(self.parts.config.peppers)
        return self.parts.services(await installation.signing_key())

    async def _lost(self) -> ServiceError:
        while True:
            await asyncio.sleep(_ASK_INTERVAL.total_seconds())
            if error := await self._trouble():
                return error

    async def _back(self) -> None:
        while True:
            await asyncio.sleep(_ASK_INTERVAL.total_seconds())
            if await self._trouble() is None:
                return

    async def _trouble(self) -> ServiceError | None:
        try:
            await self.parts.probe.ask()
        except ServiceError as error:
            return error
        return None

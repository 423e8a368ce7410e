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
from keywright.wire.rpc import Backend

_log = structlog.get_logger("keywright.readiness")

_PING_INTERVAL = timedelta(seconds=1)
_PING_TIMEOUT = timedelta(seconds=2)
_RETRY_FIRST = timedelta(milliseconds=250)
_RETRY_MOST = timedelta(seconds=5)


class NotReadyError(Exception):
    """The database is there, but not as this server needs it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Watches the database, and tells health of every change."""

    parts: Parts
    dsn: str
    backend: Backend
    health: Health
    ready: asyncio.Event

    async def watch(self) -> None:
        """Become ready, then follow the database, until cancelled.

        Raises:
            MigrationError: the database and this program do not fit; no waiting will mend that.
        """
        await self._become_ready()
        ready = True
        while True:
            await asyncio.sleep(_PING_INTERVAL.total_seconds())
            reachable = await self._reachable()
            if reachable != ready:
                ready = reachable
                self.health.tell(serving=ready)
                if ready:
                    _log.info("the database is back")
                else:
                    _log.warning("the database is out of reach")

    async def _become_ready(self) -> None:
        wait, attempt = _RETRY_FIRST, 1
        while True:
            try:
                await self._prepare()
            except (ServiceError, NotReadyError, PepperMismatchError) as error:
                _log.warning(
                    "not ready yet",
                    error=str(error),
                    attempt=attempt,
                    retry_in=wait.total_seconds(),
                )
            else:
                self.health.tell(serving=True)
                self.ready.set()
                return
            await asyncio.sleep(wait.total_seconds())
            wait, attempt = min(wait * 2, _RETRY_MOST), attempt + 1

    async def _prepare(self) -> None:
        status = await migrate.status(
            self.dsn, migrate.load(), timeout=self.parts.config.database_connect_timeout
        )
        if status.pending:
            raise NotReadyError(
                f"the database lacks {len(status.pending)} migrations: run `keywright db migrate`"
            )
        installation = Installation(self.parts.database)
        await installation.agree_on_peppers(self.parts.config.peppers)
        self.backend.services = self.parts.services(await installation.signing_key())

    async def _reachable(self) -> bool:
        try:
            async with asyncio.timeout(_PING_TIMEOUT.total_seconds()):
                await self.parts.database.ping()
        except (ServiceError, TimeoutError):
            return False
        return True

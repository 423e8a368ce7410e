"""Whether the server may serve: the database is there, migrated, and knows our peppers.

Until then, and whenever the database goes away, health is NOT_SERVING and calls are `UNAVAILABLE`:
never a verdict about anybody's token (promise G3).
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from keywright.app.composition import Parts
from keywright.app.health import Health
from keywright.domain.errors import ServiceError
from keywright.security.pepper import PepperMismatchError
from keywright.service.installation import Installation
from keywright.service.replica.replica import Replica
from keywright.service.warm_up import WarmUp
from keywright.storage import migrate
from keywright.storage.failures import UnexpectedDatabaseError, explained
from keywright.wire.rpc import Backend, Services

_log = structlog.get_logger("keywright.readiness")

_ASK_INTERVAL = timedelta(seconds=1)
# So often the lease may not be had within its length, which can be short, before that is trouble.
_LEASE_ATTEMPTS = 3
_RETRY_FIRST = timedelta(milliseconds=250)
_RETRY_MOST = timedelta(seconds=5)
# A database that takes our connections and then says nothing must not stop us from trying again.
_PREPARE_PATIENCE = timedelta(seconds=30)


def _spare_the_collector() -> None:
    """Have collections of garbage leave out what was made by now, and stays until the end.

    Modules and messages are 100,000 objects: to walk over them, whenever what is remembered has
    grown by a quarter, holds every call up for 50 ms and more.
    """
    gc.collect()
    gc.freeze()


async def _warm(warm_up: WarmUp) -> None:
    try:
        await warm_up.run()
    except ServiceError as error:
        _log.warning("keys were not looked up ahead", error=explained(error))
    except UnexpectedDatabaseError as error:
        _log.error("keys were not looked up ahead", error=str(error))


class NotReadyError(Exception):
    """The database is there, but not as this server needs it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Watches the database, and tells health and the wire of every change.

    `taking_part` ends what keeps the caches true, once the last call is answered; `join` is to be
    awaited as soon as calls can be.
    """

    parts: Parts
    dsn: str
    backend: Backend
    health: Health
    ready: asyncio.Event
    taking_part: AsyncExitStack
    join: Callable[[], Awaitable[None]] | None = None

    async def watch(self) -> None:
        """Become ready, then follow the database, until cancelled.

        Whenever it is lost: 1. health NOT_SERVING. 2. Refuse new calls at once, rather than have
        them wait for it. 3. Drop its connections: who waits on one is told. 4. Wait for it.

        Raises:
            ListenError: as a worker, the port is in use by others all the same.
            MigrationError: the database and this program do not fit; no waiting will mend that.
            LeaseLengthError: nor that others count by another length of leases.
            TooFewConnectionsError: nor that the database has too few connections.
        """
        services = await self._become_ready()
        _spare_the_collector()
        replica = services.authenticate.replica
        await self.taking_part.enter_async_context(replica.running())
        with suppress(ServiceError):  # the first answer would wait for it, too
            await replica.leased()
        self.backend.services = services
        if self.join is not None:
            await self.join()
        self.ready.set()
        warming = asyncio.create_task(_warm(services.warm_up))
        self.taking_part.callback(warming.cancel)
        while True:
            self.backend.is_out_of_reach = False
            self.health.tell(serving=True)
            error = await self._lost(replica)
            _log.warning("the database is out of reach", error=explained(error))
            self.health.tell(serving=False)
            self.backend.is_out_of_reach = True
            await self.parts.database.drop()
            await self._back(replica)
            _log.info("the database is back")

    async def _become_ready(self) -> Services:
        wait, attempt = _RETRY_FIRST, 1
        while True:
            try:
                async with asyncio.timeout(_PREPARE_PATIENCE.total_seconds()):
                    installation = await self._prepare()
                # It may have to see first whether the rows of others are of processes that died.
                asked = self.parts.config.lease_length
                lease_length = await installation.agree_on_lease_length(asked)
                return self.parts.services(await installation.signing_key(), lease_length)
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

    async def _prepare(self) -> Installation:
        status = await migrate.status(
            self.dsn, migrate.load(), timeout=self.parts.config.database_connect_timeout
        )
        if pending := len(status.pending):
            lacking = "a migration" if pending == 1 else f"{pending} migrations"
            raise NotReadyError(f"the database lacks {lacking}: run `keywright db migrate`")
        config, installation = self.parts.config, Installation(self.parts.database)
        await installation.agree_on_peppers(config.peppers)
        if config.database_direct_url is None:  # else a pooler has limits of its own
            await installation.check_connections(config.workers, config.database_pool_size)
        for warning in await installation.durability_warnings():
            _log.warning("the database may lose what it has committed", error=warning)
        return installation

    async def _lost(self, replica: Replica) -> ServiceError:
        while True:
            await asyncio.sleep(_ASK_INTERVAL.total_seconds())
            if error := await self._trouble(replica):
                return error

    async def _back(self, replica: Replica) -> None:
        while True:
            await asyncio.sleep(_ASK_INTERVAL.total_seconds())
            if await self._trouble(replica) is None:
                return

    async def _trouble(self, replica: Replica) -> ServiceError | None:
        """Why the server cannot serve: the database says nothing, or the lease is not to be had."""
        try:
            await self.parts.probe.ask()
            for _ in range(_LEASE_ATTEMPTS - 1):
                with suppress(ServiceError):
                    await replica.leased()
            await replica.leased()
        except ServiceError as error:
            return error
        return None

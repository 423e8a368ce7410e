"""The server: listens, follows the database, and stops without dropping a call."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import REGISTRY

from keywright.app import endpoint, metrics, sealing, verdict_log
from keywright.app.background import Background
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.grpc_server import GrpcListener
from keywright.app.health import Health
from keywright.app.readiness import Readiness
from keywright.wire.contract import services
from keywright.wire.rpc import Backend

_log = structlog.get_logger("keywright.server")
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that listens; `target` is what a client on this machine connects to.

    `ready` is set once calls can be answered, `stopped` when the server is to stop; `health` is
    what everybody is told.
    """

    target: str
    ready: asyncio.Event
    stopped: asyncio.Event
    health: Health


class Listener(Protocol):
    """What calls come in by: `bind`, then `start`, and in the end `stop`."""

    def bind(self) -> str:
        """Take the address; returns what a client on this machine connects to."""
        ...

    async def start(self, target: str) -> None:
        """Answer from now on, and log at which `target`."""
        ...

    async def stop(self, grace: timedelta) -> None:
        """Take no more calls, and end when the last one has, or after so long."""
        ...


Listens = Callable[[Config, Backend, Health, bool], Listener]
"""Makes a listener; the last is whether it shares its port with other workers."""


@asynccontextmanager
async def listening(
    config: Config, dsn: str, *, worker: int | None = None, listens: Listens = GrpcListener
) -> AsyncIterator[Listening]:
    """Serve for as long as the block runs, or until `stopped` is set by a signal.

    1. Listen, with health NOT_SERVING; a worker among others once it can answer. 2. Follow the
    database. At the end: 3. health NOT_SERVING, so that nobody sends more, and the end of every
    stream. 4. Finish the calls in flight, within `shutdown_grace`. 5. Close.

    `worker` is the number of a worker, whose port was made sure of (`workers.port`). `listens`
    makes what calls come in by.

    Raises:
        ListenError: an address is in use or is not one of this machine.
        MigrationError: the database and this program do not fit.
        LeaseLengthError: other servers count by another length of leases.
    """
    async with AsyncExitStack() as stack:
        parts = await Parts.open(config, dsn)
        stack.push_async_callback(parts.close)
        wanted = stack.enter_context(verdict_log.kept(config, worker))
        backend = Backend(parts.settings(), verdict_log=wanted)
        health = Health([service.full_name for service in services()])
        listener = listens(config, backend, health, worker is not None)
        target = listener.bind() if worker is None else str(config.listen)
        stack.enter_context(metrics.collected(parts, backend))
        stack.callback(endpoint.serve(config.metrics_listen, REGISTRY, lambda: health.serving))
        await stack.enter_async_context(_background(config, parts, backend))
        taking_part = await stack.enter_async_context(AsyncExitStack())
        stack.push_async_callback(listener.stop, config.shutdown_grace)
        join = None
        if worker is None:
            await listener.start(target)
        else:
            # Not before it can answer: the kernel would lead connections here that others serve.
            join = partial(_join, listener)
        ready, stopped = asyncio.Event(), asyncio.Event()
        readiness = asyncio.create_task(
            Readiness(parts, dsn, backend, health, ready, taking_part, join).watch()
        )
        readiness.add_done_callback(lambda _task: stopped.set())
        try:
            yield Listening(target, ready, stopped, health)
        finally:
            health.close()
            backend.stopping.set()
            readiness.cancel()
            (outcome,) = await asyncio.gather(readiness, return_exceptions=True)
    _log.info("stopped")
    if isinstance(outcome, Exception):
        raise outcome


@asynccontextmanager
async def _background(config: Config, parts: Parts, backend: Backend) -> AsyncIterator[None]:
    """Do what is done now and then."""
    background, usage, notices = Background(), parts.usage, parts.notices
    async with AsyncExitStack() as stack:
        # Before what writes events at the end, to end after it.
        await stack.enter_async_context(sealing.keeping_the_trail(parts, backend, background))
        for what, work, every, at_the_end in (
            ("write the usage of keys", usage.write, config.usage_interval, usage.finish),
            ("write usage early", usage.write_early, _SECOND, None),
            ("write notices", notices.write, _SECOND, notices.finish),
            ("forget what is old", parts.retention.forget, _MINUTE, None),
        ):
            await stack.enter_async_context(
                background.repeating(what, work, every=every, at_the_end=at_the_end)
            )
        yield


async def _join(listener: Listener) -> None:
    await listener.start(listener.bind())


async def until_signalled(stopped: asyncio.Event, again: Callable[[], None] | None = None) -> None:
    """Wait for SIGTERM or SIGINT. A second one ends the process at once, or calls `again`."""
    loop = asyncio.get_running_loop()

    def stop(which: signal.Signals) -> None:
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)
            if again is None:
                signal.signal(each, signal.SIG_DFL)
            else:
                loop.add_signal_handler(each, again)
        stopped.set()
        _log.info("stopping", signal=which.name)

    for each in _STOP_SIGNALS:
        loop.add_signal_handler(each, stop, each)
    await stopped.wait()

"""The server: listens, follows the database, and stops without dropping a call."""

import asyncio
import math
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

from keywright import __version__
from keywright.app import metrics, sealing
from keywright.app.background import Background
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.health import Health
from keywright.app.listen import ListenError, TcpAddress
from keywright.app.readiness import Readiness
from keywright.wire.contract import services
from keywright.wire.grpc import Transport
from keywright.wire.rpc import Backend

_log = structlog.get_logger("keywright.server")
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that listens; `target` is what a client on this machine connects to.

    `ready` is set once calls can be answered, `stopped` when the server is to stop.
    """

    target: str
    ready: asyncio.Event
    stopped: asyncio.Event


@asynccontextmanager
async def listening(config: Config, dsn: str) -> AsyncIterator[Listening]:
    """Serve for as long as the block runs, or until `stopped` is set by a signal.

    1. Listen, with health NOT_SERVING. 2. Follow the database. At the end: 3. health NOT_SERVING,
    so that nobody sends more. 4. Finish the calls in flight, within `shutdown_grace`. 5. Close.

    Raises:
        ListenError: an address is in use or is not one of this machine.
        MigrationError: the database and this program do not fit.
    """
    async with AsyncExitStack() as stack:
        parts = await Parts.open(config, dsn)
        stack.push_async_callback(parts.close)
        backend = Backend(parts.settings())
        health = Health([service.full_name for service in services()])
        server = _server(config, backend, health)
        target = _bind(server, config)
        stack.callback(metrics.serve(config.metrics_listen, parts))
        # Before what writes events at the end, to end after it.
        background = Background()
        await stack.enter_async_context(sealing.keeping_the_trail(parts, backend, background))
        await stack.enter_async_context(
            background.repeating(
                "write the usage of keys",
                parts.usage.write,
                every=config.usage_interval,
                at_the_end=parts.usage.finish,
            )
        )
        for what, work, every, at_the_end in (
            ("write usage early", parts.usage.write_early, _SECOND, None),
            ("write notices", parts.notices.write, _SECOND, parts.notices.finish),
            ("forget what is old", parts.retention.forget, _MINUTE, None),
        ):
            await stack.enter_async_context(
                background.repeating(what, work, every=every, at_the_end=at_the_end)
            )
        await server.start()
        stack.push_async_callback(server.stop, config.shutdown_grace.total_seconds())
        _log.info("listening", listen=target, version=__version__)
        ready, stopped = asyncio.Event(), asyncio.Event()
        readiness = asyncio.create_task(Readiness(parts, dsn, backend, health, ready).watch())
        readiness.add_done_callback(lambda _task: stopped.set())
        try:
            yield Listening(target, ready, stopped)
        finally:
            health.close()
            readiness.cancel()
            (outcome,) = await asyncio.gather(readiness, return_exceptions=True)
    _log.info("stopped")
    if isinstance(outcome, Exception):
        raise outcome


async def until_signalled(stopped: asyncio.Event) -> None:
    """Wait for SIGTERM or SIGINT. A second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def stop(which: signal.Signals) -> None:
        for each in _STOP_SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stopped.set()
        _log.info("stopping", signal=which.name)

    for each in _STOP_SIGNALS:
        loop.add_signal_handler(each, stop, each)
    await stopped.wait()


def _server(config: Config, backend: Backend, health: Health) -> grpc.aio.Server:
    server = grpc.aio.server(options=_options(config))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if config.reflection:
        names = [*(service.full_name for service in services()), HEALTH, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, cast("grpc.Server", server))
    # Last, because it answers for every method that no other handler knows.
    server.add_generic_rpc_handlers((Transport(backend),))
    return server


def _bind(server: grpc.aio.Server, config: Config) -> str:
    credentials = config.tls.server_credentials() if config.tls else None
    try:
        port = (
            server.add_secure_port(str(config.listen), credentials)
            if credentials
            else server.add_insecure_port(str(config.listen))
        )
    except RuntimeError as error:
        raise ListenError(
            f"{config.listen} cannot be listened on: it is in use, or not an address of this "
            "machine; choose another with KEYWRIGHT_LISTEN"
        ) from error
    if isinstance(config.listen, TcpAddress):
        return str(TcpAddress(config.listen.host, port))
    return str(config.listen)


def _options(config: Config) -> list[tuple[str, int]]:
    """Channel arguments of gRPC (grpc/impl/channel_arg_names.h); times in milliseconds."""
    return [
        # Two servers on one port would share it silently: a port in use is a mistake to be told.
        ("grpc.so_reuseport", 0),
        # gRPC refuses what is longer without a word of ours, so `validation` has the real limit.
        ("grpc.max_receive_message_length", 2 * config.max_request_bytes),
        ("grpc.max_send_message_length", config.max_response_bytes),
        ("grpc.max_metadata_size", config.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", config.max_metadata_bytes),
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.keepalive_time_ms", _milliseconds(config.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(config.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            _milliseconds(config.keepalive_min_ping_interval),
        ),
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.max_connection_age_grace)),
    ]


def _milliseconds(value: timedelta) -> int:
    return math.ceil(value / timedelta(milliseconds=1))

"""The server: listens, follows the database, and stops without dropping a call."""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import cast

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection
from prometheus_client import REGISTRY

from keywright import __version__
from keywright.app import descriptors, endpoint, metrics, sealing, verdict_log
from keywright.app.background import Background
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.health import Health
from keywright.app.listen import TcpAddress, in_use
from keywright.app.readiness import Readiness
from keywright.wire.contract import services
from keywright.wire.grpc import Transport
from keywright.wire.rpc import Backend

_log = structlog.get_logger("keywright.server")
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_UNCOMPRESSED_ONLY = 1  # bit 0 of grpc_compression_algorithm: identity


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


@asynccontextmanager
async def listening(
    config: Config, dsn: str, *, worker: int | None = None
) -> AsyncIterator[Listening]:
    """Serve for as long as the block runs, or until `stopped` is set by a signal.

    1. Listen, with health NOT_SERVING; a worker among others once it can answer. 2. Follow the
    database. At the end: 3. health NOT_SERVING, so that nobody sends more, and the end of every
    stream. 4. Finish the calls in flight, within `shutdown_grace`. 5. Close.

    `worker` is the number of a worker, whose port was made sure of (`workers.port`).

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
        server = _server(config, backend, health, shares_port=worker is not None)
        target = _bind(server, config) if worker is None else str(config.listen)
        stack.enter_context(metrics.collected(parts, backend))
        stack.callback(endpoint.serve(config.metrics_listen, REGISTRY, lambda: health.serving))
        await stack.enter_async_context(_background(config, parts, backend))
        taking_part = await stack.enter_async_context(AsyncExitStack())
        stack.push_async_callback(server.stop, config.shutdown_grace.total_seconds())
        join = None
        if worker is None:
            await _start(server, target)
        else:
            # Not before it can answer: the kernel would lead connections here that others serve.
            join = partial(_join, server, config)
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


async def _join(server: grpc.aio.Server, config: Config) -> None:
    await _start(server, _bind(server, config))


async def _start(server: grpc.aio.Server, target: str) -> None:
    await server.start()
    _log.info("listening", listen=target, version=__version__)


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


def _server(
    config: Config, backend: Backend, health: Health, *, shares_port: bool
) -> grpc.aio.Server:
    server = grpc.aio.server(options=_options(config, shares_port=shares_port))
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
        raise in_use(config.listen) from error
    if isinstance(config.listen, TcpAddress):
        return str(TcpAddress(config.listen.host, port))
    return str(config.listen)


def _options(config: Config, *, shares_port: bool) -> list[tuple[str, int]]:
    """Channel arguments of gRPC (grpc/impl/channel_arg_names.h); times in milliseconds."""
    return [
        # Two servers on one port would share it silently: a port in use is a mistake to be told.
        ("grpc.so_reuseport", int(shares_port)),
        # gRPC refuses what is longer without a word of ours, so `validation` has the real limit.
        ("grpc.max_receive_message_length", 2 * config.max_request_bytes),
        ("grpc.max_send_message_length", config.max_response_bytes),
        ("grpc.max_metadata_size", config.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", config.max_metadata_bytes),
        # gRPC limits a message by what came over the wire, and inflates it in one go: 8 KiB become
        # 8 MiB, and the longest request 8 GiB. So nothing is inflated; the first argument tells
        # clients so (UNIMPLEMENTED), the second holds before the first has been noticed.
        ("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED_ONLY),
        ("grpc.per_message_decompression", 0),
        ("grpc.max_allowed_incoming_connections", descriptors.connections(config)),
        # Also the bound of a rapid reset (CVE-2023-44487): gRPC counts a reset stream until
        # its work is undone, and refuses what is more before Python sees it. 40 connections that
        # reset 1000 calls each held others up for 4 s and took 450 MiB; with 100, a tenth of that.
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.keepalive_time_ms", _milliseconds(config.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(config.keepalive_timeout)),
        # Of every PING, not of keepalive's only: a client that goes right after it has spoken
        # leaves one unanswered that measures the line, and keepalive waits for that a minute.
        ("grpc.http2.ping_timeout_ms", _milliseconds(config.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients may ping as often as they like, which costs 0.1 us each. A gRPC that counts them
        # reads on what has arrived of a flood, and keeps each PING of it as an error of 4 KiB: of
        # 13 MiB of PINGs came 3.6 GiB and 10 s of processor time.
        ("grpc.http2.max_ping_strikes", 0),
        # From the first byte to the client's SETTINGS, with TLS between: a slow preface ends here.
        ("grpc.server_handshake_timeout_ms", _milliseconds(config.handshake_timeout)),
        ("grpc.max_connection_idle_ms", _milliseconds(config.max_connection_idle)),
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.max_connection_age_grace)),
    ]


def _milliseconds(value: timedelta) -> int:
    return math.ceil(value / timedelta(milliseconds=1))

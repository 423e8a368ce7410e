"""The sidecar as a program: listens, keeps its lease, and stops without dropping a request."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from keywright import __version__
from keywright.programs import limited_http
from keywright.programs.addresses import (
    Address,
    TcpAddress,
    UnixAddress,
    listening_socket,
)
from keywright.programs.log import Log
from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.errors import ConfigurationError
from keywright.sidecar import envoy
from keywright.sidecar.config import ORIGINAL_REQUEST, Config
from keywright.sidecar.counting import Counts
from keywright.sidecar.gate import Gate
from keywright.sidecar.http import Application
from keywright.sidecar.journal import Journal

_WATCH_SECONDS = 0.25

Checks = Callable[[envoy.Check, Config], AbstractAsyncContextManager[str]]
"""Answers `Check` as long as the block runs; tells where."""


async def serve(
    config: Config, authenticator: Authenticator, stopping: asyncio.Event, checks: Checks
) -> None:
    """Serve until `stopping`.

    1. Listen: not ready, but for what needs no key, until there is a lease. 2. At `stopping`: not
    ready any more. 3. Finish what is under way, within `stop_seconds`. 4. Close.

    Raises:
        ConfigurationError: `LISTEN_FAILED`.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it has nothing to say to an operator
    log = Log()
    async with authenticator:
        counts = Counts(lambda: authenticator.is_leased, lambda: gate.in_flight)
        journal = Journal(log, config.access_log, counts)
        original = config.forward_auth and ORIGINAL_REQUEST[config.forward_auth.proxy]
        gate = Gate(
            authenticator,
            config.routes,
            identity=config.identity,
            sources=config.credentials,
            told=original.names if original else (),
            max_concurrent=config.limits.concurrent_requests,
            observe=journal.decided,
            fault=journal.failed,
        )

        def scraped() -> tuple[str, bytes]:
            journal.settle()
            return counts.text()

        application = Application(
            gate,
            config.forward_auth,
            over_unix=isinstance(config.http, UnixAddress),
            is_ready=lambda: authenticator.is_leased and not stopping.is_set(),
            metrics=scraped,
        )
        async with (
            _over_http(application, config) as http,
            checks(envoy.Check(gate), config) as asked,
        ):
            log.write("listening", http=http, envoy=asked, version=__version__, pid=os.getpid())
            watching = asyncio.create_task(_tell_of_leases(authenticator, log))
            await stopping.wait()
            watching.cancel()
            journal.settle()
            log.write("stopping")
        journal.settle()
    log.write("stopped")


@asynccontextmanager
async def _over_http(application: Application, config: Config) -> AsyncIterator[str]:
    if config.http is None:
        yield ""
        return
    try:
        listening = listening_socket(config.http)
    except OSError as error:
        raise cannot_listen(config.http, error.strerror or str(error)) from error
    server = limited_http.create_server(application, config.limits, application.at_once)
    address = config.http
    if isinstance(address, TcpAddress):
        address = TcpAddress(address.host, listening.getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield str(address)
    finally:
        # Before the requests under way: by their end there may be another sidecar's socket there.
        if isinstance(config.http, UnixAddress):
            config.http.path.unlink(missing_ok=True)
        server.should_exit = True
        await serving


@asynccontextmanager
async def over_grpc(check: envoy.Check, config: Config) -> AsyncIterator[str]:
    """Answer `Check` by a server of grpc.aio."""
    if config.envoy is None:
        yield ""
        return
    address = config.envoy
    server = envoy.create_server(check, config.limits)
    try:
        listening_socket(address).close()  # gRPC would not say why it cannot
        port = server.add_insecure_port(str(address))
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "somebody else listens there"
        raise cannot_listen(address, why) from error
    if isinstance(address, TcpAddress):
        address = TcpAddress(address.host, port)
    await server.start()
    try:
        yield str(address)
    finally:
        await server.stop(config.limits.stop_seconds)


async def _tell_of_leases(authenticator: Authenticator, log: Log) -> None:
    """Log whenever the sidecar becomes ready, or is not ready any more, and why."""
    told: tuple[bool, str] = (False, "")
    while True:
        trouble = authenticator.trouble
        now = (authenticator.is_leased, "" if trouble is None else trouble.reason)
        if now[0] and not told[0]:
            log.write("ready")
        elif not now[0] and now != told and (trouble is not None or told[0]):
            message = "" if trouble is None else trouble.message
            log.write("not ready", reason=now[1], message=message)
        told = now
        await asyncio.sleep(_WATCH_SECONDS)  # nobody tells when a lease ends


def cannot_listen(address: Address, why: str) -> ConfigurationError:
    """What is told of an address that cannot be listened on."""
    return ConfigurationError(
        f"{address} cannot be listened on: {why}; choose another under [listen]",
        reason="LISTEN_FAILED",
    )

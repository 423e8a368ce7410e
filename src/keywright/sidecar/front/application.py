"""What pyvoy runs inside Envoy: the sidecar, to whom Envoy hands each `Check`."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import typer

from keywright.front import life
from keywright.front.admin import Admin
from keywright.front.life import Life, Serve
from keywright.programs.addresses import TcpAddress, UnixAddress
from keywright.programs.command import EXIT_USAGE
from keywright.sdk.errors import ConfigurationError
from keywright.sidecar.config import Config
from keywright.sidecar.envoy import Check
from keywright.sidecar.front.checks import Checks
from keywright.sidecar.front.program import Order
from keywright.sidecar.policy import read_config
from keywright.sidecar.serve import serve

_PLACES = life.here()


async def _work(started: Serve) -> None:
    order = Order.read(_PLACES)
    os.chdir(order.directory)

    @asynccontextmanager
    async def by_envoy(check: Check, config: Config) -> AsyncIterator[str]:
        """Have Envoy listen, and hand on what it is asked."""
        assert config.envoy is not None, "the configuration is verified"  # noqa: S101
        await started(Checks(check, config.limits))
        admin = Admin(_PLACES.admin)
        await admin.is_live()
        address = config.envoy
        if isinstance(address, TcpAddress):
            address = TcpAddress(address.host, await admin.port())
        try:
            yield str(address)
        finally:
            await admin.drain(timedelta(seconds=config.limits.stop_seconds))
            if isinstance(address, UnixAddress):
                address.path.unlink(missing_ok=True)

    try:
        config = read_config(Path(order.config))
        await serve(config, order.caller.authenticator(), _stop_at_a_signal(), by_envoy)
    except ConfigurationError as error:
        typer.echo(error, err=True)
        sys.exit(EXIT_USAGE)


def _stop_at_a_signal() -> asyncio.Event:
    """As without the front: a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    said: list[signal.Signals] = []

    def stop(which: signal.Signals) -> None:
        if said:
            app.end(128 + which)
        said.append(which)
        loop.call_soon_threadsafe(stopping.set)

    life.at_signals(stop)
    return stopping


def _complain(event: str) -> None:
    typer.echo(event, err=True)
    if sys.exc_info()[0] is not None:
        traceback.print_exc()


app = Life(_PLACES, _work, _complain)

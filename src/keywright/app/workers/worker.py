"""One worker: a server like any other, but for the port, which it shares, and its supervisor.

Started by `supervisor`, as a program of its own: gRPC does not survive a fork once it runs.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from prometheus_client import generate_latest

from keywright.app.config import Config, load
from keywright.app.exits import fail, run_async, told
from keywright.app.grpc_server import GrpcListener
from keywright.app.lines import STDERR
from keywright.app.log import configure
from keywright.app.server import Listens, listening, until_signalled
from keywright.app.workers.control import Control, Order


def main() -> None:
    """Be the worker that the socket on stdin orders."""
    control = Control(socket.socket(fileno=sys.stdin.fileno()))
    with told():
        order, config = ordered(control)
        run_async(work(control, order, config, until_signalled))


def ordered(control: Control) -> tuple[Order, Config]:
    """What this process is to be, which is then ready to log.

    Raises:
        ConfigurationError: it cannot be that.
        SystemExit: there is no supervisor any more.
    """
    try:
        order = control.order()
    except EOFError:
        fail("the supervisor has ended")
    os.chdir(order.directory)  # an Envoy was started elsewhere
    file = None if order.config_file is None else Path(order.config_file)
    config = load({**os.environ, **order.settings}, file, order.content)
    config.verify(needs_database_url=True)
    configure(config.log_level, config.log_format, STDERR, order.among(config.workers))
    return order, config


async def work(
    control: Control,
    order: Order,
    config: Config,
    until: Callable[[asyncio.Event], Awaitable[None]],
    listens: Listens = GrpcListener,
) -> None:
    """Serve `until` the server is to stop."""
    assert config.database_url is not None, "verify() asks for it"  # noqa: S101
    loop, worker = asyncio.get_running_loop(), order.among(config.workers)
    beating = asyncio.create_task(control.beat())
    async with listening(
        config, config.database_url.reveal(), worker=worker, listens=listens
    ) as server:
        server.health.told.append(control.tell)
        control.obey(
            metrics=generate_latest,
            close=lambda: _call(loop, server.health.close),
            stop=lambda: _call(loop, server.stopped.set),
            grace=config.shutdown_grace,
        )
        await until(server.stopped)
    beating.cancel()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(callback)


if __name__ == "__main__":
    main()

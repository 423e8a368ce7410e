"""What pyvoy runs inside Envoy: a worker like any other, but for what calls come in by."""

import asyncio
import signal
import socket
import sys
from functools import partial

import structlog

from keywright.app.exits import told
from keywright.app.front.listener import EnvoyListener
from keywright.app.workers.control import Control
from keywright.app.workers.worker import ordered, work
from keywright.front import life
from keywright.front.life import Life, Serve

_log = structlog.get_logger("keywright.server")
_STDIN = 0
_PLACES = life.here()


async def _work(serve: Serve) -> None:
    with told():
        control = Control(socket.socket(fileno=_STDIN))
        order, config = ordered(control)
        listens = partial(EnvoyListener, _PLACES, serve)
        await work(control, order, config, _until_signalled, listens)


async def _until_signalled(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def stop(which: signal.Signals) -> None:
        _log.info("stopping", signal=which.name)
        loop.call_soon_threadsafe(stopped.set)

    life.at_signals(stop)
    await stopped.wait()


def _complain(event: str) -> None:
    _log.error(event, exc_info=sys.exc_info()[0] is not None)


app = Life(_PLACES, _work, _complain)

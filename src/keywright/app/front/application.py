"""What pyvoy runs inside Envoy: a worker like any other, but for what calls come in by.

Envoy's main thread imports this module, waits until the application has said that it has started,
and takes the port only then. Calls and all else are on one event loop, on another thread. SIGTERM
is blocked in all threads (`program`); one of ours waits for it, and Envoy is told to end when the
last call has.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import structlog

from keywright.app.exits import EXIT_FAILED, told
from keywright.app.front.admin import Admin
from keywright.app.front.listener import EnvoyListener
from keywright.app.front.places import Places
from keywright.app.front.program import STOP_SIGNALS
from keywright.app.workers.control import Control
from keywright.app.workers.worker import ordered, work
from keywright.wire.asgi import Application, Receive, Scope, Send

_log = structlog.get_logger("keywright.server")
_STDIN = 0


class Front:
    """The ASGI application: its life, and the calls that Envoy sends it."""

    # It is called with all three at once, though it is no coroutine itself: that would be one more.
    _asgi_single_callable = True

    def __init__(self, places: Places, control: Control) -> None:
        self._places = places
        self._control = control
        self._application: Application | None = None
        self._is_over = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Answer a call; or live, for as long as Envoy does."""
        if scope["type"] == "http":
            assert self._application is not None, "Envoy listens after that"  # noqa: S101
            return self._application(scope, receive, send)
        return self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        working = asyncio.create_task(self._work(send))
        await receive()  # lifespan.shutdown
        if not self._is_over:
            _log.error("Envoy has ended of itself, and its calls with it")
            # Nobody is there any more who could be asked to drain.
            self._places.admin.unlink(missing_ok=True)
            working.cancel()
            await asyncio.wait([working])
            os._exit(EXIT_FAILED)
        shutil.rmtree(self._places.directory, ignore_errors=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _work(self, send: Send) -> None:
        """Serve to the end, and have Envoy end then; end at once what cannot go on."""
        try:
            with told():
                order, config = ordered(self._control)
                listens = partial(EnvoyListener, self._places, partial(self._serve, send))
                await work(self._control, order, config, self._until_signalled, listens)
        except SystemExit as ended:
            _end(ended.code if isinstance(ended.code, int) else EXIT_FAILED)
        except Exception:  # noqa: BLE001  a worker's traceback, and its end
            _log.exception("the server has ended")
            _end(EXIT_FAILED)
        self._is_over = True
        if self._application is None:  # Envoy waits for the start, which is not to come
            _end(0)
        await Admin(self._places.admin).quit()

    async def _serve(self, send: Send, application: Application) -> None:
        self._application = application
        await send({"type": "lifespan.startup.complete"})

    async def _until_signalled(self, stopped: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def wait() -> None:
            which = signal.Signals(signal.sigwait(STOP_SIGNALS))
            _log.info("stopping", signal=which.name)
            loop.call_soon_threadsafe(stopped.set)

        threading.Thread(target=wait, name="signals", daemon=True).start()
        await stopped.wait()


def _end(status: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(status)


def _inside() -> Front:
    # pyvoy puts it first; nothing is to be imported from where this process is.
    sys.path[:] = [each for each in sys.path if each != "."]
    return Front(Places(Path.cwd()), Control(socket.socket(fileno=_STDIN)))


app = _inside()

"""The life of an application inside Envoy, and how both end together.

Envoy's main thread imports the application's module, waits until the application has said that it
has started, and takes its ports only then. Calls and all else are on one event loop, on another
thread. SIGTERM is blocked in all threads (`program`); one of ours waits for it, and Envoy is told
to end when the last call has.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from http.client import HTTPException
from typing import Any, NoReturn

from keywright.front import places
from keywright.front.admin import Admin
from keywright.front.calls import Receive, Scope, Send
from keywright.front.places import Places
from keywright.front.program import STOP_SIGNALS

Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
Serve = Callable[[Application], Awaitable[None]]
"""Says that there is an application; Envoy takes its ports then, and asks it."""

EXIT_FAILED = 1


class Life:
    """The ASGI application: it lives for as long as Envoy does, and hands calls on.

    Args:
        ours: in the private directory, which this removes in the end.
        work: serves to the end; raises SystemExit where it has told what is wrong.
        complain: told of what nobody has foreseen; inside of `except` where there is an error.
    """

    # It is called with all three at once, though it is no coroutine itself: that would be one more.
    _asgi_single_callable = True

    def __init__(
        self,
        ours: Places,
        work: Callable[[Serve], Awaitable[None]],
        complain: Callable[[str], None],
    ) -> None:
        self._places = ours
        self._work = work
        self._complain = complain
        self._application: Application | None = None
        self._is_over = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Answer a call; or live."""
        if scope["type"] == "http":
            assert self._application is not None, "Envoy listens after that"  # noqa: S101
            return self._application(scope, receive, send)
        return self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        working = asyncio.create_task(self._to_the_end(send))
        await receive()  # lifespan.shutdown
        if not self._is_over:
            self._complain("Envoy has ended of itself, and its calls with it")
            # Nobody is there any more who could be asked to drain.
            self._places.admin.unlink(missing_ok=True)
            working.cancel()
            await asyncio.wait([working])
            self.end(EXIT_FAILED)
        shutil.rmtree(self._places.directory, ignore_errors=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _to_the_end(self, send: Send) -> None:
        async def serve(application: Application) -> None:
            self._application = application
            await send({"type": "lifespan.startup.complete"})

        try:
            await self._work(serve)
        except SystemExit as ended:
            self.end(ended.code if isinstance(ended.code, int) else EXIT_FAILED)
        except Exception:  # noqa: BLE001  a traceback, and the end
            self._complain("the server has ended")
            self.end(EXIT_FAILED)
        self._is_over = True
        if self._application is None:  # Envoy waits for the start, which is not to come
            self.end(0)
        with suppress(OSError, HTTPException):
            await Admin(self._places.admin).quit()
            return
        self.end(0)  # Envoy is not to be spoken to: its socket is gone, say

    def end(self, status: int) -> NoReturn:
        """End at once, and Envoy with it."""
        shutil.rmtree(self._places.directory, ignore_errors=True)
        sys.stderr.flush()
        os._exit(status)


def here() -> Places:
    """The places of this process, which Envoy was started in; to be called first."""
    # pyvoy puts it first; nothing is to be imported from where this process is.
    sys.path[:] = [each for each in sys.path if each != "."]
    return places.here()


def at_signals(act: Callable[[signal.Signals], None]) -> None:
    """Have `act` called, on a thread, whenever this process is to end."""

    def wait() -> None:
        while True:
            act(signal.Signals(signal.sigwait(STOP_SIGNALS)))

    threading.Thread(target=wait, name="signals", daemon=True).start()

"""The authenticator for programs of threads."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.forks import forked
from keywright.sdk.errors import KeywrightError, Unavailable
from keywright.sdk.values.results import Principal

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


def _takes(
    _kind: Callable[Parameters, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, Parameters], None]]:
    """For type checkers: what is decorated takes what that takes."""
    return lambda method: method


class BlockingAuthenticator:
    """An `Authenticator` that threads share, and that blocks them while it asks the server.

    with BlockingAuthenticator() as authenticator:
        principal = authenticator.authenticate(token, require=["datasets.read"])

    It takes the same arguments. A thread of its own watches; what is known is answered in the
    caller's. It begins with the block, or else with the first call, and then ends with the program:
    so a module may make one before its process is forked, as long as it is used only after that.
    Where it was used before, the child is told so by a `ConfigurationError`, `FORKED`, and so it is
    by whatever else there uses gRPC. A program that uses grpc.aio itself is better off with
    `Authenticator`: gRPC disturbs one event loop with the work of the other, and logs that as
    errors.
    """

    @_takes(Authenticator)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._authenticator = Authenticator(*args, **kwargs)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._waiting: set[Future[Any]] = set()
        self._pid = 0
        self._closed = False

    def __enter__(self) -> Self:
        with self._begun():
            return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def authenticate(
        self,
        token: str | Secret,
        *,
        resource: str = "",
        require: Sequence[str] = (),
        environment: str = "",
        client_address: str = "",
    ) -> Principal:
        """See `Authenticator.authenticate`."""
        principal = self._authenticator.recall(
            token, resource, require, environment, client_address
        )
        if principal is not None:
            return principal
        return self._wait(
            lambda: self._authenticator.authenticate(
                token,
                resource=resource,
                require=require,
                environment=environment,
                client_address=client_address,
            )
        )

    def leased(self, timeout: timedelta) -> None:
        """Wait until a lease is held.

        Raises:
            TimeoutError: it took longer than that.
        """

        async def work() -> None:
            # Not `wait_for`: its task would begin later than the order to stop may come.
            async with asyncio.timeout(timeout.total_seconds()):
                await self._authenticator.leased()

        self._wait(work)

    @property
    def is_leased(self) -> bool:
        """See `Authenticator.is_leased`."""
        return self._authenticator.is_leased

    @property
    def trouble(self) -> KeywrightError | None:
        """See `Authenticator.trouble`."""
        return self._authenticator.trouble

    @property
    def stale_answers(self) -> int:
        """See `Authenticator.stale_answers`."""
        return self._authenticator.stale_answers

    def close(self) -> None:
        """End for good: whoever waits, or asks from now on, is told `Unavailable`."""
        if self._is_forked:
            return
        with self._lock:
            self._closed = True
            thread, loop, stop = self._thread, self._loop, self._stop
            self._thread = None
        if thread is None or loop is None or stop is None:
            return
        atexit.unregister(self.close)
        with suppress(RuntimeError):  # the thread has ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        for waiting in list(self._waiting):  # what the loop did not come to any more
            waiting.cancel()

    def _wait(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        waiting = self._hand_over(work)
        try:
            return waiting.result()
        except CancelledError:
            raise _closed() from None
        finally:
            self._waiting.discard(waiting)
            waiting.cancel()  # of no effect unless this thread was interrupted

    def _hand_over(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> "Future[Result]":
        """Have the thread that watches do this, which is started if there is none.

        Under the lock: so it is before the order to stop, or else refused.
        """
        with self._begun() as loop:
            coroutine = work()
            try:
                waiting = asyncio.run_coroutine_threadsafe(coroutine, loop)
            except RuntimeError:  # the thread has ended by itself
                coroutine.close()
                raise _closed() from None
            self._waiting.add(waiting)
            return waiting

    @contextmanager
    def _begun(self) -> Iterator[asyncio.AbstractEventLoop]:
        """The loop of the thread that watches, which is started if there is none; locked."""
        # Before the lock: in the child of a fork it may be held by a thread that is not there.
        if self._is_forked:
            raise forked()
        with self._lock:
            if self._closed:
                raise _closed()
            if self._thread is None:
                self._start()
            assert self._loop is not None  # noqa: S101  the thread has said so
            yield self._loop

    @property
    def _is_forked(self) -> bool:
        return self._pid not in {0, os.getpid()}

    def _start(self) -> None:
        self._pid = os.getpid()
        started: Future[None] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(self._watch(started)),
            name="keywright-authenticator",
            daemon=True,
        )
        try:
            thread.start()
            started.result()
        except BaseException:
            self._pid = 0
            raise
        self._thread = thread
        atexit.register(self.close)

    async def _watch(self, started: "Future[None]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(without_noise)
        try:
            async with self._authenticator:
                started.set_result(None)
                await self._stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)


def _closed() -> Unavailable:
    return Unavailable("the authenticator is closed")


def without_noise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what went wrong, but for what means nothing: for `loop.set_exception_handler`.

    All event loops of a process wake up for what grpc.aio has for one of them. The others find
    nothing to read, or that one closed (grpc/grpc#25364).
    """
    is_noise = isinstance(context.get("exception"), BlockingIOError | RuntimeError)
    if not (is_noise and "PollerCompletionQueue" in str(context.get("message"))):
        loop.default_exception_handler(context)

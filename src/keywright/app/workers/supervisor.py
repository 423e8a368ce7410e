"""Looks after several workers: starts them, starts dead ones again, and ends one after the other.

What can be wrong with the configuration or the database shows with the first worker, so the others
are started once that one serves. From then on a worker that ends is started again, after a pause
that grows if it ends again soon. One whose event loop is stuck is killed.

The supervisor itself answers no call and runs no gRPC. If it is killed, its workers finish the
calls in flight and end (`control`).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from keywright import __version__
from keywright.app import endpoint
from keywright.app.config import Config, config_file_of
from keywright.app.front.program import front
from keywright.app.mistakes import variable
from keywright.app.server import until_signalled
from keywright.app.workers.control import MARGIN, Order
from keywright.app.workers.metrics import WorkersMetrics
from keywright.app.workers.port import claimed
from keywright.app.workers.process import PYTHON, Process, Program
from keywright.listening import ListenAddress, TcpAddress

_log = structlog.get_logger("keywright.supervisor")

_PAUSE_FIRST = timedelta(milliseconds=250)
_PAUSE_MOST = timedelta(seconds=30)
# Who has served for so long did not end because of how it began.
_LASTING = timedelta(minutes=1)


async def supervise(config: Config, config_file: Path | None) -> None:
    """Serve with several processes until SIGTERM or SIGINT; a second one ends them all at once.

    Raises:
        ListenError: an address cannot be listened on.
        SystemExit: the first worker could not serve, and has said why; with its exit status.
    """
    cores = len(os.sched_getaffinity(0))
    if config.workers > cores:
        _log.warning("more workers than cores: they take turns", count=config.workers)
    listen = config.listen
    with claimed(listen) if isinstance(listen, TcpAddress) else nullcontext(listen) as address:
        supervisor = Supervisor(
            _orders(config, config_file, address),
            config.shutdown_grace,
            partial(front, config, address) if config.front == "envoy" else _python,
        )
        stop_endpoint = endpoint.serve(
            config.metrics_listen,
            WorkersMetrics(supervisor.workers, asyncio.get_running_loop()),
            supervisor.is_serving,
        )
        try:
            _log.info(
                "starting workers", listen=str(address), count=config.workers, version=__version__
            )
            async with asyncio.TaskGroup() as tasks:
                for worker in supervisor.workers:
                    tasks.create_task(supervisor.keep(worker))
                await until_signalled(supervisor.stopped, again=supervisor.kill)
                await supervisor.drain()
        finally:
            stop_endpoint()
    _log.info("stopped")
    if supervisor.failed is not None:
        sys.exit(supervisor.failed)


Programs = Callable[[], AbstractContextManager[Program]]
"""What each start of a worker starts, and what has to be there as long as that runs."""


def _python() -> AbstractContextManager[Program]:
    return nullcontext(PYTHON)


def _orders(config: Config, config_file: Path | None, address: ListenAddress) -> list[Order]:
    file = config_file_of(os.environ, config_file)
    content = None if file is None else file.read_text(encoding="utf-8")
    settings = {
        variable("listen"): str(address),
        variable("metrics_listen"): "",
        variable("workers"): str(config.workers),
    }
    return [
        Order(number, str(Path.cwd()), settings, None if file is None else str(file), content)
        for number in range(config.workers)
    ]


@dataclass(slots=True)
class Worker:
    """A place for a worker: what it is ordered to be, and its process while there is one."""

    order: Order
    process: Process | None = None
    starts: int = 0

    @property
    def is_serving(self) -> bool:
        """Whether there is a process, and it can answer calls."""
        return self.process is not None and self.process.serving


class Supervisor:
    """Its workers, and whether they are to stop: `stopped`.

    `failed` is the exit status of the first worker, if it ended before it served.
    """

    def __init__(self, orders: list[Order], grace: timedelta, programs: Programs = _python) -> None:
        self.workers = [Worker(order) for order in orders]
        self.stopped = asyncio.Event()
        self.failed: int | None = None
        self._programs = programs
        self._patience = grace + MARGIN
        self._proven = asyncio.Event()

    def is_serving(self) -> bool:
        """Whether any worker can answer calls."""
        return not self.stopped.is_set() and any(each.is_serving for each in self.workers)

    async def keep(self, worker: Worker) -> None:
        """Have a worker there until `stopped`, the first one from the beginning."""
        if worker is not self.workers[0]:
            await self._proven.wait()
        loop, pause = asyncio.get_running_loop(), _PAUSE_FIRST
        while not self.stopped.is_set():
            began = loop.time()
            status = await self._run(worker)
            if self.stopped.is_set():
                return
            if not self._proven.is_set():
                _log.error("the first worker has ended before it served", exit_status=status)
                self.failed = status if status > 0 else 1
                self.stopped.set()
                return
            if loop.time() - began > _LASTING.total_seconds():
                pause = _PAUSE_FIRST
            _log.error(
                "a worker has ended, and is started again",
                worker=worker.order.worker,
                exit_status=status,
                retry_in=pause.total_seconds(),
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), pause.total_seconds())
            pause = min(2 * pause, _PAUSE_MOST)

    async def drain(self) -> None:
        """End the workers one after the other, so that the last still serves while others end.

        Nobody is sent to any of them meanwhile: their health is NOT_SERVING at once.
        """
        self._proven.set()  # nobody waits for it any more
        running = [each.process for each in self.workers if each.process is not None]
        for process in running:
            process.tell("close")
        for process in running:
            await process.stop(self._patience)

    def kill(self) -> None:
        """End them all at once."""
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill(signal.SIGKILL)

    async def _run(self, worker: Worker) -> int:
        worker.starts += 1
        with ExitStack() as running:
            try:
                program = running.enter_context(self._programs())
                worker.process = await Process.start(
                    worker.order, partial(self._said, worker), program
                )
            except OSError as error:
                number = worker.order.worker
                _log.error("a worker cannot be started", worker=number, error=str(error))
                return 1
            return await self._ended(worker, worker.process)

    async def _ended(self, worker: Worker, process: Process) -> int:
        if self.stopped.is_set():  # `drain` has not seen it
            process.kill(signal.SIGTERM)
        watching = asyncio.create_task(self._kill_if_silent(worker.order.worker, process))
        try:
            return await process.ended()
        finally:
            watching.cancel()
            worker.process = None

    def _said(self, worker: Worker) -> None:
        if worker.is_serving:
            self._proven.set()
            _log.info("a worker serves", worker=worker.order.worker)

    async def _kill_if_silent(self, number: int, process: Process) -> None:
        await process.fell_silent()
        _log.error("a worker does not come round to its calls, and is killed", worker=number)
        process.kill(signal.SIGKILL)

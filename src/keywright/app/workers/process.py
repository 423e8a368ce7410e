"""One worker's process, as its supervisor sees it."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import Process as Subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from keywright.app.workers.control import BEAT, LINE_MAX_BYTES, Order, line

# Half a minute. Whatever takes long in a worker is awaited or on a thread, and a call whose client
# has named no deadline has 10 s: who is silent for so long answers nobody, and will not again.
_MISSED_MOST = 30


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker is started as; on its stdin is the other end of a pair of sockets.

    Attributes:
        environ: None: as here.
        directory: where it is started; None: here.
        blocked: signals that it is to wait for, and not to be ended by.
    """

    argv: Sequence[str]
    environ: Mapping[str, str] | None = None
    directory: Path | None = None
    blocked: AbstractSet[signal.Signals] = frozenset()


PYTHON = Program(
    # -P: nothing is imported from the directory that the supervisor is in.
    (sys.executable, "-P", "-m", "keywright.app.workers.worker")
)


@dataclass(slots=True)
class Process:
    """A worker, from its start to its end.

    Attributes:
        serving: whether it can answer calls, as it said last.
        said: called whenever it says so.
    """

    subprocess: Subprocess
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    said: Callable[[], None]
    serving: bool = False
    _missed: int | None = None  # beats, once the first one has come
    _asked: "list[asyncio.Future[str]]" = field(default_factory=list)

    @classmethod
    async def start(
        cls, order: Order, said: Callable[[], None], program: Program = PYTHON
    ) -> "Process":
        """Start a worker by an order.

        Raises:
            OSError: the machine has no room for one.
        """
        ours, theirs = socket.socketpair()
        with ExitStack() as unless_started, theirs, _blocked(program.blocked):
            unless_started.enter_context(ours)
            subprocess = await asyncio.create_subprocess_exec(
                *program.argv,
                env=program.environ,
                cwd=program.directory,
                stdin=theirs.fileno(),
                # Ctrl-C at a terminal is for the supervisor: it ends one worker after the other.
                start_new_session=True,
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_MAX_BYTES)
        writer.write(order.line())
        return cls(subprocess, reader, writer, said)

    async def ended(self) -> int:
        """Listen to it until it has ended; returns its exit status, below 0 that of a signal."""
        try:
            # A connection that is cut comes with an error; one that is closed, with nothing.
            with suppress(OSError):
                async for text in self.reader:
                    self._heard(json.loads(text))
        except ValueError:  # half a line, of one that was killed; or what is no message
            self.kill(signal.SIGKILL)
        try:
            return await self.subprocess.wait()
        finally:
            self.serving = False
            self.said()
            self.writer.close()
            for answer in self._asked:
                _answer(answer, "")

    async def fell_silent(self) -> None:
        """Wait until its event loop has not come round for long; for ever if it always does.

        Counted in beats of our own, not by a clock: while this process does not run either, because
        it or the machine is suspended, nothing is missed.
        """
        while self._missed is None or self._missed < _MISSED_MOST:
            await asyncio.sleep(BEAT.total_seconds())
            if self._missed is not None:
                self._missed += 1

    async def metrics(self) -> str:
        """Its metrics, in Prometheus's text format; empty if it has ended."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self.tell("metrics")
        return await answer

    def tell(self, what: str) -> None:
        """Tell it something."""
        self.writer.write(line(**{what: True}))

    async def stop(self, within: timedelta) -> None:
        """Let it finish its calls and end; kill it if that takes too long."""
        self.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.subprocess.wait(), within.total_seconds())
        except TimeoutError:
            self.kill(signal.SIGKILL)
            await self.subprocess.wait()

    def kill(self, how: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            self.subprocess.send_signal(how)

    def _heard(self, message: dict[str, object]) -> None:
        if "serving" in message:
            self.serving = bool(message["serving"])
            self.said()
        elif "beat" in message:
            self._missed = 0
        elif "metrics" in message and self._asked:
            _answer(self._asked.pop(0), str(message["metrics"]))


def _answer(asked: "asyncio.Future[str]", text: str) -> None:
    if not asked.done():  # whoever asked may be tired of waiting
        asked.set_result(text)


@contextmanager
def _blocked(signals: AbstractSet[signal.Signals]) -> Iterator[None]:
    """What is started in the block has these signals blocked, in each of its threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Where all lines of the log go: most are written at once, those that are many a moment later.

A line made and written by itself costs a tenth of an answer, and a pipe that is read too slowly
would hold up everybody's. So lines about verdicts wait, and a thread makes and writes many of them
in a row, for a third of that. Whatever is written at once has what waits put before it: lines are
in the order in which they came about.

A process that is killed loses what waits, which is what came about in the last `_EVERY`.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from select import PIPE_BUF
from typing import Any, TextIO, TypeVar

import structlog

Item = TypeVar("Item")
_log = structlog.get_logger("keywright.log")

_EVERY = timedelta(milliseconds=50)
# What one process answers in a second: 1 MiB or so, once they are made.
_MOST = 4096
# What a pipe takes in one piece: several workers may write to the same.
_PIECE_MAX_BYTES = PIPE_BUF


class Lines:
    """Lines on their way to a stream; None: to stderr, whatever that is by then."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._waiting: deque[Any] = deque()
        self._make: Callable[[Any], str] = str
        self.lock = threading.RLock()
        """Held while something is written, by the only lock that any line needs.

        The same thread may come again: whatever is collected as garbage may have a line to say.
        """
        self._refused = self._failed = 0

    @property
    def waiting(self) -> int:
        """How many lines are to be written a moment later."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """How many lines are lost: too many waited, or they could not be written."""
        return self._refused + self._failed

    def write(self, text: str) -> None:
        """Write at once, after what waits."""
        with self.lock:
            self._catch_up()
            self._to.write(text)

    def flush(self) -> None:
        """Leave nothing with Python."""
        self._to.flush()

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._to.isatty()

    @contextmanager
    def written(self, make: Callable[[Item], str]) -> Iterator[Callable[[Item], None]]:
        """Make and write the lines of items while the block runs, and the last ones at its end.

        Yields what takes an item. One too many is dropped and counted: nobody waits.
        """
        self._make = make
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended,), name="log", daemon=True)
        thread.start()
        try:
            yield self._later
        finally:
            ended.set()
            thread.join()
            self.write("")

    def _run(self, ended: threading.Event) -> None:
        told = self.dropped
        while not ended.wait(_EVERY.total_seconds()):
            with self.lock:
                self._catch_up()
            if (lost := self.dropped) > told:
                with suppress(OSError):  # if that cannot be written either, it is told later
                    _log.warning("lines about calls are lost", count=lost - told)
                    told = lost

    def _later(self, item: object) -> None:
        if len(self._waiting) < _MOST:
            self._waiting.append(item)
        else:
            self._refused += 1

    @property
    def _to(self) -> TextIO:
        return self._stream or sys.stderr

    def _catch_up(self) -> None:
        lines: list[str] = []
        size = 0
        # As many as are there now: who has to write at once does not wait for those that come.
        for _ in range(len(self._waiting)):
            try:
                item = self._waiting.popleft()
            except IndexError:  # this thread has come again meanwhile
                break
            line = self._make(item) + "\n"
            if size + len(line) > _PIECE_MAX_BYTES:
                self._put(lines)
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        self._put(lines)

    def _put(self, lines: list[str]) -> None:
        try:
            self._to.write("".join(lines))
            self._to.flush()
        except OSError:  # a disk that is full: whoever has asked is answered all the same
            self._failed += len(lines)


STDERR = Lines()
"""All lines of this process."""

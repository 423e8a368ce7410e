"""What a worker and its supervisor tell each other, over a pair of sockets.

Lines of JSON. The supervisor gives the order first; later it may ask for `metrics`, and says
`close` when the whole server is about to stop. The worker says `serving` whenever that changes,
answers with `metrics`, and says `beat` every `BEAT`, as long as its event loop comes round. The end
of the stream is the end of the other one, however it came about: a worker outlives its supervisor
by no more than the calls in flight.
"""

import asyncio
import fcntl
import json
import os
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import structlog

_log = structlog.get_logger("keywright.worker")
LINE_MAX_BYTES = 2**24
# How much longer than the calls in flight may take a worker may take to end.
MARGIN = timedelta(seconds=10)
BEAT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to be.

    Attributes:
        worker: its number, from 0.
        directory: where the supervisor is, from which files are named.
        settings: what it has other than the environment says, by environment variable.
        config_file: the TOML file, of which `content` was read when the supervisor started: all
            workers are alike, whenever they are started.
    """

    worker: int
    directory: str
    settings: Mapping[str, str]
    config_file: str | None
    content: str | None

    def among(self, workers: int) -> int | None:
        """Its number among so many; None if it is alone."""
        return self.worker if workers > 1 else None

    def line(self) -> bytes:
        """As it is sent."""
        return line(order=asdict(self))


def line(**message: object) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def _told(metrics: Callable[[], bytes]) -> str:
    try:
        return metrics().decode()
    except Exception:  # noqa: BLE001  this thread has to see the supervisor's end
        _log.exception("the metrics of this worker cannot be told")
        return ""


class Control:
    """The worker's end. It is obeyed on a thread: also when the event loop is not to be had."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()

    def order(self) -> Order:
        """What this worker is to be; to be asked for first."""
        return Order(**self._next()["order"])

    def tell(self, serving: bool) -> None:  # noqa: FBT001  as `Health.told` has it
        """Tell the supervisor whether calls can be answered."""
        self._send(serving=serving)

    async def beat(self) -> None:
        """Tell the supervisor now and then that the event loop comes round, until cancelled."""
        while True:
            # Not while something long is sent, nor to a supervisor that does not read: what has to
            # be told to it after that finds room.
            if not self._unread() and self._sending.acquire(blocking=False):
                try:
                    with suppress(OSError):
                        self._connection.send(line(beat=True), socket.MSG_DONTWAIT)
                finally:
                    self._sending.release()
            await asyncio.sleep(BEAT.total_seconds())

    def _unread(self) -> int:
        """How many bytes, about, the supervisor has yet to read (unix(7): SIOCOUTQ)."""
        return int.from_bytes(
            fcntl.ioctl(self._connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder
        )

    def obey(
        self,
        *,
        metrics: Callable[[], bytes],
        close: Callable[[], None],
        stop: Callable[[], None],
        grace: timedelta,
    ) -> None:
        """Do what is told from now on: answer with `metrics`, `close`, and in the end `stop`.

        They are called on a thread. The end may take `grace`, once there is no supervisor any more.
        """

        def run() -> None:
            try:
                with suppress(EOFError, OSError, ValueError):  # the last line may be half a line
                    while True:
                        message = self._next()
                        if "metrics" in message:
                            self._send(metrics=_told(metrics))
                        elif "close" in message:
                            close()
            finally:
                stop()
                time.sleep((grace + MARGIN).total_seconds())
                os._exit(1)  # the event loop does not come round to it

        threading.Thread(target=run, name="control", daemon=True).start()

    def _next(self) -> dict[str, Any]:
        text = self._lines.readline()
        if not text:
            raise EOFError
        message: dict[str, Any] = json.loads(text)
        return message

    def _send(self, **message: object) -> None:
        with suppress(OSError), self._sending:  # whoever reads may be gone
            self._connection.sendall(line(**message))

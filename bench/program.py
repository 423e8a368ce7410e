"""Other programs, started without a fork.

libuv starts a program by a fork, in whose child the handlers of Python and gRPC run before the
program does. gRPC's threads are not there, but the locks that they held are: now and then a child
waits for one for ever, and a benchmark with it. `subprocess` uses vfork(2), and runs no handlers.
"""

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

Result = TypeVar("Result")

# Each waits for one program; the loop's own threads are too few for all that run at once.
_WAITING = ThreadPoolExecutor(64, thread_name_prefix="program")


class Program:
    """A running program; what it writes is read as asyncio's processes have it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid
        self.terminate = process.terminate
        self.kill = process.kill

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait until it has ended; returns how."""
        return await _waited(self._process.wait)

    async def line(self) -> str:
        """The next line that it writes on stdout."""
        assert self._process.stdout is not None, "it was asked for"
        return (await _waited(self._process.stdout.readline)).decode()

    async def output(self) -> str:
        """Wait until it has ended; returns all that it has written on stdout."""
        return (await _waited(lambda: self._process.communicate()[0])).decode()


def start(
    *argv: str,
    env: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: IO[bytes] | int | None = None,
    cwd: Path | None = None,
) -> Program:
    """Start a program on the cores that this thread may use; it reads nothing.

    It is in a session of its own, as workers are: while others use the machine, Linux gives each
    session the same share of a core (sched(7), "The autogroup feature").
    """
    return Program(
        subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    )


async def _waited(wait: Callable[[], Result]) -> Result:
    loop = asyncio.get_running_loop()
    done: Any = await loop.run_in_executor(_WAITING, wait)
    result: Result = done
    return result

"""`keywright console` beside a first run: a program of its own, which ends with this one.

The server does not import its callers, and what serves pages is not needed to serve calls.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_UNTOLD = frozenset({"listening", "request", "stopping", "stopped"})
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ConsoleProgram:
    """The program; `url` is None where it could not start, which it has said itself by then."""

    url: "asyncio.Future[str | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@asynccontextmanager
async def console_beside(target: str, listen: str) -> AsyncIterator[ConsoleProgram]:
    """Run a console for the server at `target` for as long as the block; none if `listen` is empty.

    It ends as its stdin does: also if this process is killed.
    """
    console = ConsoleProgram()
    if not listen:
        console.url.set_result(None)
        yield console
        return
    environ = {key: value for key, value in os.environ.items() if key != "KEYWRIGHT_API_KEY"}
    # Not asyncio's, which forks on uvloop: gRPC has threads by now.
    program = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; no shell
        [sys.executable, "-m", "keywright", "console", "--listen", listen, "--stop-with-stdin"],
        env={**environ, "KEYWRIGHT_URI": target},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    reading = threading.Thread(
        target=_read, args=(program, console, asyncio.get_running_loop()), daemon=True
    )
    reading.start()
    try:
        yield console
    finally:
        assert program.stdin is not None  # noqa: S101  it is a pipe
        program.stdin.close()
        try:
            await asyncio.to_thread(program.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
        await asyncio.to_thread(reading.join)


def _read(
    program: "subprocess.Popen[str]", console: ConsoleProgram, loop: asyncio.AbstractEventLoop
) -> None:
    """Note the address, and pass on what a person should know."""

    def found(url: str | None) -> None:
        if not console.url.done():
            console.url.set_result(url)

    assert program.stderr is not None  # noqa: S101  it is a pipe
    for line in program.stderr:
        told = _parsed(line)
        if told.get("event") == "listening":
            loop.call_soon_threadsafe(found, told["url"])
        if told.get("event") not in _UNTOLD:
            sys.stderr.write(f"console: {line}")
    program.wait()
    if not loop.is_closed():
        loop.call_soon_threadsafe(found, None)


def _parsed(line: str) -> dict[str, str]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""How a program that serves is told to stop."""

import asyncio
import signal
import sys


def stop_at_a_signal() -> asyncio.Event:
    """Is set at SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stopping.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    return stopping


async def stop_with_input(stopping: asyncio.Event) -> None:
    """Set it when stdin ends, too; nothing is read from it."""

    class Input(asyncio.Protocol):
        def connection_lost(self, _error: Exception | None) -> None:
            stopping.set()

    await asyncio.get_running_loop().connect_read_pipe(Input, sys.stdin)

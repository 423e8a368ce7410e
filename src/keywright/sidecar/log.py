"""What the sidecar writes: a line of JSON an event, on stderr. Never a secret."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_FLUSH_SECONDS = 0.2
_PENDING_MAX_COUNT = 10_000


class Log:
    """Lines of JSON.

    Those of the access log are written together, a few times a second: a system call for each
    would be a good part of a request's time.
    """

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._pending: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._opening = ""

    def write(self, event: str, **fields: Any) -> None:
        """A line, at once and after those that wait."""
        rest = json.dumps({"event": event, **fields}).removeprefix("{")
        self._pending.append(f"{_opening()}{rest}\n")
        self.flush()

    def soon(self, rest: str) -> bool:
        """A line, within a moment; false if too many wait, and it was dropped.

        Args:
            rest: a JSON object without its first brace, and the line's end.
        """
        if self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(_FLUSH_SECONDS, self.flush)
            self._opening = _opening()
        if len(self._pending) >= _PENDING_MAX_COUNT:
            return False
        self._pending.append(self._opening + rest)
        return True

    def flush(self) -> None:
        """Write what waits."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        pending, self._pending = self._pending, []
        try:
            self._stream.write("".join(pending))
            self._stream.flush()
        except OSError:  # whoever read it has gone: no reason to answer nobody any more
            pass


def _opening() -> str:
    """How a line begins."""
    return f'{{"timestamp": "{datetime.now(UTC).isoformat(timespec="milliseconds")}", '

"""What a program writes: a line of JSON an event, on stderr. Never a secret."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Lines of JSON."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream

    def write(self, event: str, **fields: Any) -> None:
        """A line."""
        self.write_fields([json.dumps({"event": event, **fields})[1:-1]])

    def write_fields(self, lines: Sequence[str]) -> None:
        """Lines, all at once: a system call for each would be a good part of a request's time.

        Args:
            lines: the fields of each, as JSON.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = "".join(f'{{"timestamp": "{now}", {fields}}}\n' for fields in lines)
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # whoever read it has gone: no reason to answer nobody any more
            pass

"""The lines of calls that ended with a verdict about a token, for whoever wants them.

They look like those of other calls, but do not go through structlog's chain of processors, which
takes ten times as long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from keywright.app.config import Config
from keywright.app.lines import STDERR
from keywright.app.log import LogFormat, renderer
from keywright.domain.token import redact
from keywright.wire.rpc import Ended


@contextmanager
def kept(config: Config, worker: int | None) -> Iterator[Callable[[Ended], None] | None]:
    """What has a call's line written, while the block runs; None if nobody wants them."""
    if config.access_log != "all" or config.log_level not in {"debug", "info"}:
        yield None
        return
    line = line_of(config.log_format, worker, colors=STDERR.isatty())
    with STDERR.written(line) as later:
        yield later


def line_of(
    log_format: LogFormat, worker: int | None, *, colors: bool = False
) -> Callable[[Ended], str]:
    """What makes the line of a call, as `log.configure` would have it."""
    if log_format == "json":
        last = "}" if worker is None else f', "worker": {worker}}}'
        return lambda call: _json(call, last)
    console = renderer(log_format, colors=colors)

    def text(call: Ended) -> str:
        event = {**call.fields(), "event": "call", "level": "info", "timestamp": _timestamp(call)}
        return redact(
            str(console(None, "info", event if worker is None else {**event, "worker": worker}))
        )

    return text


def _json(call: Ended, last: str) -> str:
    # One field has what a caller has sent, which may be some of a token: its own id of the call.
    # In all others there is neither a token nor what JSON would escape: a method, a code and a
    # reason are from closed lists; an address has digits, dots and colons; a key's name has ids,
    # which are lower-case letters, digits and hyphens.
    return (
        f'{{"request_id": {quoted(redact(call.call_id))}, "method": "{call.method}", '
        f'"code": "{call.code}", "reason": "{call.reason}", "duration_ms": {call.milliseconds}, '
        f'"peer": "{call.peer_text}", "caller": "{call.caller_name}", "event": "call", '
        f'"level": "info", "timestamp": "{_timestamp(call)}"{last}'
    )


def _timestamp(call: Ended) -> str:
    second = int(call.time)
    return f"{_to_the_second(second)}.{int((call.time - second) * 1e6):06d}Z"


@lru_cache(maxsize=1)  # hundreds of calls end in one
def _to_the_second(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S")

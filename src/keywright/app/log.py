"""Logging: one line an event on one stream, by allow-list.

Only the fields in `FIELDS` are written, so that a request, a token or a row cannot be logged by
passing it along. Whatever is written goes through `redact`, tracebacks and other libraries' text
included (promise G9). An event's name is a constant text; what varies is a field.
"""

import logging
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from keywright.app.lines import Lines
from keywright.domain.token import redact

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

FIELDS = frozenset(
    {
        # Every line.
        "timestamp",
        "level",
        "event",
        "logger",
        "exception",
        # A call.
        "request_id",
        "method",
        "code",
        "reason",
        "duration_ms",
        "peer",
        "workspace",
        "credential",
        "caller",
        # The process and what it stands on.
        "version",
        "pid",
        "worker",
        "exit_status",
        "signal",
        "listen",
        "path",
        "setting",
        "error",
        "attempt",
        "retry_in",
        "sqlstate",
        "constraint",
        "migration",
        "revision",
        "count",
        "work",
        # A seal of the audit trail: the log is a copy of it.
        "number",
        "digest",
        "signature",
        "public_key",
        # How many fields were left out of this line.
        "dropped_fields",
    }
)
"""The names of all fields that a line can have. Add one only if its values are never secret."""


def configure(
    log_level: LogLevel, log_format: LogFormat, lines: Lines, worker: int | None = None
) -> None:
    """Send structlog's events and the standard library's records to `lines`, as one kind of line.

    Of other libraries (asyncio, grpc, asyncpg) only warnings and worse are taken. `worker` is the
    number of a process among several, for each of its lines.
    """
    threshold = logging.getLevelNamesMapping()[log_level.upper()]
    first: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *(() if worker is None else (_numbered(worker),)),
    )
    last: tuple[Processor, ...] = (
        # Plain tracebacks: the pretty ones print local variables.
        structlog.processors.format_exc_info,
        _keep_known_fields,
        renderer(log_format, colors=lines.isatty()),
        _redacted,
    )
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_names: _Writer(lines),
    )
    handler = logging.StreamHandler(lines)
    handler.lock = lines.lock
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))


class _Writer:
    """Writes structlog's lines.

    Structlog's own has a lock around each, as logging's handlers have. A thread that holds the lock
    of the lines may have something to log (see `Lines`), and must not wait for another one.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def msg(self, message: str) -> None:
        with self._lines.lock:
            self._lines.write(f"{message}\n")
            self._lines.flush()

    debug = info = warning = error = msg


def renderer(log_format: LogFormat, *, colors: bool) -> Processor:
    """What makes a line of an event."""
    if log_format == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )


def _numbered(worker: int) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return add


def _keep_known_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # The names that are left out are not told: `log.info("...", **request)` makes names of data.
    kept = {name: value for name, value in event.items() if name in FIELDS}
    if dropped := len(event) - len(kept):
        kept["dropped_fields"] = dropped
    return kept


def _redacted(_logger: WrappedLogger, _method: str, line: Any) -> str:
    # The whole line, after rendering: no field, nesting or traceback is forgotten.
    return redact(line)

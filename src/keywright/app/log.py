"""Logging: one line an event on one stream, by allow-list.

Only the fields in `FIELDS` are written, so that a request, a token or a row cannot be logged by
passing it along. Whatever is written goes through `redact`, tracebacks and other libraries' text
included (promise G9). An event's name is a constant text; what varies is a field.
"""

import logging
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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


def configure(log_level: LogLevel, log_format: LogFormat, stream: TextIO) -> None:
    """Send structlog's events and the standard library's records to `stream`, as one kind of line.

    Of other libraries (asyncio, grpc, asyncpg) only warnings and worse are taken.
    """
    threshold = logging.getLevelNamesMapping()[log_level.upper()]
    first: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    last: tuple[Processor, ...] = (
        # Plain tracebacks: the pretty ones print local variables.
        structlog.processors.format_exc_info,
        _keep_known_fields,
        _renderer(log_format, stream),
        _redacted,
    )
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def _keep_known_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # The names that are left out are not told: `log.info("...", **request)` makes names of data.
    kept = {name: value for name, value in event.items() if name in FIELDS}
    if dropped := len(event) - len(kept):
        kept["dropped_fields"] = dropped
    return kept


def _renderer(log_format: LogFormat, stream: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _redacted(_logger: WrappedLogger, _method: str, line: Any) -> str:
    # The whole line, after rendering: no field, nesting or traceback is forgotten.
    return redact(line)

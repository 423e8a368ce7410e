import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from keywright.app import log
from keywright.app.lines import Lines
from keywright.app.log import FIELDS, LogFormat
from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat

FORMAT = TokenFormat()
SECRET_TEXT = FORMAT.render(FORMAT.mint("live", lambda size: bytes(range(size)))).reveal()
SHOWN = SECRET_TEXT[: len("kw_live_") + 12] + "..."


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail() -> None:
    raise RuntimeError(f"could not use {SECRET_TEXT}")


def test_an_event_is_one_json_object_on_one_line(stream: io.StringIO) -> None:
    log.configure("info", "json", Lines(stream))
    structlog.get_logger().info("call\nended", method="CreateKey", duration_ms=1.5)
    (line,) = lines(stream)
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert line == {
        "event": "call\nended",
        "level": "info",
        "method": "CreateKey",
        "duration_ms": 1.5,
    }


def test_a_field_that_is_not_on_the_list_is_left_out_and_counted(stream: io.StringIO) -> None:
    log.configure("info", "json", Lines(stream))
    structlog.get_logger().info("call", request={"display_name": "Ann"}, password="x", code="OK")
    (line,) = lines(stream)
    assert line["code"] == "OK"
    assert line["dropped_fields"] == 2
    assert "Ann" not in stream.getvalue()
    assert "password" not in stream.getvalue()
    assert line.keys() <= FIELDS


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_token_is_cut_to_its_public_prefix_wherever_it_is(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    log.configure("info", log_format, Lines(stream))
    logger = structlog.get_logger()
    logger.info(SECRET_TEXT)
    logger.info("got", error=SECRET_TEXT)
    logger.info("got", path=["a", {"b": SECRET_TEXT}])
    logger.info("got", error=ValueError(SECRET_TEXT))
    logging.getLogger("grpc").error("got %s", SECRET_TEXT)
    try:
        fail()
    except RuntimeError:
        logger.exception("failed")
        logging.getLogger("grpc").exception("failed")
    written = stream.getvalue()
    assert written.count(SHOWN) == 7
    assert SECRET_TEXT[len(SHOWN) - 3 : len(SHOWN) + 5] not in written


def test_a_secret_does_not_print(stream: io.StringIO) -> None:
    log.configure("info", "json", Lines(stream))
    structlog.get_logger().info("got", error=Secret("hush"))
    assert lines(stream)[0]["error"] == "[redacted]"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_is_logged_with_its_type_and_place_and_without_local_variables(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    log.configure("info", log_format, Lines(stream))
    local = "not to be seen: " + "x" * 3
    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("failed", code="INTERNAL")
    written = stream.getvalue()
    assert "RuntimeError" in written
    assert "test_log.py" in written
    assert "in fail" in written
    assert local not in written


async def test_what_asyncio_reports_comes_through_the_same_renderer(stream: io.StringIO) -> None:
    log.configure("info", "json", Lines(stream))
    loop = asyncio.get_running_loop()
    loop.default_exception_handler({"message": f"a task broke on {SECRET_TEXT}"})
    (line,) = lines(stream)
    assert line["event"] == f"a task broke on {SHOWN}"
    assert (line["logger"], line["level"]) == ("asyncio", "error")


def test_of_other_libraries_only_warnings_and_worse_are_taken(stream: io.StringIO) -> None:
    log.configure("debug", "json", Lines(stream))
    logging.getLogger("asyncpg").info("chatter")
    logging.getLogger("asyncpg").warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_events_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log.configure("error", "json", Lines(stream))
    structlog.get_logger().warning("trouble")
    logging.getLogger("asyncpg").warning("trouble")
    assert stream.getvalue() == ""


def test_what_is_bound_to_the_context_is_on_every_line_of_a_call(stream: io.StringIO) -> None:
    log.configure("info", "json", Lines(stream))
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger().info("began")
        logging.getLogger("asyncpg").warning("trouble")
    structlog.get_logger().info("idle")
    assert [line.get("request_id") for line in lines(stream)] == ["r1", "r1", None]


def test_configuring_again_replaces_the_stream(stream: io.StringIO) -> None:
    logger = structlog.get_logger()
    log.configure("info", "json", Lines(io.StringIO()))
    logger.info("before")
    log.configure("info", "json", Lines(stream))
    logger.info("after")
    logging.getLogger("grpc").warning("after")
    assert [line["event"] for line in lines(stream)] == ["after", "after"]

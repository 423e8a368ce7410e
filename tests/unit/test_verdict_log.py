"""A line that is put together by itself is the line that structlog would have made."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from keywright.app import log
from keywright.app.config import Config
from keywright.app.lines import Lines
from keywright.app.log import FIELDS, LogFormat, LogLevel
from keywright.app.verdict_log import kept, line_of
from keywright.domain.keys import parse_address
from keywright.domain.names import KeyName
from keywright.domain.token import TokenFormat
from keywright.wire.rpc import Ended

FORMAT = TokenFormat()
TOKEN = FORMAT.render(FORMAT.mint("live", lambda size: bytes(range(size)))).reveal()
NAMED: Any = SimpleNamespace(
    credential=SimpleNamespace(record=SimpleNamespace(name=KeyName("default", "of-a-sidecar")))
)
TIME = 1_700_000_000.25
CALLS = {
    "allowed": Ended("my-call-1", "/v1/A", "OK", "", 0.0012345, TIME, parse_address("::1"), NAMED),
    "denied": Ended("a" * 32, "/v1/A", "UNAUTHENTICATED", "TOKEN_UNKNOWN", 1e-5, TIME, None, None),
    "without an id": Ended("", "/v1/A", "OK", "", 2, TIME, parse_address("192.0.2.1"), None),
}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def by_structlog(call: Ended, log_format: LogFormat, worker: int | None) -> str:
    stream = io.StringIO()
    log.configure("info", log_format, Lines(stream), worker)
    structlog.get_logger("keywright.access").info("call", **call.fields())
    return stream.getvalue().rstrip("\n")


@pytest.mark.parametrize("worker", [None, 3])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_has_the_same_fields_in_the_same_order(call: Ended, worker: int | None) -> None:
    theirs = json.loads(by_structlog(call, "json", worker))
    ours = json.loads(line_of("json", worker)(call))
    assert list(ours) == list(theirs)
    assert ours.keys() <= FIELDS
    assert datetime.fromisoformat(ours.pop("timestamp")).timestamp() == TIME
    assert len(theirs.pop("timestamp")) == len("2023-11-14T22:13:20.250000Z")
    assert ours == theirs


@pytest.mark.parametrize("worker", [None, 3])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_people_see_the_same_text(call: Ended, worker: int | None) -> None:
    theirs = by_structlog(call, "console", worker).split()
    ours = line_of("console", worker)(call).split()
    assert ours[0] == "2023-11-14T22:13:20.250000Z"
    assert ours[1:] == theirs[1:]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_some_of_a_token_as_the_id_of_a_call_is_cut(log_format: LogFormat) -> None:
    shown = len("kw_live_") + 12
    call = Ended(TOKEN[:40], "/v1/A", "OK", "", 0.001, TIME, None, None)
    line = line_of(log_format, None)(call)
    assert f"{TOKEN[:shown]}..." in line
    assert TOKEN[shown : shown + 8] not in line


@pytest.mark.parametrize("level", ["warning", "error"])
def test_who_wants_no_such_level_gets_no_lines(level: LogLevel) -> None:
    with kept(Config(access_log="all", log_level=level), None) as later:
        assert later is None
    with kept(Config(access_log="all"), None) as later:
        assert later is not None

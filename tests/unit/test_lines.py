"""Lines that are written a moment later: in order, whole, and told of where they are lost."""

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import pytest
import structlog

from keywright.app import log
from keywright.app.lines import Lines

MANY = 10_000


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def test_what_is_written_at_once_comes_after_what_came_about_before() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    with lines.written(str) as later:
        for number in range(100):
            later(number)
            if number % 10 == 0:
                lines.write(f"at once, {number}\n")
    expected = [
        text
        for number in range(100)
        for text in (str(number), *([f"at once, {number}"] if number % 10 == 0 else []))
    ]
    assert stream.getvalue().splitlines() == expected


def test_nothing_is_left_at_the_end() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    with lines.written(str) as later:
        for number in range(1000):
            later(number)
    assert stream.getvalue().splitlines() == [str(number) for number in range(1000)]
    assert (lines.waiting, lines.dropped) == (0, 0)


def test_a_line_is_written_though_nothing_else_is() -> None:
    written = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str, /) -> int:
            if "alone" in text:
                written.set()
            return super().write(text)

    with Lines(Stream()).written(str) as later:
        later("alone")
        assert written.wait(20)


def test_lines_of_several_processes_on_one_pipe_are_not_torn() -> None:
    pieces: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str, /) -> int:
            pieces.append(text)
            return len(text)

    lines = Lines(Stream())
    with lines.written(str) as later:
        for number in range(1000):
            later(f"{number:0{number % 500 + 4}}")
    pieces = [piece for piece in pieces if piece]
    assert all(piece.endswith("\n") for piece in pieces)
    assert all(len(piece) <= PIPE_BUF for piece in pieces)
    assert [int(text) for text in "".join(pieces).splitlines()] == list(range(1000))


def test_nobody_waits_for_a_reader_that_is_too_slow_and_what_is_lost_is_told() -> None:
    reading, writing = os.pipe()
    read: list[dict[str, Any]] = []
    told = threading.Event()

    def read_all() -> None:
        with os.fdopen(reading) as reader:
            for text in reader:
                read.append(json.loads(text))
                if "event" in read[-1]:
                    told.set()

    slow = threading.Thread(target=read_all)
    with os.fdopen(writing, "w") as stream:
        lines = Lines(stream)
        log.configure("info", "json", lines)
        with lines.written(lambda number: json.dumps({"number": number})) as later:
            for number in range(MANY):  # nobody reads meanwhile, and the pipe takes 64 KiB
                later(number)
            lost = lines.dropped
            slow.start()
            if lost:
                assert told.wait(20)
    slow.join()
    kept = [line["number"] for line in read if "number" in line]
    assert lost > 0
    assert kept == sorted(kept)
    assert len(kept) + lost == MANY
    warnings = [line for line in read if "event" in line]
    assert {line["event"] for line in warnings} == {"lines about calls are lost"}
    assert sum(line["count"] for line in warnings) == lost == lines.dropped


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    stream = Path("/dev/full").open("w")  # noqa: SIM115  to close it fails, too
    lines = Lines(stream)
    log.configure("info", "json", lines)
    with lines.written(str) as later:
        for number in range(100):
            later(number)
    assert (lines.waiting, lines.dropped) == (0, 100)
    with pytest.raises(OSError, match="No space left"):
        stream.close()


def test_a_line_about_garbage_may_come_while_lines_are_made() -> None:
    """As asyncio says something of a task that is collected, in whatever thread that happens."""
    stream = io.StringIO()
    lines = Lines(stream)
    rounds = 3

    def make(number: int) -> str:
        if number == 0:
            lines.write("in between\n")
        return str(number)

    with lines.written(make) as later:
        for _ in range(rounds):
            for number in range(10):
                later(number)
            while lines.waiting:
                pass
    written = stream.getvalue().splitlines()
    assert written.count("in between") == rounds
    assert written.count("9") == rounds
    assert lines.dropped == 0


def test_two_threads_that_log_in_either_way_do_not_wait_for_each_other() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    log.configure("warning", "json", lines)
    others: list[threading.Thread] = []

    def make(number: int) -> str:
        for say in (logging.getLogger("asyncio").warning, structlog.get_logger("x").warning):
            other = threading.Thread(target=say, args=("from another thread",))
            other.start()
            other.join(0.2)  # it is as far as it gets
            others.append(other)
            say("from the thread that writes")
        return str(number)

    with lines.written(make) as later:
        later(0)
    for other in others:
        other.join(10)
    written = stream.getvalue()
    assert written.count("from another thread") == 2
    assert written.count("from the thread that writes") == 2

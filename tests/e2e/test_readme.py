"""The README's commands do what the README shows. They are run as they stand there."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keywright.wire.methods import methods
from tests.e2e.test_dev import VENV
from tests.support.service import Process, running
from tests.support.unprivileged import CHECKOUT, directory_others_may_enter

README = (CHECKOUT / "README.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What differs from run to run: revisions, tokens, etags, ids and prefixes that are given, times.
_VARYING = (
    (re.compile(r"\bA[0-9A-Za-z_-]{53}\b"), "<revision>"),
    (re.compile(r"kw_[a-z]+_[0-9A-Za-z.]+"), "<token>"),
    (re.compile(r"\bv1\.[0-9a-f]+\b"), "<etag>"),
    (re.compile(r"\b[0-9a-hjkmnp-tv-z]{16}\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z)?"), "<time>"),
    (re.compile(r"\b(?=[0-9A-Za-z]*[0-9A-Z])[0-9A-Za-z]{12}\b"), "<prefix>"),
    (re.compile(r"[\s─━│┃┏┓┗┛┡┩└┘├┤┬┴┼╇]+"), " "),
)


@dataclass(frozen=True)
class Step:
    """A command of the README, and what it says the command prints."""

    command: str
    output: str


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return [body for found, body in _BLOCK.findall(README) if found == language]


def steps() -> list[Step]:
    """The commands of all `console` blocks, in order."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.split("\n")
            taken = 1
            while lines[taken - 1].endswith("\\"):
                taken += 1
            found.append(Step("\n".join(lines[:taken]), "\n".join(lines[taken:])))
    return found


def alike(text: str) -> str:
    """`text` without what differs from run to run."""
    for pattern, stands_for in _VARYING:
        text = pattern.sub(stands_for, text)
    return text.strip()


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    with directory_others_may_enter() as path:
        yield path


@asynccontextmanager
async def make_run(place: Path) -> AsyncIterator[tuple[Process, dict[str, str]]]:
    """`make run`, listening where no other test does; the environment says where."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")},
        "KEYWRIGHT_LISTEN": address,
        "KEYWRIGHT_METRICS_LISTEN": "",
        "KEYWRIGHT_CONSOLE_LISTEN": "127.0.0.1:0",
        "DATA_DIR": str(place / "postgres"),
        "VENV": str(VENV),
        "COLUMNS": "100",
    }
    command = next(line for line in blocks("sh")[0].splitlines() if line.startswith("make run"))
    argv = [
        "sh",
        "-ec",
        f"exec {command.replace('make', 'make --old-file=' + str(VENV / '.ready'))}",
    ]
    async with running(argv, environ, CHECKOUT) as process:
        yield process, {**environ, "KEYWRIGHT_URI": address}


async def shell(script: str, environ: dict[str, str], place: Path = CHECKOUT) -> str:
    """Run a script as a person's shell would; returns all it printed."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-e",
        env=environ,
        cwd=place,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(script.encode()), 60)
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def test_every_command_prints_what_the_readme_shows(place: Path) -> None:
    async with make_run(place) as (process, environ):
        await process.told("in another terminal")
        token = await process.shown()
        shown = steps()
        commands = [step.command.replace("kw_live_...", token) for step in shown]
        printed = await shell("\necho '~~~'\n".join(commands), environ)
        for step, output in zip(shown, printed.split("~~~\n"), strict=True):
            assert alike(output) == alike(step.output), step.command


async def test_the_ten_lines_of_python_authenticate_a_key(place: Path) -> None:
    (program,) = blocks("python")
    assert len(program.splitlines()) <= 10
    async with make_run(place) as (process, environ):
        await process.told("in another terminal")
        token = await process.shown()
        key = f"export KEYWRIGHT_API_KEY={token} KEY={token}\n"
        script = f"{key}{VENV}/bin/python - <<'PROGRAM'\n{program}\nPROGRAM\n"
        printed = await shell(script, environ)
    assert "admin@localhost" in printed


def test_the_roadmap_lists_exactly_the_methods_that_are_not_implemented() -> None:
    roadmap = README.split("## Roadmap")[1].split("\n## ")[0]
    listed = set()
    for line in roadmap.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 and cells[0].endswith("Service`"):
            names = re.findall(r"`(\w+)`", cells[1])
            listed |= {f"{cells[0].strip('`')}/{name}" for name in names}
    missing = {f"{each.service}/{each.name}" for each in methods() if each.handler is None}
    assert listed == missing


def test_every_path_that_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (CHECKOUT / target).exists(), target

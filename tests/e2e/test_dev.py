"""A first run: `keywright dev`, as `make run` calls it, wherever people put a checkout."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx2
import psutil
import pytest

from tests.support.console import Browser
from tests.support.service import Caller, Process, running
from tests.support.unprivileged import CHECKOUT, command_as, directory_others_may_enter

KEYWRIGHT = [sys.executable, "-m", "keywright"]
VENV = Path(sys.prefix)


@dataclass
class Run:
    """A run of `keywright dev` that serves."""

    process: Process
    target: str
    token: str

    @property
    def told(self) -> str:
        """What a person saw on stderr, without the log."""
        return "\n".join(line for line in self.process.raw if not line.startswith("{"))


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    with directory_others_may_enter() as path:
        yield path


def _environ(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")}
    return {
        **clean,
        "KEYWRIGHT_LISTEN": "127.0.0.1:0",
        "KEYWRIGHT_METRICS_LISTEN": "",
        "KEYWRIGHT_CONSOLE_LISTEN": "",
        "KEYWRIGHT_LOG_FORMAT": "json",
        **more,
    }


@asynccontextmanager
async def dev(
    argv: Sequence[str], cwd: Path, *, first: bool = True, **environ: str
) -> AsyncIterator[Run]:
    """Run a command that serves, until the block ends; a first run shows a token."""
    async with running(argv, _environ(**environ), cwd) as process:
        listening = await process.logged("listening")
        await process.told("in another terminal" if first else "For a new one")
        yield Run(process, listening["listen"], await process.shown() if first else "")


async def whoami(run: Run, token: str) -> str:
    """Who `token` is, asked of a running server."""
    async with grpc.aio.insecure_channel(run.target) as channel:
        caller = Caller(channel, token)
        return (await caller.authenticate(token)).user.email


async def ended(argv: Sequence[str], cwd: Path, **environ: str) -> tuple[int, str]:
    """Run a command that is to end by itself; returns its exit status and stderr."""
    async with running(argv, _environ(**environ), cwd) as process:
        async with asyncio.timeout(60):
            status = await process.process.wait()
            await process.ended()
        return status, "\n".join(process.raw)


async def test_the_admins_token_is_printed_at_the_first_run_only_and_outlives_a_restart(
    place: Path,
) -> None:
    async with dev([*KEYWRIGHT, "dev"], place) as first:
        token = first.token
        assert token.startswith("kw_live_")
        assert await whoami(first, token) == "admin@localhost"
        assert "shown this once" in first.told
    async with dev([*KEYWRIGHT, "dev"], place, first=False) as second:
        assert second.process.printed == []
        assert "make admin-token" in second.told
        assert await whoami(second, token) == "admin@localhost"


@pytest.mark.slow
async def test_a_lost_admin_token_is_replaced_while_the_server_runs_and_while_it_does_not(
    place: Path,
) -> None:
    again = [*KEYWRIGHT, "dev", "--new-admin-token"]
    async with dev([*KEYWRIGHT, "dev"], place) as run:
        async with running(again, _environ(), place) as process:
            token = await process.shown()
        assert await whoami(run, token) == "admin@localhost"
    async with running(again, _environ(), place) as process:
        token = await process.shown()
    async with dev([*KEYWRIGHT, "dev"], place, first=False) as run:
        assert await whoami(run, token) == "admin@localhost"


@pytest.mark.slow
async def test_data_survives_kill_9_of_server_and_database(place: Path) -> None:
    async with dev([*KEYWRIGHT, "dev"], place) as run:
        token = run.token
        pid_file = next(place.rglob("postmaster.pid"))
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
        await run.process.stop(signal.SIGKILL)
    async with dev([*KEYWRIGHT, "dev"], place, first=False) as run:
        assert await whoami(run, token) == "admin@localhost"


async def test_make_run_serves_from_a_checkout_with_a_space_in_its_path(place: Path) -> None:
    checkout = place / "key wright"
    shutil.copytree(CHECKOUT, checkout, ignore=shutil.ignore_patterns(".*", "bench", "tests"))
    checkout.chmod(0o755)
    # The virtual environment is this test run's own, and must stay as it is.
    make = ["make", "--silent", "run", f"VENV={VENV}", f"--old-file={VENV / '.ready'}"]
    async with dev(make, checkout) as run:
        assert await whoami(run, run.token) == "admin@localhost"
    assert (checkout / ".data/postgres").exists()


async def test_an_ordinary_user_can_run_it(place: Path) -> None:
    home, scratch = place / "home", place / "scratch"
    scratch.mkdir()
    home.mkdir()
    shutil.chown(home, "nobody")
    argv = command_as("nobody", [*KEYWRIGHT, "dev", "--data-dir", str(home / "data")], scratch)
    async with dev(argv, home, HOME=str(home)) as run:
        assert await whoami(run, run.token) == "admin@localhost"


async def test_root_can_run_it_from_a_directory_that_nobody_else_may_enter(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    async with dev([*KEYWRIGHT, "dev"], private) as run:
        token = run.token
    async with dev([*KEYWRIGHT, "dev"], private, first=False) as run:
        assert await whoami(run, token) == "admin@localhost"


async def test_a_second_server_on_the_same_data_is_told_who_has_it(place: Path) -> None:
    async with dev([*KEYWRIGHT, "dev"], place) as run:
        status, said = await ended([*KEYWRIGHT, "dev"], place)
        assert status == 1
        assert str(run.process.process.pid) in said
        assert "Traceback" not in said


@pytest.mark.slow
async def test_data_of_another_major_version_is_refused_with_both_versions(place: Path) -> None:
    async with dev([*KEYWRIGHT, "dev"], place):
        pass
    version = next(place.rglob("data/PG_VERSION"))
    ours = version.read_text().strip()
    version.write_text("14\n")
    status, said = await ended([*KEYWRIGHT, "dev"], place)
    assert status == 1
    assert "14" in said
    assert ours in said
    assert "Traceback" not in said


async def test_a_path_that_is_too_long_is_a_clear_error(place: Path) -> None:
    long = "/".join(["x" * 200] * 6)
    status, said = await ended([*KEYWRIGHT, "dev", "--data-dir", str(place / long)], place)
    assert status == 1
    assert "long" in said
    assert "Traceback" not in said


async def test_a_provided_database_is_used_instead_of_the_embedded_one(
    place: Path, database: str
) -> None:
    async with dev([*KEYWRIGHT, "dev"], place, KEYWRIGHT_DATABASE_URL=database) as run:
        assert await whoami(run, run.token) == "admin@localhost"
    assert not (place / ".data").exists()


@pytest.mark.slow
async def test_a_first_run_on_a_busy_port_loses_no_token(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        status, said = await ended([*KEYWRIGHT, "dev"], place, KEYWRIGHT_LISTEN=address)
        assert status == 1
        assert address in said
    async with dev([*KEYWRIGHT, "dev"], place) as run:
        assert await whoami(run, run.token) == "admin@localhost"


async def test_the_console_is_beside_it_and_the_link_signs_the_admin_in(place: Path) -> None:
    async with dev([*KEYWRIGHT, "dev"], place, KEYWRIGHT_CONSOLE_LISTEN="127.0.0.1:0") as run:
        link = (await run.process.told("/sign-in/link?token=")).strip()
        url = link.partition("/sign-in")[0]
        assert f"The console, where people manage keys: {url}" in run.told
        async with httpx2.AsyncClient(base_url=url, follow_redirects=True) as client:
            browser = Browser(client, url)
            page = await browser.send(await browser.get(link), "/sign-in/link")
            assert "admin@localhost" in page.text
        program = next(
            each
            for each in psutil.Process(run.process.process.pid).children(recursive=True)
            if "console" in each.cmdline()
        )
        await run.process.stop(signal.SIGKILL)
        await asyncio.to_thread(program.wait, 30)


async def test_a_console_that_cannot_listen_is_told_and_the_server_serves(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        async with dev([*KEYWRIGHT, "dev"], place, KEYWRIGHT_CONSOLE_LISTEN=address) as run:
            assert await whoami(run, run.token) == "admin@localhost"
            assert f"console: LISTEN_FAILED: listen: {address} cannot" in run.told
            assert "where people manage keys" not in run.told

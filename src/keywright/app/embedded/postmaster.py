"""Start, watch and stop one PostgreSQL server process."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keywright.app.embedded.account import tail
from keywright.app.embedded.binaries import Binaries
from keywright.app.embedded.errors import EmbeddedPostgresError
from keywright.app.embedded.home import SOCKET_NAME, Home, read_untrusted

# PostgreSQL tells its state in a file; nothing but looking again tells of a change.
POLL_SECONDS = 0.02
START_SECONDS = 60.0  # recovery after a crash included
ORPHANED_BACKENDS_SECONDS = 10.0

# SIGINT: roll back, write a checkpoint, exit. SIGQUIT: exit at once; the next start recovers.
STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

# The guard reads from a pipe that only we can write to. A line sends it home; the end of the pipe
# without one means that we are gone, however we went (kill -9), and the server follows us.
# Not prctl(PR_SET_PDEATHSIG): it fires when the *thread* that forked ends, and needs Python code
# between fork and exec, which is not safe in a process with threads.
GUARD = ("/bin/sh", "-c", 'read -r _ || kill -INT "$1"', "keywright-guard")

DURABLE_AND_MODEST = {
    "fsync": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class PidFile:
    """What the running or crashed server says of itself in `postmaster.pid`."""

    pid: int
    ready: bool

    @classmethod
    def read(cls, data: Path) -> "PidFile | None":
        """Return what it says, or None if it is not there (or just being written)."""
        lines = (read_untrusted(data / "postmaster.pid") or "").splitlines()
        if not lines or not lines[0].strip().isdecimal():
            return None
        return cls(int(lines[0]), ready=len(lines) > 7 and lines[7].strip() == "ready")  # noqa: PLR2004


class Postmaster:
    """A server process of ours, and the guard that ends it when we die."""

    def __init__(
        self, server: subprocess.Popen[bytes], guard: subprocess.Popen[bytes], home: Home
    ) -> None:
        self._server = server
        self._guard = guard
        self._home = home

    @classmethod
    async def launch(
        cls, home: Home, binaries: Binaries, settings: Mapping[str, str]
    ) -> "Postmaster":
        """Start the server and wait until it accepts connections.

        Raises:
            EmbeddedPostgresError: it did not come up; the message ends with the end of its log.
        """
        patience = time.monotonic() + ORPHANED_BACKENDS_SECONDS
        while True:
            postmaster = cls._spawn(home, binaries, settings)
            try:
                async with asyncio.timeout(START_SECONDS):
                    if await postmaster.becomes_ready():
                        return postmaster
                reason = "stopped while starting"
            except TimeoutError:
                reason = f"was not ready after {START_SECONDS:.0f} s"
            except BaseException:
                await postmaster.stop()
                raise
            await postmaster.stop()
            log = home.log.read_bytes()
            # The children of a server killed a moment ago still have its memory; they will go.
            if b"shared memory block" not in log or time.monotonic() > patience:
                raise EmbeddedPostgresError(
                    f"The embedded PostgreSQL in {home.path} {reason}. The end of its log, "
                    f"{home.log}:\n{tail(log)}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Stop the server; it may be gone already.

        Raises:
            EmbeddedPostgresError: it does not stop.
        """
        pid = self._server.pid
        await _stop(pid, lambda: self._server.poll() is None, self._server.send_signal)
        self._guard.communicate(b"\n")

    async def becomes_ready(self) -> bool:
        """Wait until the server accepts connections; False if it ends instead."""
        while self._server.poll() is None:
            found = PidFile.read(self._home.data)
            if found and found.pid == self._server.pid and found.ready:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    @classmethod
    def _spawn(cls, home: Home, binaries: Binaries, settings: Mapping[str, str]) -> "Postmaster":
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        log = os.open(home.log, flags, 0o600)
        try:
            server = home.account.spawn(
                *(binaries.postgres, "-D", str(home.data)), *_options(home, settings), output=log
            )
        finally:
            os.close(log)
        guard = home.account.spawn(
            *GUARD, str(server.pid), stdin=subprocess.PIPE, output=subprocess.DEVNULL
        )
        return cls(server, guard, home)


async def stop_orphan(home: Home) -> None:
    """Stop the server that a killed keywright left, and clear away what it locked.

    Only under the home's lock.

    Raises:
        EmbeddedPostgresError: it does not stop.
    """
    found = PidFile.read(home.data)
    if found is not None:
        await _stop(
            found.pid,
            lambda: _serves(found.pid, home),
            lambda number: os.kill(found.pid, number),
        )
    # PostgreSQL itself would believe that any living process with that number is its predecessor;
    # in a container, where numbers start anew, there often is one.
    if found is None or _program(found.pid) != "postgres":
        (home.data / "postmaster.pid").unlink(missing_ok=True)
        if directory := home.existing_socket_directory():
            (directory / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


async def _stop(pid: int, lives: Callable[[], bool], kill: Callable[[int], None]) -> None:
    for number, patience in STOP_STEPS:
        if not lives():
            return
        with contextlib.suppress(ProcessLookupError):
            kill(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while lives():  # noqa: ASYNC110 - a process that is not our child has no event
                    await asyncio.sleep(POLL_SECONDS)
                return
    raise EmbeddedPostgresError(f"The embedded PostgreSQL, process {pid}, cannot be stopped.")


def _serves(pid: int, home: Home) -> bool:
    """Say whether process `pid` is the server of this very directory, and of its account."""
    process = Path("/proc", str(pid))
    try:
        # The command line, not cwd or exe: those of another account are hidden from a container's
        # root. A zombie's is empty.
        argv = (process / "cmdline").read_bytes().split(b"\0")
        return process.stat().st_uid == home.account.uid and argv[1:3] == [
            b"-D",
            os.fsencode(home.data),
        ]
    except OSError:
        return False


def _program(pid: int) -> str | None:
    """Return the name of the program that process `pid` runs; None for a zombie or nobody."""
    process = Path("/proc", str(pid))
    try:
        return (
            (process / "comm").read_text().strip() if (process / "cmdline").read_bytes() else None
        )
    except OSError:
        return None


def _options(home: Home, settings: Mapping[str, str]) -> list[str]:
    socket_directory = str(home.socket_directory()).replace('"', '""')
    ours = {
        "cluster_name": "keywright",
        "hba_file": str(home.access_rules),
        "listen_addresses": "",
        "log_destination": "stderr",
        "logging_collector": "off",
        "port": "5432",
        "unix_socket_directories": f'"{socket_directory}"',
        "unix_socket_permissions": "0700",
    }
    merged = {**DURABLE_AND_MODEST, **settings, **ours}
    return [word for name, value in merged.items() for word in ("-c", f"{name}={value}")]

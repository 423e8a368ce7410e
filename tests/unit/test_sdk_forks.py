"""A process that is forked from one in which grpc.aio runs makes no call, and says why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.planted import SOURCE

PATIENCE = 60
_FORKING = """
import asyncio, os
from contextlib import suppress
from datetime import timedelta
from keywright import AsyncClient, BlockingAuthenticator, Client
from keywright.sdk import KeywrightError

made = Client("127.0.0.1:1", "kw_own", timeout=timedelta(milliseconds=1))
unused = BlockingAuthenticator("127.0.0.1:1", "kw_own", timeout=timedelta(milliseconds=1))

async def call():
    async with AsyncClient("127.0.0.1:1", "kw_own", timeout=timedelta(milliseconds=1)) as client:
        with suppress(KeywrightError):
            await client.whoami()
        return fork()

def fork():
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = []
    # In this order: only the last would wait for anything.
    for use in (lambda: Client("127.0.0.1:1", "kw_own"), made.whoami, unused.__enter__):
        try:
            use()
            said.append("used")
        except KeywrightError as error:
            said.append(error.reason)
        if said[-1] != "FORKED":
            break
    os.write(1, f"{' '.join(said)}\\n".encode())
    os._exit(0)

assert asyncio.run(call()) == 0
assert fork() == 0  # nothing of grpc.aio is there any more
"""


def said_by_children(**environ: str) -> list[str]:
    """What the child says of a process that uses grpc.aio, and of one that has done with it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKING],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout.decode().splitlines()


def test_a_child_is_told_instead_of_hanging_in_its_first_call() -> None:
    assert said_by_children() == ["FORKED FORKED FORKED", "used"]


def test_a_build_that_goes_on_in_the_child_is_found_out(tmp_path: Path) -> None:
    built = shutil.copytree(SOURCE, tmp_path / "keywright") / "sdk/connection/forks.py"
    guard = '_left.append("forked")'
    assert guard in built.read_text()
    built.write_text(built.read_text().replace(guard, "pass"))
    assert said_by_children(PYTHONPATH=str(tmp_path))[0] == "used"

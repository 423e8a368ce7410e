"""The guides to putting keywright into a server of one's own: run as they stand there."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e.test_import_guides import GUIDES, steps, with_gaps
from tests.e2e.test_readme import alike, shell
from tests.support.service import Service, first_admin

pytestmark = pytest.mark.slow  # dozens of commands, each a process

_FILE = re.compile(r"[Ii]n `([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"\b800\d\b")


def free_ports(count: int) -> list[str]:
    """Ports where nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def follow(guide: str, service: Service, place: Path) -> None:
    """Write its files and run its commands, which must print what it shows.

    In a workspace and a directory of its own, and on ports that are free.
    """
    workspace = f"guide-{place.name[-1]}-{guide.partition('.')[0]}"
    token = await first_admin(service.dsn, workspace)
    text = (GUIDES / guide).read_text()
    mentioned = sorted(set(_PORT.findall(text)))
    ports = dict(zip(mentioned, free_ports(len(mentioned)), strict=True))

    def elsewhere(part: str) -> str:
        return _PORT.sub(lambda port: ports[port[0]], part)

    files = _FILE.findall(text)
    assert files
    for name, content in files:
        (place / name).write_text(elsewhere(content))
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KEYWRIGHT_URI": service.uri,
        "KEYWRIGHT_API_KEY": token,
    }
    shown = steps(guide)
    # If a command fails, what runs in the background goes with it, unless it has gone before.
    script = "trap 'kill $! 2>&- || :' EXIT\n"
    script += "\necho '~~~'\n".join(elsewhere(command) for command, _ in shown)
    printed = (await shell(script, environ, place)).replace("\r", "")
    for (command, expected), told in zip(shown, printed.split("~~~\n"), strict=True):
        output = told.replace(f"/{workspace}/", "/default/")
        assert re.fullmatch(with_gaps(expected), alike(output)), (command, output)


async def test_a_fastapi_application_is_protected_by_the_guide(
    service: Service, tmp_path: Path
) -> None:
    await follow("fastapi.md", service, tmp_path)


async def test_a_grpc_server_is_protected_by_the_guide(service: Service, tmp_path: Path) -> None:
    await follow("grpc-aio.md", service, tmp_path)

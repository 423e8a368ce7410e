"""Envoy with the configuration that is shipped, which answers by itself what it lets through."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from bench import cores, server
from bench.hot_get import HotGet
from bench.server import Process
from tests.support import proxies

_OF_ITSELF = (r"route: \{ cluster: application \}", "direct_response: { status: 200 }")
_ALONE = (r"( +)(- name: envoy.filters.http.ext_authz\n)", r"\1\2\1  disabled: true\n")
_PATIENCE_SECONDS = 30


@asynccontextmanager
async def envoy(sidecar: str = "") -> AsyncIterator[Process]:
    """An Envoy that asks the sidecar at that address; nobody, without one."""
    with tempfile.TemporaryDirectory(prefix="keywright-envoy-") as name:
        directory, port = Path(name), proxies.free_port()
        ports = {proxies.WEB: port, proxies.ENVOY: sidecar.rpartition(":")[2] or proxies.ENVOY}
        edits = (_OF_ITSELF,) if sidecar else (_OF_ITSELF, _ALONE)
        proxies.configure("envoy", directory, ports, *edits)
        argv = [*proxies.command("envoy"), "--concurrency", "1", "--log-level", "error"]
        async with server.running(
            argv, os.environ, stderr=subprocess.DEVNULL, core=cores.LOAD, directory=directory
        ) as process:
            running = Process(process.pid, f"127.0.0.1:{port}")
            await _serves(running)
            yield running


async def _serves(running: Process) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        with closing(HotGet("Envoy", running, "/public/x", ())) as public:
            while not await _is_let_through(public):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.05)


async def _is_let_through(asked: HotGet) -> bool:
    try:
        return await asked.status() == 200
    except (OSError, asyncio.IncompleteReadError):
        return False

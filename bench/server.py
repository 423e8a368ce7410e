"""What is measured: PostgreSQL as `keywright dev` starts it, servers in processes of their own."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.embedded import EmbeddedPostgres, locate_binaries
from keywright.storage import migrate

WORKSPACE = "default"
_PATIENCE = timedelta(seconds=30)
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL of our own."""

    dsn: str

    async def database(self, name: str) -> tuple[str, str]:
        """A new database with the current schema and a first admin: its DSN, the admin's token."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        dsn = urlunsplit(urlsplit(self.dsn)._replace(path=f"/{name}"))
        await migrate.migrate(dsn, migrate.load(), timeout=_PATIENCE)
        parts = await Parts.open(Config(), dsn)
        try:
            token = await (await parts.bootstrap()).first_admin(WORKSPACE, "admin@localhost")
        finally:
            await parts.close()
        assert token is not None, "the database is new"
        return dsn, token.reveal()


@asynccontextmanager
async def postgres(**settings: str) -> AsyncIterator[Postgres]:
    """Run PostgreSQL on an empty directory, durable and with the settings that `dev` gives it.

    But for `shared_buffers`: a server of a million keys is given memory for them, as PostgreSQL's
    manual advises (a quarter of the machine's); `dev` is for a first run. `settings` are more.
    """
    with _directory_others_may_enter() as directory:
        binaries = locate_binaries(os.environ)
        given = {"shared_buffers": "1GB", **settings}
        postgresql = EmbeddedPostgres(directory / "postgres", binaries, settings=given)
        async with postgresql as dsn:
            yield Postgres(dsn)


@dataclass(frozen=True, slots=True)
class Server:
    """A server process and a connection to it."""

    pid: int
    channel: grpc.aio.Channel

    def cpu_seconds(self) -> float:
        """Processor time that the process has used, all threads, in steps of 10 ms (proc(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def keywright(
    dsn: str, *, source: Path | None = None, **settings: str
) -> AsyncIterator[Server]:
    """`keywright serve` as it ships, on a database; settings are KEYWRIGHT_... in lower case.

    Its access log goes to a file, as it would to a collector: read through a pipe by this process,
    it would cost the load generator time. `source` has another build of the program.
    """
    given = {"database_url": dsn, "listen": "127.0.0.1:0", "metrics_listen": "", **settings}
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KEYWRIGHT_")},
        **{f"KEYWRIGHT_{name.upper()}": value for name, value in given.items()},
        **({} if source is None else {"PYTHONPATH": str(source)}),
    }
    with tempfile.TemporaryFile() as log:
        argv = [sys.executable, "-m", "keywright", "serve"]
        async with _running(argv, environ, stderr=log) as process:
            address = await _listens(process, log)
            async with grpc.aio.insecure_channel(address) as channel:
                await _serves(channel)
                yield Server(process.pid, channel)


@asynccontextmanager
async def echo(reply_bytes: int) -> AsyncIterator[Server]:
    """The no-op of `bench.echo`, with replies of that size."""
    argv = [sys.executable, "-m", "bench.echo", "serve", "--reply-bytes", str(reply_bytes)]
    async with _running(argv, os.environ, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        async with grpc.aio.insecure_channel(address) as channel:
            yield Server(process.pid, channel)


@contextmanager
def _directory_others_may_enter() -> Iterator[Path]:
    """Where PostgreSQL can run for root, too, which it does under another account."""
    with tempfile.TemporaryDirectory(prefix="keywright-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@asynccontextmanager
async def _running(
    argv: list[str],
    environ: Mapping[str, str],
    *,
    stdout: int | None = None,
    stderr: IO[bytes] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *argv, env=dict(environ), stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(process: asyncio.subprocess.Process, log: IO[bytes]) -> str:
    """Where the server listens, as its log says."""
    async with asyncio.timeout(_PATIENCE.total_seconds()):
        while True:
            # pread, because the file's position is the server's, too.
            text = os.pread(log.fileno(), 1 << 16, 0)
            for line in text.splitlines(keepends=True):
                if line.endswith(b"\n") and b'"listening"' in line:
                    return str(json.loads(line)["listen"])
            if process.returncode is not None:
                raise RuntimeError(f"keywright serve ended at once: {text.decode()}")
            await asyncio.sleep(_POLL_SECONDS)


async def _serves(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(_PATIENCE.total_seconds()):
        async for update in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
            if update.status == health_pb2.HealthCheckResponse.SERVING:
                return

"""What is measured: PostgreSQL as `keywright dev` starts it, servers in processes of their own."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench import cores, program
from bench.front_no_op import REPLY_BYTES
from bench.program import Program
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.app.embedded import EmbeddedPostgres, locate_binaries
from keywright.app.front.program import front
from keywright.app.grpc_server import connection_options
from keywright.app.workers.port import claimed
from keywright.front.admin import Admin
from keywright.front.places import Places
from keywright.listening import TcpAddress
from keywright.storage import migrate

WORKSPACE = "default"
_PATIENCE = timedelta(seconds=30)
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL of our own; `pid` is its postmaster."""

    dsn: str
    pid: int

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
            pid = int(
                (directory / "postgres" / "instance" / "data" / "postmaster.pid")
                .read_text()
                .split()[0]
            )
            yield Postgres(dsn, pid)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that listens.

    Attributes:
        pid: its own, or that of the supervisor of its workers.
    """

    pid: int
    address: str

    def resident_bytes(self) -> int:
        """Memory that the process has in use, without its workers (proc(5): VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def descriptor_count(self) -> int:
        """How many files and sockets the process has open, without its workers."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def cpu_seconds(self) -> float:
        """Processor time that the process and its workers have used (`cpu_seconds`)."""
        return cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True)
class Server(Process):
    """A server of gRPC, and a connection to it.

    Attributes:
        metrics_address: where its metrics are; empty if they are nowhere.
    """

    channel: grpc.aio.Channel
    metrics_address: str = ""

    async def metrics(self) -> str:
        """What a scrape says, as text."""
        reader, writer = await asyncio.open_connection(*self.metrics_address.rsplit(":", 1))
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            return (await reader.read()).decode()
        finally:
            writer.close()

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        lines = (await self.metrics()).splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name} ", f"{name}{{"))
        )


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of its children that live, all threads, in steps of 10 ms.

    (proc(5); what has ended meanwhile has ended with its time.)
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


@asynccontextmanager
async def keywright(
    dsn: str,
    *,
    source: Path | None = None,
    core: int | None = None,
    python: Path | str = sys.executable,
    **settings: str,
) -> AsyncIterator[Server]:
    """`keywright serve` as it ships, on a database; settings are KEYWRIGHT_... in lower case.

    Its access log goes to a file, as it would to a collector: read through a pipe by this process,
    it would cost the load generator time. `source` has another build of the program, `core` is the
    only one that it may use, `python` is another interpreter. With `workers`, all of them serve.
    """
    anywhere = "127.0.0.1:0"
    given = {"database_url": dsn, "listen": anywhere, "metrics_listen": anywhere, **settings}
    environ = {
        **_environ(given),
        **({} if source is None else {"PYTHONPATH": str(source)}),
    }
    with tempfile.TemporaryFile() as log:
        argv = [str(python), "-m", "keywright", "serve"]
        async with running(argv, environ, stderr=log, core=core) as process:
            said = _Said(process, log)
            (listening,) = await said.lines("listening")
            if (workers := int(given.get("workers", "1"))) > 1:
                await said.lines("a worker serves", workers)
            metrics = await said.lines("serving metrics") if given["metrics_listen"] else []
            address = str(listening["listen"])
            async with grpc.aio.insecure_channel(address) as channel:
                await _serves(channel)
                yield Server(
                    process.pid,
                    address,
                    channel,
                    "".join(str(line["listen"]) for line in metrics),
                )


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that is ready: one process, which listens for Envoy and for HTTP."""

    envoy: Server
    http: Process


@asynccontextmanager
async def sidecar(
    config: Path, uri: str, api_key: str, *, core: int | None = None
) -> AsyncIterator[Sidecar]:
    """`keywright sidecar` as it ships. Its log goes to a file, as a server's does."""
    environ = _environ({"uri": uri, "api_key": api_key})
    with tempfile.TemporaryFile() as log:
        argv = [sys.executable, "-m", "keywright", "sidecar", "--config", str(config)]
        async with running(argv, environ, stderr=log, core=core) as process:
            said = _Said(process, log)
            (listening,) = await said.lines("listening")
            await said.lines("ready")
            envoy, http = str(listening["envoy"]), str(listening["http"])
            async with grpc.aio.insecure_channel(envoy) as channel:
                yield Sidecar(Server(process.pid, envoy, channel), Process(process.pid, http))


@asynccontextmanager
async def console(uri: str) -> AsyncIterator[Process]:
    """`keywright console` as it ships, for a server. Its log goes to a file, as a server's does."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile() as log:
        config = Path(directory) / "console.toml"
        config.write_text('listen = "127.0.0.1:0"\n')
        argv = [sys.executable, "-m", "keywright", "console", "--config", str(config)]
        async with running(argv, _environ({"uri": uri}), stderr=log) as process:
            (listening,) = await _Said(process, log).lines("listening")
            yield Process(process.pid, str(listening["http"]))


@asynccontextmanager
async def http_no_op(
    headers: Sequence[tuple[str, str]], *, core: int | None = None
) -> AsyncIterator[Process]:
    """The no-op of `bench.http_no_op`, which answers with these headers."""
    argv = [sys.executable, "-m", "bench.http_no_op", json.dumps(headers)]
    async with running(argv, os.environ, stdout=subprocess.PIPE, core=core) as process:
        yield Process(process.pid, (await process.line()).strip())


@asynccontextmanager
async def echo(reply_bytes: int, *, core: int | None = None) -> AsyncIterator[Server]:
    """The no-op of `bench.echo`, with replies of that size.

    It runs as the server does: on uvloop, with the same channel options.
    """
    argv = [sys.executable, "-m", "bench.echo", "serve", "--reply-bytes", str(reply_bytes)]
    argv += ["--options", json.dumps(connection_options(Config(), shares_port=False))]
    async with running(argv, os.environ, stdout=subprocess.PIPE, core=core) as process:
        address = (await process.line()).strip()
        async with grpc.aio.insecure_channel(address) as channel:
            yield Server(process.pid, address, channel)


@asynccontextmanager
async def front_no_op(reply_bytes: int, *, core: int | None = None) -> AsyncIterator[Server]:
    """The no-op of `bench.front_no_op`, in an Envoy that is configured as the server's is."""
    with (
        claimed(TcpAddress("127.0.0.1", 0)) as address,
        front(Config(), address, "bench.front_no_op:app") as program,
    ):
        directory = program.directory
        assert directory is not None, "a front has one"
        environ = {**(program.environ or {}), REPLY_BYTES: str(reply_bytes)}
        async with (
            running(program.argv, environ, core=core, directory=directory) as process,
            grpc.aio.insecure_channel(str(address)) as channel,
        ):
            await Admin(Places(directory).admin).is_live()
            yield Server(process.pid, str(address), channel)


def _environ(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Ours, with these settings of keywright and no others."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("KEYWRIGHT_")},
        **{f"KEYWRIGHT_{name.upper()}": value for name, value in settings.items()},
    }


@contextmanager
def _directory_others_may_enter() -> Iterator[Path]:
    """Where PostgreSQL can run for root, too, which it does under another account."""
    with tempfile.TemporaryDirectory(prefix="keywright-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@asynccontextmanager
async def running(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    stdout: int | None = None,
    stderr: IO[bytes] | int | None = None,
    core: int | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Program]:
    """A program, on one core or on any, ended with the block."""
    with cores.only(core):
        process = program.start(*argv, env=environ, stdout=stdout, stderr=stderr, cwd=directory)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class _Said:
    """What a server says in its log."""

    process: Program
    log: IO[bytes]

    async def lines(self, event: str, count: int = 1) -> Sequence[Mapping[str, object]]:
        """The first `count` lines of an event, as soon as they are there.

        Raises:
            RuntimeError: they do not come.
        """
        end = time.monotonic() + _PATIENCE.total_seconds()
        while True:
            # pread, because the file's position is the server's, too.
            text = os.pread(self.log.fileno(), 1 << 16, 0)
            lines = (line for line in text.splitlines(keepends=True) if line.endswith(b"\n"))
            said = [json.loads(line) for line in lines if line.startswith(b"{")]
            told = [line for line in said if line.get("event") == event]
            if len(told) >= count:
                return told[:count]
            if self.process.returncode is not None or time.monotonic() > end:
                raise RuntimeError(f"it has not said {event!r}: {text.decode()}")
            await asyncio.sleep(_POLL_SECONDS)


async def _serves(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(_PATIENCE.total_seconds()):
        async for update in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
            if update.status == health_pb2.HealthCheckResponse.SERVING:
                return

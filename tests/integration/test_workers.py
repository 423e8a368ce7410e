"""Several processes behind one port: `keywright serve --workers N`."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from keywright.domain.errors import Reason
from keywright.sidecar.counting import Counts
from tests.support.database import Cluster
from tests.support.planted import Bug, build, plant
from tests.support.service import PATIENCE_SECONDS, Caller, Service, refusal, running, service
from tests.support.waiting import held_key

pytestmark = pytest.mark.slow  # each is three processes

WORKERS = 2
SEVERAL = {
    "workers": str(WORKERS),
    "metrics_listen": "127.0.0.1:0",
    "database_pool_size": "4",
    "shutdown_grace": "1s",
}
ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yaml"
Break = Callable[[str, str], Callable[[], list[psutil.Process]]]
SILENT = "a worker does not come round to its calls, and is killed"
MISSED_MOST = 3
# The kernel draws a worker for each: that one of two gets none of them does not happen.
CONNECTIONS = 64


@asynccontextmanager
async def workers(cluster: Cluster, **settings: str) -> AsyncIterator[Service]:
    """Two of them on a database of their own, both serving."""
    async with service(await cluster.migrated(), **{**SEVERAL, **settings}) as several:
        await several.process.each_logged("a worker serves", "worker", range(WORKERS))
        yield several


@pytest.fixture(scope="module", name="several")
async def _several(cluster: Cluster) -> AsyncIterator[Service]:
    async with workers(cluster) as running_:
        yield running_


@asynccontextmanager
async def callers(several: Service) -> AsyncIterator[Sequence[Caller]]:
    """The admin on so many connections that each worker has some of them."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(several.uri, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(CONNECTIONS)
        ]
        yield [Caller(channel, several.admin_token) for channel in channels]


def processes(several: Service) -> list[psutil.Process]:
    """The workers' processes."""
    return psutil.Process(several.process.process.pid).children()


async def got(several: Service, path: str) -> tuple[int, str]:
    """Status and body of what is told over HTTP."""
    address = (await several.process.logged("serving metrics"))["listen"]

    def get() -> tuple[int, str]:
        try:
            with urlopen(f"http://{address}{path}", timeout=20) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def samples(several: Service, name: str, **labels: str) -> dict[str, float]:
    """The values of a metric, by worker."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families((await got(several, "/metrics"))[1]):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                worker = sample.labels["worker"]
                found[worker] = found.get(worker, 0) + sample.value
    return found


async def test_each_worker_answers_some_of_the_connections_and_one_endpoint_tells_of_all(
    several: Service,
) -> None:
    async with callers(several) as admins:
        for admin in admins:
            await admin.authenticate(several.admin_token)
    calls = await samples(several, "keywright_calls_total", method="AuthService/Authenticate")
    assert sorted(calls) == ["0", "1"]
    assert all(calls.values())
    assert sum(calls.values()) == CONNECTIONS
    assert await samples(several, "keywright_worker_up") == {"0": 1, "1": 1}
    assert await got(several, "/readyz") == (200, "serving\n")
    assert await got(several, "/healthz") == (200, "alive\n")
    assert (await got(several, "/elsewhere"))[0] == 404


async def test_a_key_that_is_revoked_at_one_worker_is_dead_at_all(several: Service) -> None:
    created = await several.admin.create_key()
    async with callers(several) as admins:
        for admin in admins:
            await admin.authenticate(created.token)
        await several.admin.revoke_key(created.key.name)
        for admin in admins:
            refused = await refusal(admin.authenticate(created.token))
            assert refused.reason == Reason.KEY_REVOKED


async def test_a_worker_that_dies_is_started_again_and_the_others_serve_on(
    cluster: Cluster,
) -> None:
    async with workers(cluster) as several:
        [one, _] = processes(several)
        seen = len(several.process.log)
        one.kill()
        ended = await several.process.logged("a worker has ended, and is started again", seen)
        assert ended["exit_status"] == -signal.SIGKILL
        assert await got(several, "/readyz") == (200, "serving\n")
        async with grpc.aio.insecure_channel(several.uri) as channel:
            await Caller(channel, several.admin_token).authenticate(several.admin_token)
        await several.process.each_logged("a worker serves", "worker", [ended["worker"]], seen)
        starts = await samples(several, "keywright_worker_starts_total")
        assert starts == {"0": 1, "1": 1, str(ended["worker"]): 2}
        assert len(processes(several)) == WORKERS


async def a_killed_supervisor_leaves_nobody(several: Service) -> None:
    left = processes(several)
    several.process.process.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 15)
    try:
        assert alive == []
    finally:
        for each in alive:
            each.kill()
    assert await several.quietly("SELECT FROM keywright.replica") == []  # they went in order


async def test_a_supervisor_that_is_killed_leaves_no_worker(cluster: Cluster) -> None:
    async with workers(cluster) as several:
        await a_killed_supervisor_leaves_nobody(several)


async def test_workers_end_one_after_the_other_with_the_calls_that_they_have(
    cluster: Cluster,
) -> None:
    async with workers(cluster) as several, callers(several) as admins:
        names = [(await admin.create_key()).key.name for admin in admins[:8]]
        watches = []
        for admin in admins:
            stub: Any = health_pb2_grpc.HealthStub(admin.channel)
            watches.append(stub.Watch(health_pb2.HealthCheckRequest()))
        for watch in watches:
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        async with held_key(several.dsn, names[0]) as row:
            revoking = asyncio.create_task(admins[0].revoke_key(names[0]))
            await row.waited_for()
            several.process.process.send_signal(signal.SIGTERM)
            for watch in watches:  # nobody is to send more, whichever worker it talks to
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert (await got(several, "/readyz"))[0] == 503
            await row.let_go()
            assert (await revoking).key.name == names[0]
        assert await asyncio.wait_for(several.process.process.wait(), 20) == 0
        await several.process.ended()
        stops = [line.get("worker") for line in several.process.log if line["event"] == "stopped"]
        assert stops == [0, 1, None]


async def test_a_second_signal_ends_all_at_once(cluster: Cluster) -> None:
    async with workers(cluster, shutdown_grace="1h") as several:
        created = await several.admin.create_key()
        async with held_key(several.dsn, created.key.name) as row:
            revoking = asyncio.create_task(refusal(several.admin.revoke_key(created.key.name)))
            await row.waited_for()
            left = processes(several)
            seen = len(several.process.log)
            several.process.process.send_signal(signal.SIGINT)
            await several.process.logged("stopping", seen)
            several.process.process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(several.process.process.wait(), 20) == 0
            assert [each for each in left if each.is_running()] == []
            await revoking


async def ends(dsn: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and last words of a server that cannot start."""
    given = {"database_url": dsn, "listen": "127.0.0.1:0", "metrics_listen": "", **settings}
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("KEYWRIGHT_")},
        **{f"KEYWRIGHT_{key.upper()}": value for key, value in given.items()},
    }
    argv = [sys.executable, "-m", "keywright", "serve", *arguments]
    async with running(argv, environ) as process:
        await asyncio.wait_for(process.ended(), PATIENCE_SECONDS)
        assert process.process.returncode is not None
        return process.process.returncode, "\n".join(process.raw)


@pytest.mark.parametrize("count", ["0", "257", "1000", "-1", "two", "1.5"])
async def test_a_count_that_cannot_be_is_refused_with_the_bounds(
    cluster: Cluster, count: str
) -> None:
    status, told = await ends(cluster.dsn, f"--workers={count}")
    assert status == 78
    assert "KEYWRIGHT_WORKERS" in told
    assert "must be a whole number from 1 to 256" in told


async def test_a_unix_socket_has_one_process(cluster: Cluster, tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/kw.sock"
    status, told = await ends(cluster.dsn, "--workers", "2", listen=listen)
    assert status == 78
    assert "must be 1 as long as KEYWRIGHT_LISTEN is a UNIX socket" in told


async def test_more_than_the_database_allows_are_refused_with_the_sum(cluster: Cluster) -> None:
    dsn = await cluster.migrated()
    status, told = await ends(dsn, "--workers", "9", database_pool_size="30")
    assert status == 1
    assert "9 processes need 9 x 32 = 288 connections" in told
    assert "max_connections is 100" in told
    assert "Set KEYWRIGHT_WORKERS or KEYWRIGHT_DATABASE_POOL_SIZE to less" in told


async def test_a_port_that_others_share_is_in_use_all_the_same(several: Service) -> None:
    status, told = await ends(several.dsn, "--workers", "2", listen=several.uri)
    assert status == 1
    assert f"{several.uri} cannot be listened on: it is in use" in told
    status, told = await ends(several.dsn, listen=several.uri)
    assert status == 1
    assert "it is in use" in told


async def test_a_port_is_kept_from_others_before_any_worker_listens(cluster: Cluster) -> None:
    # The database says nothing, so no worker ever serves.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        dsn = f"postgresql://nobody:nothing@{host}:{port}/nothing"
        async with running(
            [sys.executable, "-m", "keywright", "serve", "--workers", "2"],
            {
                **os.environ,
                "KEYWRIGHT_DATABASE_URL": dsn,
                "KEYWRIGHT_LISTEN": "127.0.0.1:0",
                "KEYWRIGHT_METRICS_LISTEN": "",
            },
        ) as first:
            listen = (await first.logged("starting workers"))["listen"]
            status, told = await ends(dsn, "--workers", "2", listen=listen)
            assert status == 1
            assert "it is in use" in told


@pytest.fixture(name="broken")
def _broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Breaks what workers run: a text of it becomes another; returns what finds who runs it."""

    def break_(guard: str, instead: str) -> Callable[[], list[psutil.Process]]:
        build(Bug("app/workers/worker.py", guard, instead), tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return lambda: left_of(tmp_path)

    return break_


def left_of(directory: Path) -> list[psutil.Process]:
    """The processes that run a build."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PYTHONPATH") == str(directory):
                found.append(process)
    return found


async def test_workers_that_cannot_be_started_end_the_server_with_what_they_say(
    cluster: Cluster, broken: Break
) -> None:
    left = broken("import asyncio\n", "import no_such_module\n")
    status, told = await ends(await cluster.migrated(), "--workers", "2")
    assert status == 1
    assert told.count("No module named 'no_such_module'") == 1, "it is not tried again"
    assert '"exit_status": 1, "event": "the first worker has ended before it served"' in told
    assert left() == []


async def test_a_worker_that_never_serves_is_tried_less_and_less_often_and_others_serve(
    cluster: Cluster, broken: Break
) -> None:
    configured = "    configure(config.log_level,"
    left = broken(configured, f"    if order.worker == 1:\n        fail('', 3)\n{configured}")
    async with service(await cluster.migrated(), **SEVERAL) as several:
        seen, pauses = 0, []
        for _ in range(3):
            line = await several.process.logged("a worker has ended, and is started again", seen)
            seen = several.process.log.index(line) + 1
            assert (line["worker"], line["exit_status"]) == (1, 3)
            pauses.append(line["retry_in"])
        assert pauses == [0.25, 0.5, 1]
        assert await got(several, "/readyz") == (200, "serving\n")
        await several.admin.authenticate(several.admin_token)
        several.process.process.terminate()
        assert await asyncio.wait_for(several.process.process.wait(), 20) == 0
        assert left() == []


# A worker whose event loop can be blocked for ever, and a supervisor that waits for seconds only.
IMPATIENT = Bug("app/workers/process.py", "_MISSED_MOST = 30", f"_MISSED_MOST = {MISSED_MOST}")
BLOCK = """
    import signal, time
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
"""


async def test_a_worker_that_is_stuck_is_replaced_and_the_others_serve_on(
    cluster: Cluster, broken: Break, tmp_path: Path
) -> None:
    guard = "    beating = asyncio.create_task(control.beat())\n"
    broken(guard, BLOCK + guard)
    plant(IMPATIENT, tmp_path)
    async with workers(cluster) as several:
        [one, other] = processes(several)
        seen = len(several.process.log)
        one.send_signal(signal.SIGUSR1)
        stuck = await several.process.logged(SILENT, seen)
        ended = await several.process.logged("a worker has ended, and is started again", seen)
        assert (ended["worker"], ended["exit_status"]) == (stuck["worker"], -signal.SIGKILL)
        await several.process.each_logged("a worker serves", "worker", [ended["worker"]], seen)
        assert other in processes(several)
        assert one not in processes(several)
        async with callers(several) as admins:
            for admin in admins:
                await admin.authenticate(several.admin_token)


async def test_workers_are_not_taken_for_stuck_because_all_of_them_were_suspended(
    cluster: Cluster, broken: Break, tmp_path: Path
) -> None:
    broken("import asyncio\n", "import asyncio\n")
    plant(IMPATIENT, tmp_path)
    async with workers(cluster) as several:
        all_of_them = [psutil.Process(several.process.process.pid), *processes(several)]
        for each in all_of_them:
            each.suspend()
        await asyncio.sleep(2 * MISSED_MOST)  # it is the time that must not count
        for each in all_of_them:
            each.resume()
        for number in await samples(several, "keywright_worker_starts_total"):
            assert (await samples(several, "keywright_worker_up"))[number] == 1
        await several.becomes(health_pb2.HealthCheckResponse.SERVING)
        assert not [line for line in several.process.log if line["event"] == SILENT]
        assert processes(several) == all_of_them[1:]


async def test_alerts_ask_for_metrics_that_servers_and_sidecars_have(several: Service) -> None:
    _, of_servers = await got(several, "/metrics")
    _, of_sidecars = Counts(lambda: True, lambda: 0).text()
    told = set(re.findall(r"^# TYPE (\S+)", of_servers + of_sidecars.decode(), re.MULTILINE))
    asked = set(re.findall(r"\b(?:keywright|process)_[a-z0-9_]+", ALERTS.read_text()))
    assert {name.removesuffix("_bucket") for name in asked} <= told

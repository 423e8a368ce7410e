"""Where the microseconds of a warm `Authenticate` go, next to those of a no-op."""

# ruff: noqa: SLF001  what is timed here is what nobody else calls

import importlib
import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.hot_call import HotCall, Row, how_loaded, take_turns
from bench.keys import Admin, bearer
from bench.server import Postgres
from bench.table import microseconds, show
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.decision import Asked
from keywright.domain.keys import parse_address
from keywright.service.installation import Installation
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire.methods import methods
from keywright.wire.rpc import Backend

_IN_FLIGHT = 64
_IN_A_ROW = 1000
_ROWS = 15
_OURS = "- answered from memory"
_HOT_PATH = "keywright.wire.hot_path"
_LEASE = timedelta(seconds=1)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("microseconds")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        (token,) = await admin.tokens(1)
        sidecar = await admin.key(await admin.service_user("sidecar", "authenticator"))
        warm = HotCall("warm", at, AUTHENTICATE, [request(token)], bearer(sidecar))
        (reply,) = (await warm.answer()).replies
        no_op = await running.enter_async_context(server.echo(len(reply), core=cores.SERVER))
        echo = HotCall("no-op", no_op, ECHO, [request(token)], bearer(sidecar))
        rows = [Row(echo, _IN_FLIGHT), Row(warm, _IN_FLIGHT)]
        await take_turns(rows, effort)
        parts = await _parts(dsn, token, sidecar)
    base, whole = (row.cpu_each for row in rows)
    ours = parts.get(_OURS, 0.0)
    lines = {
        "a warm call": whole,
        "- a no-op: gRPC, and the loop": base,
        **parts,
        "- what is left: grpc.aio's, for metadata and the peer": whole - base - ours,
    }
    show(
        "Where the microseconds of a warm call go",
        f"Processor time of the server a call, with {_IN_FLIGHT} in flight; what is done in Python "
        "between a request and its reply is timed in the benchmark's own process. A line is part "
        "of the nearest line above it that has one dash less. Machines differ from moment to "
        f"moment, so what is left may be less than nothing. {how_loaded()}",
        ("", "us", "of the whole"),
        [
            (name, microseconds(seconds), f"{seconds / whole:.1%}")
            for name, seconds in lines.items()
        ],
    )


async def _parts(dsn: str, token: str, sidecar: str) -> dict[str, float]:
    """Seconds that each part takes that is ours, by its name."""
    try:
        hot_path: Any = importlib.import_module(_HOT_PATH)
    except ModuleNotFoundError:
        print(f"\nThere is no {_HOT_PATH}.")
        return {}
    async with _services(dsn) as (parts, services):
        method = next(each for each in methods() if each.path == AUTHENTICATE)
        hot = hot_path.HotPath.of(Backend(parts.settings(), services), method)
        body, peer = request(token), parse_address("127.0.0.1")
        metadata = (*bearer(sidecar), ("user-agent", "grpc-python/1.78"))
        arrived = hot_path.Arrived(body, metadata, peer, certified=False)
        authenticate: Any = services.authenticate
        caller, asked = await authenticate.asking(sidecar, peer), Asked()
        await authenticate(token, asked, caller)
        assert hot.answer(arrived) is not None, "both are remembered"
        memory = authenticate.memory
        known = memory.of(token, caller)
        now = time.time()
        timed: dict[str, Callable[[], object]] = {
            _OURS: lambda: hot.answer(arrived),
            "-- metadata": lambda: hot_path._credentials(metadata),
            "-- parse the request": lambda: pb.AuthenticateRequest.FromString(body),
            "-- the caller": lambda: authenticate.recall_caller(sidecar, peer),
            "-- the token": lambda: authenticate.recall(token, asked, caller),
            "--- its mark": lambda: memory.mark(token),
            "--- look it up": lambda: memory.cache.get(memory.place(token, caller)),
            "--- decide, count, put the reply together": lambda: authenticate._decide(
                known, asked, caller
            ),
            "---- count the use": lambda: authenticate.usage.used(known, now, peer),
            "-- metrics": lambda: hot.counted.allowed(0.0001),
        }
        return _timed(timed)


@asynccontextmanager
async def _services(dsn: str) -> AsyncIterator[tuple[Parts, Any]]:
    """What a server has, with a lease."""
    parts: Any = await Parts.open(Config(), dsn)
    try:
        services = parts.services(await Installation(parts.database).signing_key(), _LEASE)
        replica = services.authenticate.replica
        async with replica.running():
            await replica.leased()
            yield parts, services
    finally:
        await parts.close()


def _timed(parts: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds that each takes: of many in a row, the median of several rows, which take turns."""
    rows: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(_ROWS):
        for name, part in parts.items():
            began = time.perf_counter()
            for _ in range(_IN_A_ROW):
                part()
            rows[name].append((time.perf_counter() - began) / _IN_A_ROW)
    return {name: statistics.median(times) for name, times in rows.items()}

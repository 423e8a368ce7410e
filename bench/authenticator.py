"""The SDK's authenticators where they know the answer, beside the call that they save.

Their process has the cores that the server has not.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from argon2 import PasswordHasher

from bench import cores, h2load, server
from bench.authenticate import AUTHENTICATE, authenticate_call, request
from bench.effort import Effort
from bench.hot_call import HotCall
from bench.keys import Admin, bearer
from bench.load import Call, Slice, Summary, closed_loop
from bench.server import Postgres
from bench.table import show
from keywright.sdk import Authenticator, BlockingAuthenticator
from keywright.sdk.authenticating.blocking_authenticator import without_noise

_TOKENS = 100
_IN_A_ROW = 100  # then others have their turn: leases are renewed, and messages are read
_IN_FLIGHT = 64
_AIM = 40
_LEASE_SECONDS = 30


@dataclass(slots=True)
class _Row:
    """What is measured, for a slice of so many seconds at a time.

    Attributes:
        processor: seconds of processor time, until now, of the process that answers.
        cpu: of these, what the slices took.
    """

    name: str
    measure: Callable[[float], Awaitable[Slice]]
    processor: Callable[[], float] = time.process_time
    cpu: float = 0
    slices: list[Slice] = field(default_factory=list)

    @property
    def cpu_each(self) -> float:
        """Seconds of processor time for each call."""
        return self.cpu / sum(len(each.latencies) for each in self.slices)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("authenticator")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        tokens = await admin.tokens(_TOKENS)
        own = await admin.key(await admin.service_user("sidecar", "authenticator"))
        authenticator = await running.enter_async_context(Authenticator(at.address, own))
        async with asyncio.timeout(_LEASE_SECONDS):
            await authenticator.leased()
        known = {token: await authenticator.authenticate(token) for token in tokens}
        rpc = authenticate_call(at, tokens, bearer(own))
        hot = HotCall("", at, AUTHENTICATE, [request(tokens[0])], bearer(own))
        one, many = _closed(rpc, 1), _closed(rpc, _IN_FLIGHT)
        calls = [
            _Row("Authenticate, grpc.aio, 1 in flight", one, at.cpu_seconds),
            _Row(f"Authenticate, grpc.aio, {_IN_FLIGHT} in flight", many, at.cpu_seconds),
        ]
        if h2load.is_installed():
            name = f"Authenticate, h2load, {_IN_FLIGHT} in flight"
            loaded = partial(hot.load, _IN_FLIGHT)
            calls.append(_Row(name, loaded, at.cpu_seconds))
        rows = [
            *calls,
            _Row("Authenticator", _awaited(_in_turn(authenticator.authenticate, tokens))),
            _Row("a look-up in a dict", _called(_in_turn(known.__getitem__, tokens))),
            await _keyshield(),
        ]
        await _take_turns(rows, effort)
        asyncio.get_running_loop().set_exception_handler(without_noise)
        blocking = BlockingAuthenticator(at.address, own)
        running.push_async_callback(asyncio.to_thread, blocking.close)
        await asyncio.to_thread(lambda: [blocking.authenticate(token) for token in tokens])
        rows.append(_Row("BlockingAuthenticator", _called(_in_turn(blocking.authenticate, tokens))))
        await _take_turns(rows[-1:], effort)
    rate = max(Summary.of(row.slices).rate for row in calls)
    cpu = min(row.cpu_each for row in calls)
    show(
        "The SDK's authenticators, warm",
        f"{_TOKENS} tokens in turn, one call after the other, each timed; in flight where it says "
        f"so. The aim is {_AIM} times the rate of the fastest calls. The processor time is that of "
        "the process that answers: the server, or else this one. By it two processes compare that "
        "have a core each; the rates say how much of a core they got. keyshield is with its cache "
        "in memory and its store in memory as well, and without the delay of 100 to 300 ms that it "
        "adds to each answer unless told otherwise. It learns of a revocation in another process "
        f"when its cache's time is over. The server has core {cores.SERVER} for itself; all rows "
        "take turns, but for the last one: it has an event loop of its own, and grpc.aio wakes all "
        "that there are.",
        ("", "calls/s", "of the fastest's", "p50 us", "p99 us", "CPU us/call", "by CPU"),
        [_cells(row, rate, cpu) for row in rows],
    )


async def _take_turns(rows: Sequence[_Row], effort: Effort) -> None:
    for turn in range(effort.rounds + 1):  # the first one warms up
        for row in rows:
            cpu = row.processor()
            seen = await row.measure(effort.slice_seconds)
            if turn:
                row.slices.append(seen)
                row.cpu += row.processor() - cpu


def _cells(row: _Row, rate: float, cpu: float) -> Sequence[str]:
    seen = Summary.of(row.slices)
    return (
        row.name,
        f"{seen.rate:,.0f}",
        f"{seen.rate / rate:.1f}",
        f"{seen.p50 * 1e6:,.2f}",
        f"{seen.p99 * 1e6:,.2f}",
        f"{row.cpu_each * 1e6:,.2f}",
        f"{cpu / row.cpu_each:.1f}",
    )


async def _keyshield() -> _Row:
    """The same question to keyshield, answered from its cache."""
    cached: Any = import_module("keyshield.services.cached")
    hashers: Any = import_module("keyshield.hasher.argon2")
    stores: Any = import_module("keyshield.repositories.in_memory")
    service = cached.CachedApiKeyService(
        repo=stores.InMemoryApiKeyRepository(),
        # As cheap as can be: what is cached is not hashed.
        hasher=hashers.Argon2ApiKeyHasher(pepper="bench", password_hasher=PasswordHasher(1, 8, 1)),
        min_delay=0,
        max_delay=0,
    )
    tokens = [(await service.create(name=f"key {number}"))[1] for number in range(_TOKENS)]
    for token in tokens:
        await service.verify_key(token)
    return _Row("keyshield, with its cache", _awaited(_in_turn(service.verify_key, tokens)))


def _in_turn(ask: Callable[[str], Any], tokens: Sequence[str]) -> Callable[[], Any]:
    turns = itertools.cycle(tokens)
    return lambda: ask(next(turns))


def _closed(call: Call, in_flight: int) -> Callable[[float], Awaitable[Slice]]:
    return lambda seconds: closed_loop(call, in_flight=in_flight, seconds=seconds)


def _awaited(call: Callable[[], Awaitable[object]]) -> Callable[[float], Awaitable[Slice]]:
    """One after the other, in this loop, whose other work goes on."""

    async def measure(seconds: float) -> Slice:
        latencies: list[float] = []
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for _ in range(_IN_A_ROW):
                began = time.perf_counter()
                await call()
                latencies.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        return Slice(latencies, time.perf_counter() - start)

    return measure


def _called(call: Callable[[], object]) -> Callable[[float], Awaitable[Slice]]:
    """One after the other, in a thread that has nothing else to do."""

    def measure(seconds: float) -> Slice:
        latencies: list[float] = []
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for _ in range(_IN_A_ROW):
                began = time.perf_counter()
                call()
                latencies.append(time.perf_counter() - began)
        return Slice(latencies, time.perf_counter() - start)

    return lambda seconds: asyncio.to_thread(measure, seconds)

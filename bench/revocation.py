"""A revocation on four servers of one database: how long it takes, and when each denies."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from bench import h2load, plot, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall
from bench.keys import Admin, bearer
from bench.load import Metadata, closed_loop, quantile
from bench.loader import load_tokens
from bench.server import Postgres, Server
from bench.table import milliseconds, show

_SERVERS = 4
_CALLS_PER_SECOND = 250
_PAUSE_SECONDS = 0.001
_LEAD_SECONDS = (0.01, 0.05)  # that a key is asked for before it is revoked
_AIM_SECONDS = 0.050


@dataclass(slots=True)
class Seen:
    """What was seen of revocations of one kind.

    Attributes:
        latencies: seconds that each took.
        denied_after: seconds from its sending to the first denial, for each server.
        allowed_later: how many calls were allowed that began after it had returned.
        failed: how many calls said neither.
    """

    latencies: list[float] = field(default_factory=list)
    denied_after: list[float] = field(default_factory=list)
    allowed_later: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The servers, and a caller that they all know."""

    servers: Sequence[Server]
    admins: Sequence[Admin]
    caller: Metadata

    @classmethod
    @asynccontextmanager
    async def serving(cls, dsn: str, admin_token: str, count: int) -> AsyncIterator["Fleet"]:
        """So many servers on a database; the caller is a new one."""
        async with AsyncExitStack() as running:
            servers = [
                await running.enter_async_context(server.keywright(dsn)) for _ in range(count)
            ]
            admins = [Admin(at.channel, admin_token) for at in servers]
            sidecar = await admins[0].service_user(f"sidecar-{count}", "authenticator")
            yield cls(servers, admins, bearer(await admins[0].key(sidecar)))

    async def revoke(self, tokens: Sequence[str], *, wait: bool, asking: bool) -> Seen:
        """Revoke the keys, each on the next server; all are asked meanwhile, if `asking`."""
        seen = Seen()
        for token, admin in zip(tokens, itertools.cycle(self.admins)):
            calls = [self.call(at, token) for at in self.servers]
            await asyncio.gather(*(call.check() for call in calls))
            key = await admin.name_of(token)
            asked = [asyncio.create_task(_ask(call)) for call in calls if asking]
            await asyncio.sleep(random.uniform(*_LEAD_SECONDS))
            began = time.perf_counter()
            await admin.revoke(key, wait=wait)
            ended = time.perf_counter()
            seen.latencies.append(ended - began)
            for denied_at, allowed, failed in await asyncio.gather(*asked):
                seen.denied_after.append(denied_at - began)
                seen.allowed_later += sum(each > ended for each in allowed)
                seen.failed += failed
        return seen

    def call(self, at: Server, token: str) -> HotCall:
        """`Authenticate` of a token."""
        return HotCall("Authenticate", at, AUTHENTICATE, [request(token)], self.caller)

    @asynccontextmanager
    async def loaded(self, token: str) -> AsyncIterator[None]:
        """Have all servers answer other calls, too."""
        tasks = [asyncio.create_task(_keep_busy(self.call(at, token))) for at in self.servers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(call: HotCall) -> tuple[float, list[float], int]:
    """Ask until it is denied: when that was, when the allowed ones began, how many failed."""
    allowed: list[float] = []
    failed = 0
    while True:
        began = time.perf_counter()
        answer = await call.answer()
        if answer.code is grpc.StatusCode.UNAUTHENTICATED:
            return time.perf_counter(), allowed, failed
        if answer.code is grpc.StatusCode.OK:
            allowed.append(began)
        else:
            failed += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _keep_busy(call: HotCall) -> None:
    while True:
        if not h2load.is_installed():
            await closed_loop(call.check, in_flight=1, seconds=1)
            continue
        await h2load.load(
            call.server.address,
            call.path,
            call.requests,
            call.metadata,
            in_flight=4,
            seconds=1,
            per_second=_CALLS_PER_SECOND,
        )


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print both tables."""
    dsn, admin_token = await postgres.database("revocation")
    count = effort.revoked
    tokens = iter(await load_tokens(dsn, -(-(4 * count + 1) // 10) * 10))

    def some() -> list[str]:
        return list(itertools.islice(tokens, count))

    async with Fleet.serving(dsn, admin_token, _SERVERS) as fleet:
        other = next(tokens)
        seen = {
            "without waiting": await fleet.revoke(some(), wait=False, asking=False),
            "waiting for all": await fleet.revoke(some(), wait=True, asking=False),
            "- while each is asked": await fleet.revoke(some(), wait=True, asking=True),
        }
        async with fleet.loaded(other):
            under_load = await fleet.revoke(some(), wait=True, asking=True)
        seen["- and under load"] = under_load
    base = quantile(seen["without waiting"].latencies, 0.5)
    show(
        f"RevokeKey, {_SERVERS} servers on one database",
        f"{count} keys each, all of which every server remembers. Asked: each server about the key "
        f"at hand, again and again. Under load: {_CALLS_PER_SECOND} other calls a second on each. "
        "Servers, PostgreSQL and load share the cores.",
        ("", "p50 ms", "p99 ms", "most ms", "p50 / without waiting"),
        [
            (name, *spread(each.latencies), f"{quantile(each.latencies, 0.5) / base:.2f}")
            for name, each in seen.items()
        ],
    )
    plot.bars(
        "revocation",
        f"RevokeKey, {_SERVERS} servers on one database",
        "ms",
        {
            name: {
                label.removeprefix("- "): quantile(each.latencies, share) * 1e3
                for label, each in seen.items()
            }
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
    )
    asked = {name: each for name, each in seen.items() if each.denied_after}
    show(
        "From sending RevokeKey to the first denial, on each server",
        f"The aim is a p99 of {milliseconds(_AIM_SECONDS)} ms.",
        ("", "p50 ms", "p99 ms", "most ms", "allowed after the reply", "failed"),
        [
            (name, *spread(each.denied_after), str(each.allowed_later), str(each.failed))
            for name, each in asked.items()
        ],
    )


def spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    """The median, the 99th percentile and the most, in milliseconds."""
    shares = (0.5, 0.99, 1)
    p50, p99, most = (milliseconds(quantile(seconds, share)) for share in shares)
    return p50, p99, most

"""`keywright serve` with one worker and with two: what a second core brings.

Measured is `Authenticate` of what each worker remembers, over many connections, as the kernel
spreads connections over workers, not calls. The load generator, PostgreSQL and the workers share
the cores, so what the generator takes is measured (getrusage(2) of its process) and reckoned with.
"""

import os
import resource
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench import server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall, Row
from bench.keys import Admin, bearer
from bench.load import Summary
from bench.server import Postgres
from bench.table import microseconds, milliseconds, show

_WORKERS = (1, 2)
_CONNECTIONS = 32
_IN_FLIGHT = 64
_AIM = 1.7
_WARM_UP_SECONDS = 1


@dataclass(slots=True)
class Share:
    """A load, and who used the cores meanwhile; processor time in seconds.

    Attributes:
        generator: of the load generator.
        busy: of everything on the machine, this benchmark's neighbours included (proc(5)).
    """

    row: Row
    generator: float = 0
    busy: float = 0

    async def measure(self, seconds: float) -> None:
        """Add a slice."""
        generator, busy = _generator_seconds(), _busy_seconds()
        await self.row.measure(seconds)
        self.generator += _generator_seconds() - generator
        self.busy += _busy_seconds() - busy

    @property
    def seconds(self) -> float:
        """How long all slices were."""
        return sum(each.seconds for each in self.row.slices)

    @property
    def calls_per_cpu_second(self) -> float:
        """Of the server's processor time, for all workers together."""
        return 1 / self.row.cpu_each


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("workers")
    async with AsyncExitStack() as running:
        shares: list[Share] = []
        for workers in _WORKERS:
            at = await running.enter_async_context(server.keywright(dsn, workers=str(workers)))
            if not shares:
                admin = Admin(at.channel, admin_token)
                (token,) = await admin.tokens(1)
                sidecar = await admin.key(await admin.service_user("sidecar", "authenticator"))
            call = HotCall(
                f"{workers} workers" if workers > 1 else "1 worker",
                at,
                AUTHENTICATE,
                [request(token)],
                bearer(sidecar),
                connections=_CONNECTIONS,
                core=None,
            )
            shares.append(Share(Row(call, _IN_FLIGHT)))
        for each in shares:  # until every worker remembers the key and its caller
            await each.row.call.load(_IN_FLIGHT, min(_WARM_UP_SECONDS, effort.slice_seconds))
        for _ in range(effort.rounds):
            for each in shares:
                await each.measure(effort.slice_seconds)
    _table(shares)


def _table(shares: Sequence[Share]) -> None:
    cores = len(os.sched_getaffinity(0))
    base = shares[0]
    show(
        f"Workers, on {cores} cores",
        f"Authenticate, warm, {_IN_FLIGHT} in flight over {_CONNECTIONS} connections, all from one "
        "h2load; nobody is kept to a core. *Others*: PostgreSQL, the kernel and the machine's "
        "neighbours. A second worker gets what the generator and others leave of the second core, "
        f"so the ratio is told in two ways: raw, and as of {cores} cores that the workers have for "
        f"themselves: ({cores} x calls per server CPU second with 2 workers) / (cores of one "
        "worker x calls per server CPU second with 1 worker). One worker uses as many cores as the "
        "table says, and at least the one of its interpreter, where neighbours do not keep it from "
        f"it. The aim is {_AIM} by the latter.",
        (
            *("", "calls/s", "p50 ms", "p99 ms", "raw ratio"),
            *("server cores", "generator cores", "others' cores"),
            *("server CPU us/call", "calls/server CPU s", "ratio without the generator"),
        ),
        [_cells(each, base, cores) for each in shares],
    )


def _cells(share: Share, base: Share, cores: int) -> Sequence[str]:
    seen, beside = Summary.of(share.row.slices), Summary.of(base.row.slices)
    others = share.busy - share.row.cpu - share.generator
    alone = max(1, base.row.cpu / base.seconds) * base.calls_per_cpu_second
    reckoned = 1 if share is base else cores * share.calls_per_cpu_second / alone
    return (
        share.row.call.name,
        f"{seen.rate:,.0f}",
        milliseconds(seen.p50),
        milliseconds(seen.p99),
        f"{seen.rate / beside.rate:.2f}",
        f"{share.row.cpu / share.seconds:.2f}",
        f"{share.generator / share.seconds:.2f}",
        f"{max(0, others) / share.seconds:.2f}",
        microseconds(share.row.cpu_each),
        f"{share.calls_per_cpu_second:,.0f}",
        f"{reckoned:.2f}",
    )


def _generator_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that have ended: h2load's
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float:
    with open("/proc/stat") as stat:  # noqa: PTH123  no file, but what the kernel says
        user, nice, system, _, _, interrupts, soft, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")

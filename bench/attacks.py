"""What attacks on HTTP/2 cost the server, and a good client that calls meanwhile."""

import asyncio
import multiprocessing
import os
import resource
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field

from bench import cores, server
from bench.authenticate import authenticate_call
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import Call, Slice, Summary, closed_loop
from bench.server import Postgres, Server
from bench.table import microseconds, milliseconds, show
from tests.support import attacks
from tests.support.attacks import Attack, Outcome

_IDLE_CONNECTIONS = 5_000
_SLOW_CONNECTIONS = 1_000
_AGAIN_SECONDS = 0.02  # a slice of load between looks at the server


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("attacks")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _become_an_attacker) as attacker:
        # Connections that only wait are ended soon, so that this ends.
        async with server.keywright(
            dsn, core=cores.SERVER, handshake_timeout="2s", max_connection_idle="15s"
        ) as at:
            admin = Admin(at.channel, admin_token)
            (token,) = await admin.tokens(1)
            sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
            call = authenticate_call(at, [token], sidecar)
            await closed_loop(call, in_flight=1, seconds=effort.slice_seconds)
            rows = [Row(each) for each in _attacks(effort)]
            for turn in range(effort.rounds):
                for row in rows:
                    if turn == 0 or not row.attack.waits:
                        await row.measure(at, call, attacker, effort)
    show(
        "Attacks on HTTP/2, and a good client meanwhile",
        "A good client calls `Authenticate` on a connection of its own, one call at a time: in a "
        "quiet slice, then under the attack, which is repeated for as long as a slice. The server "
        f"has core {cores.SERVER} for itself; attacker, in a process of its own, and good client "
        f"share core {cores.LOAD}. CPU is the server's, without that of the good calls: for each "
        "frame, or connection where no frames are sent.",
        (
            *("", "connections", "frames on each", "times", "what the server did"),
            *("good p99 ms, quiet", "attacked", "CPU us each", "of a good call's"),
            "grown by MiB",
        ),
        [_cells(row) for row in rows],
    )


def _attacks(effort: Effort) -> Sequence[Attack]:
    return (
        attacks.rapid_reset(10_000),
        attacks.rapid_reset(1_000, 20),
        attacks.open_calls(10_000),
        attacks.pings(100_000),
        attacks.settings(100_000),
        attacks.continuations(1_000),
        attacks.empty_continuations(100_000),
        attacks.compression_bomb(256),
        attacks.slow_preface(min(_SLOW_CONNECTIONS, effort.few)),
        attacks.idle(min(_IDLE_CONNECTIONS, effort.few)),
    )


def _become_an_attacker() -> None:
    os.sched_setaffinity(0, {cores.LOAD})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _attack(attack: Attack, target: str, seconds: float) -> list[Outcome]:
    """Attack again and again; to be called in the attacker's process."""

    async def again_and_again() -> list[Outcome]:
        end = asyncio.get_running_loop().time() + seconds
        outcomes = [await attack.run(target)]
        while not attack.waits and asyncio.get_running_loop().time() < end:
            outcomes.append(await attack.run(target))
        return outcomes

    return asyncio.run(again_and_again())


@dataclass(slots=True)
class Row:
    """An attack, and what was seen without and under it.

    Attributes:
        quiet_cpu, cpu: seconds of processor time of the server.
        grown: bytes by which it was larger at most than before.
    """

    attack: Attack
    quiet: list[Slice] = field(default_factory=list)
    attacked: list[Slice] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    quiet_cpu: float = 0
    cpu: float = 0
    grown: int = 0

    async def measure(self, at: Server, call: Call, attacker: Executor, effort: Effort) -> None:
        """Add a quiet slice and one under the attack."""
        cpu, resident = at.cpu_seconds(), at.resident_bytes()
        self.quiet.append(await closed_loop(call, in_flight=1, seconds=effort.slice_seconds))
        self.quiet_cpu += at.cpu_seconds() - cpu
        cpu = at.cpu_seconds()
        attack = asyncio.get_running_loop().run_in_executor(
            attacker, _attack, self.attack, at.address, effort.slice_seconds
        )
        while not attack.done():
            self.attacked.append(await closed_loop(call, in_flight=1, seconds=_AGAIN_SECONDS))
            self.grown = max(self.grown, at.resident_bytes() - resident)
        self.outcomes += await attack
        self.cpu += at.cpu_seconds() - cpu

    @property
    def cpu_of_a_good_call(self) -> float:
        """Seconds."""
        return self.quiet_cpu / _calls(self.quiet)

    @property
    def cpu_each(self) -> float:
        """Seconds for each frame, or connection, of the attack."""
        cpu = self.cpu - self.cpu_of_a_good_call * _calls(self.attacked)
        each = self.attack.connections * max(self.attack.frames, 1)
        return max(cpu, 0) / each / len(self.outcomes)

    def what_the_server_did(self) -> str:
        """In the last of the attacks."""
        received, connections = self.outcomes[-1].received, self.attack.connections
        refused = [f"refused {received['RST_STREAM']:,} calls"] if received["RST_STREAM"] else []
        answers = _answers(self.attack, received)
        ended = [f"ended {self.outcomes[-1].ended:,} of {connections:,}"]
        return ", ".join([*refused, *answers, *ended])


def _answers(attack: Attack, received: Counter[str]) -> list[str]:
    for kind in ("PING", "SETTINGS"):
        if attack.name.startswith(kind):
            return [f"answered {received[kind]:,}"]
    return []


def _calls(slices: Sequence[Slice]) -> int:
    return sum(len(each.latencies) for each in slices)


def _cells(row: Row) -> Sequence[str]:
    return (
        row.attack.name,
        f"{row.attack.connections:,}",
        f"{row.attack.frames:,}",
        str(len(row.outcomes)),
        row.what_the_server_did(),
        milliseconds(Summary.of(row.quiet).p99),
        milliseconds(Summary.of(row.attacked).p99),
        microseconds(row.cpu_each),
        f"{row.cpu_each / row.cpu_of_a_good_call:.3f}",
        f"{row.grown / 2**20:.1f}",
    )

"""What is measured under load, in turn, and the table of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.effort import Effort
from bench.load import Call, Slice, Summary, closed_loop
from bench.server import Server
from bench.table import microseconds, milliseconds, show

IN_FLIGHT = (1, 32)


@dataclass(slots=True)
class Target:
    """One row: a load, and what its slices saw.

    Attributes:
        server: whose processor time counts; None where there is no server but PostgreSQL.
        cpu: seconds of processor time of the server process, in total.
    """

    name: str
    server: Server | None
    call: Call
    in_flight: int
    cpu: float = 0
    slices: list[Slice] = field(default_factory=list)

    async def warm_up(self, effort: Effort) -> None:
        """A slice that does not count: statements are prepared, connections made."""
        seconds = min(0.3, effort.slice_seconds)
        await closed_loop(self.call, in_flight=self.in_flight, seconds=seconds)

    async def measure(self, seconds: float) -> None:
        """Add a slice."""
        cpu = self._cpu_seconds()
        self.slices.append(await closed_loop(self.call, in_flight=self.in_flight, seconds=seconds))
        self.cpu += self._cpu_seconds() - cpu

    @property
    def calls(self) -> int:
        """How many calls the slices had."""
        return sum(len(each.latencies) for each in self.slices)

    @property
    def cpu_per_call(self) -> str:
        """Microseconds of processor time of the server process; a dash without one."""
        return "-" if self.server is None else microseconds(self.cpu / self.calls)

    def _cpu_seconds(self) -> float:
        return 0 if self.server is None else self.server.cpu_seconds()


async def take_turns(targets: Sequence[Target], effort: Effort) -> None:
    """Warm all targets up, then measure them in turn."""
    for target in targets:
        await target.warm_up(effort)
    for _ in range(effort.rounds):
        for target in targets:
            await target.measure(effort.slice_seconds)


def show_targets(title: str, note: str, baseline: str, targets: Sequence[Target]) -> None:
    """Print a row for each target, with its ratio to the target called `baseline`."""
    summaries = [Summary.of(target.slices) for target in targets]
    bases = {
        target.in_flight: summary
        for target, summary in zip(targets, summaries, strict=True)
        if target.name == baseline
    }
    show(
        title,
        note,
        ("", "in flight", "calls/s", "p50 ms", "p99 ms", "p50 / baseline", "server CPU us/call"),
        [
            (
                target.name,
                str(target.in_flight),
                f"{summary.rate:,.0f}",
                milliseconds(summary.p50),
                milliseconds(summary.p99),
                f"{summary.p50 / bases[target.in_flight].p50:.2f}",
                target.cpu_per_call,
            )
            for target, summary in zip(targets, summaries, strict=True)
        ],
    )

"""A call as bytes, loaded from another core, and the table of such calls beside a no-op."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc.aio

from bench import cores, h2load
from bench.echo import DETAILS
from bench.effort import Effort
from bench.load import Metadata, Slice, Summary, closed_loop
from bench.server import Process, Server
from bench.table import microseconds, milliseconds, show

IN_FLIGHT = (1, 64)
_WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call was answered; `details` are those of an error, serialised."""

    code: grpc.StatusCode
    replies: Sequence[bytes]
    message: str
    details: bytes


@dataclass(frozen=True, slots=True)
class HotCall:
    """A call that is always the same.

    Attributes:
        requests: one message; more for a stream, which is one call.
        code: how it has to be answered; checked before and after each load.
        connections: over how many it is loaded; None: one for 32 in flight each.
        core: the only one that h2load uses; None: whichever is free.
        per_second: how many are begun at most, over all connections; None: as many as end.
    """

    name: str
    server: Server
    path: str
    requests: Sequence[bytes]
    metadata: Metadata = ()
    code: grpc.StatusCode = grpc.StatusCode.OK
    connections: int | None = None
    core: int | None = cores.LOAD
    per_second: int | None = None

    async def answer(self) -> Answer:
        """Call once, as gRPC."""
        # Whether a method streams does not show on the wire.
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
        method = self.server.channel.stream_stream(self.path)
        call = method(iter(self.requests), metadata=tuple(self.metadata), timeout=30)
        replies: list[bytes] = []
        try:
            replies.extend([reply async for reply in call])
        except grpc.aio.AioRpcError as error:
            trailers = tuple(error.trailing_metadata() or ())
            details = next((bytes(value) for key, value in trailers if key == DETAILS), b"")
            return Answer(error.code(), replies, error.details() or "", details)
        return Answer(grpc.StatusCode.OK, replies, "", b"")

    async def check(self) -> None:
        """Call once.

        Raises:
            RuntimeError: the answer is not as it has to be.
        """
        answer = await self.answer()
        expected = len(self.requests) if self.code is grpc.StatusCode.OK else 0
        if (answer.code, len(answer.replies)) != (self.code, expected):
            raise RuntimeError(f"{self.name}: {answer.code}, {answer.message}")

    async def load(self, in_flight: int, seconds: float) -> Slice:
        """Keep so many calls under way."""
        await self.check()
        try:
            if not h2load.is_installed():
                return await closed_loop(self.check, in_flight=in_flight, seconds=seconds)
            return await h2load.load(
                self.server.address,
                self.path,
                self.requests,
                self.metadata,
                in_flight=in_flight,
                seconds=seconds,
                connections=self.connections,
                core=self.core,
                per_second=self.per_second,
            )
        finally:
            await self.check()


class Loadable(Protocol):
    """What can be loaded, like a `HotCall`."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def server(self) -> Process:
        """Whose processor time counts."""
        ...

    async def load(self, in_flight: int, seconds: float) -> Slice:
        """Keep so many calls under way."""
        ...


@dataclass(slots=True)
class Row:
    """A call under load, and what its slices saw.

    Attributes:
        cpu: seconds of processor time of the server process, in total.
        weight: how many things one call does.
    """

    call: Loadable
    in_flight: int
    weight: int = 1
    cpu: float = 0
    slices: list[Slice] = field(default_factory=list)

    async def measure(self, seconds: float) -> None:
        """Add a slice."""
        cpu = self.call.server.cpu_seconds()
        self.slices.append(await self.call.load(self.in_flight, seconds))
        self.cpu += self.call.server.cpu_seconds() - cpu

    @property
    def rate(self) -> float:
        """Things a second."""
        return Summary.of(self.slices).rate * self.weight

    @property
    def cpu_each(self) -> float:
        """Seconds of processor time for each thing."""
        return self.cpu / sum(len(each.latencies) for each in self.slices) / self.weight


async def take_turns(rows: Sequence[Row], effort: Effort) -> None:
    """Warm all up, then measure them in turn."""
    for row in rows:
        await row.call.load(row.in_flight, min(_WARM_UP_SECONDS, effort.slice_seconds))
    for _ in range(effort.rounds):
        for row in rows:
            await row.measure(effort.slice_seconds)


async def compare(
    title: str,
    note: str,
    groups: Sequence[tuple[Loadable, Sequence[Loadable]]],
    effort: Effort,
    in_flights: Sequence[int] = IN_FLIGHT,
) -> Sequence[Row]:
    """Show a table of calls, each beside the no-op of its group; returns its rows."""
    pairs = [
        (Row(base, in_flight), [Row(call, in_flight) for call in calls])
        for in_flight in in_flights
        for base, calls in groups
    ]
    shown = [row for base, rows in pairs for row in (base, *rows)]
    await take_turns(shown, effort)
    show(
        title,
        f"{note} {how_loaded()}",
        (
            *("", "in flight", "calls/s", "of the no-op's"),
            *("p50 ms", "p99 ms", "p99 / the no-op's", "server CPU us/call", "/ the no-op's"),
        ),
        [_cells(row, base) for base, rows in pairs for row in (base, *rows)],
    )
    return shown


def show_beside_first(title: str, note: str, rows: Sequence[Row]) -> None:
    """Show a table of the same call under different circumstances, beside those of the first row.

    `note` is followed by who loads what.
    """
    summaries = [Summary.of(row.slices) for row in rows]
    show(
        title,
        f"{note} {how_loaded()}",
        ("", "calls/s", "of the first", "p50 ms", "p99 ms", "server CPU us/call"),
        [
            (
                row.call.name,
                f"{seen.rate:,.0f}",
                f"{seen.rate / summaries[0].rate:.2f}",
                milliseconds(seen.p50),
                milliseconds(seen.p99),
                microseconds(row.cpu_each),
            )
            for row, seen in zip(rows, summaries, strict=True)
        ],
    )


def by_in_flight(
    rows: Sequence[Row], value: Callable[[Row], float]
) -> Mapping[str, Mapping[str, float]]:
    """A value of each row, for a plot: by name, by how many calls are in flight."""
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        groups.setdefault(f"{row.in_flight} in flight", {})[row.call.name] = value(row)
    return groups


def how_loaded() -> str:
    """A sentence about who loads what."""
    where = f"The server has core {cores.SERVER} for itself"
    if h2load.is_installed():
        return f"{where}, h2load is on core {cores.LOAD}; all rows take turns."
    return (
        f"{where}. h2load is not installed (`make system-deps`): the load is made in Python, WHICH "
        "IS THE BOTTLENECK."
    )


def _cells(row: Row, base: Row) -> Sequence[str]:
    seen, beside = Summary.of(row.slices), Summary.of(base.slices)
    return (
        row.call.name,
        str(row.in_flight),
        f"{seen.rate:,.0f}",
        f"{seen.rate / beside.rate:.2f}",
        milliseconds(seen.p50),
        milliseconds(seen.p99),
        f"{seen.p99 / beside.p99:.2f}",
        microseconds(row.cpu_each),
        f"{row.cpu_each / base.cpu_each:.2f}",
    )

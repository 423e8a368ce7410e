"""Load in a closed loop, and what is said of it.

Whatever is compared is measured in the same run, in slices that take turns: a neighbour who uses
the machine for a while then slows all of them, and the ratios stand.
"""

import asyncio
import itertools
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import grpc.aio

Call = Callable[[], Awaitable[object]]
Metadata = Sequence[tuple[str, str]]

_IN_A_ROW = 50


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of load saw.

    Attributes:
        latencies: seconds, one of each call, in no order.
        seconds: from the first call's beginning to the last one's end.
    """

    latencies: Sequence[float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Several slices of the same load.

    Attributes:
        rate: calls per second, the median of the slices.
        p50, p99: seconds, over all calls.
    """

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, slices: Iterable[Slice]) -> "Summary":
        """Sum up; there must be at least one call."""
        slices = list(slices)
        latencies = [latency for each in slices for latency in each.latencies]
        return cls(
            rate=statistics.median(len(each.latencies) / each.seconds for each in slices),
            p50=quantile(latencies, 0.5),
            p99=quantile(latencies, 0.99),
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def in_turn(
    channel: grpc.aio.Channel, path: str, requests: Sequence[bytes], metadata: Metadata = ()
) -> Callable[[], Awaitable[bytes]]:
    """A call of `path` with the next request; bytes both ways, so that no client parses anything.

    A call that fails raises: a benchmark of errors would be a benchmark of something else.
    """
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    bodies = itertools.cycle(requests)

    async def call() -> bytes:
        return await method(next(bodies), metadata=tuple(metadata), timeout=30)

    return call


async def closed_loop(call: Call, *, in_flight: int, seconds: float) -> Slice:
    """Keep `in_flight` calls under way, each followed by the next as soon as it ends."""
    latencies: list[float] = []

    async def one_after_another() -> None:
        while (began := time.perf_counter()) < end:
            await call()
            latencies.append(time.perf_counter() - began)

    start = time.perf_counter()
    end = start + seconds
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())
    return Slice(latencies, time.perf_counter() - start)


async def so_many(call: Call, *, count: int, in_flight: int) -> Slice:
    """Call `count` times, with `in_flight` calls under way."""
    latencies: list[float] = []
    left = itertools.repeat(None, count)  # one for all

    async def one_after_another() -> None:
        for _ in left:
            began = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - began)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())
    return Slice(latencies, time.perf_counter() - start)


async def time_in_turn(calls: Sequence[Call], *, samples: int) -> list[list[float]]:
    """Time each of `calls` alone, `samples` times; seconds, per call.

    They take turns after a few calls in a row: changing at each one would time the caches of the
    processor, which a server that is at work has warm. The first turn is not counted: statements
    are prepared then.
    """
    timings: list[list[float]] = [[] for _ in calls]
    for turn in range(1 + math.ceil(samples / _IN_A_ROW)):
        for call, times in zip(calls, timings, strict=True):
            for _ in range(_IN_A_ROW):
                began = time.perf_counter()
                await call()
                if turn > 0:
                    times.append(time.perf_counter() - began)
    return timings

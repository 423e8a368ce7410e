"""Counts and times decisions for Prometheus, in a fraction of a microsecond each."""

from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0)


class _Times:
    """How many decisions took how long, and how long all together."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0


class Counts(Collector):
    """The sidecar's metrics; of one event loop, so that nothing has to be locked.

    Args:
        is_leased, in_flight: for the gauges of these names.
    """

    def __init__(self, is_leased: Callable[[], bool], in_flight: Callable[[], int]) -> None:
        self._is_leased = is_leased
        self._in_flight = in_flight
        self._decisions: dict[tuple[str, int, str], int] = {}
        self._times: dict[str, _Times] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def count(self, transport: str, status: int, reason: str, seconds: float) -> None:
        """Count a decision; reasons are of a closed list."""
        key = (transport, status, reason)
        self._decisions[key] = self._decisions.get(key, 0) + 1
        times = self._times.get(transport)
        if times is None:
            times = self._times[transport] = _Times()
        times.counts[bisect_left(_BUCKETS, seconds)] += 1
        times.seconds += seconds

    def text(self) -> tuple[str, bytes]:
        """The content type of all metrics, and their text."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Read the counts, whenever somebody scrapes."""
        decisions = CounterMetricFamily(
            "keywright_sidecar_decisions",
            "Answers to proxies.",
            labels=["transport", "status", "reason"],
        )
        for (transport, status, reason), count in self._decisions.items():
            decisions.add_metric([transport, str(int(status)), reason], count)
        yield decisions
        seconds = HistogramMetricFamily(
            "keywright_sidecar_decision_seconds", "How long they took.", labels=["transport"]
        )
        for transport, times in self._times.items():
            seconds.add_metric([transport], list(_cumulative(times.counts)), times.seconds)
        yield seconds
        yield GaugeMetricFamily(
            "keywright_sidecar_leased",
            "Whether answers may come from memory.",
            value=self._is_leased(),
        )
        yield GaugeMetricFamily(
            "keywright_sidecar_in_flight",
            "Requests that wait for an answer.",
            value=self._in_flight(),
        )


def _cumulative(counts: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip([*map(str, _BUCKETS), "+Inf"], counts, strict=True):
        total += count
        yield bound, total

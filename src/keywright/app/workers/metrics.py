"""One metrics endpoint over all workers: what each says, told apart by the label `worker`."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from keywright.app.workers.supervisor import Worker

_LABEL = "worker"
_PATIENCE = timedelta(seconds=5)


class WorkersMetrics(Collector):
    """Asks every worker, on the event loop, whenever somebody scrapes on another thread."""

    def __init__(self, workers: "Sequence[Worker]", loop: asyncio.AbstractEventLoop) -> None:
        self._workers = workers
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """What the workers say, and whether they say anything."""
        asked = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        texts = asked.result((2 * _PATIENCE).total_seconds())
        up = GaugeMetricFamily("keywright_worker_up", "Whether a worker answers.", labels=[_LABEL])
        starts = CounterMetricFamily(
            "keywright_worker_starts", "How often a worker was started.", labels=[_LABEL]
        )
        families: dict[str, Metric] = {}
        for worker, text in zip(self._workers, texts, strict=True):
            number = str(worker.order.worker)
            up.add_metric([number], bool(text))
            starts.add_metric([number], worker.starts)
            # Who is alone is told of as any server is.
            which = {_LABEL: number} if len(self._workers) > 1 else {}
            for family in text_string_to_metric_families(text):
                into = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                into.samples += (
                    each._replace(labels={**each.labels, **which}) for each in family.samples
                )
        yield from (up, starts, *families.values())

    async def _ask(self) -> list[str]:
        return await asyncio.gather(*(_metrics(each) for each in self._workers))


async def _metrics(worker: "Worker") -> str:
    if worker.process is not None:
        with suppress(TimeoutError):
            return await asyncio.wait_for(worker.process.metrics(), _PATIENCE.total_seconds())
    return ""

"""Every way to ask every process of a fleet."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import grpc

from tests.consistency.carriers import Batch, Carrier, Stream, Unary
from tests.consistency.history import Lane
from tests.consistency.servers import Fleet
from tests.consistency.watchers import WatchByHand, Watcher

CARRIERS: dict[str, type[Carrier]] = {
    "unary": Unary,
    "batch": Batch,
    "stream": Stream,
    "watcher": Watcher,
}
# One connection each: what is held up in one holds up nothing else.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


Kind = TypeVar("Kind", bound=Carrier)


@asynccontextmanager
async def lanes(fleet: Fleet, *carriers: str) -> AsyncIterator[list[Carrier]]:
    """These carriers to each process; all carriers if none is named."""
    async with AsyncExitStack() as stack:
        opened: list[Carrier] = []
        for name in carriers or CARRIERS:
            for replica in fleet.replicas:
                opening = _opened(CARRIERS[name], Lane(name, replica.number), fleet)
                opened.append(await stack.enter_async_context(opening))
        yield opened


@asynccontextmanager
async def watch_by_hand(fleet: Fleet, process: int) -> AsyncIterator[WatchByHand]:
    """A client cache of one process, which the test has to `begin` and to carry messages for."""
    async with _opened(WatchByHand, Lane("watcher", process), fleet) as watch:
        yield watch


@asynccontextmanager
async def _opened(kind: type[Kind], lane: Lane, fleet: Fleet) -> AsyncIterator[Kind]:
    target = fleet.replicas[lane.process].service.uri
    async with grpc.aio.insecure_channel(target, OPTIONS) as channel:
        carrier = kind(lane, fleet.revision, channel, fleet.operator, target)
        async with carrier.working():
            yield carrier

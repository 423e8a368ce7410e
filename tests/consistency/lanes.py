"""Every way to ask every process of a fleet."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc

from tests.consistency.carriers import Batch, Carrier, Stream, Unary
from tests.consistency.history import Lane
from tests.consistency.programs import Program, SidecarProgram, ThreadsProgram
from tests.consistency.servers import Fleet
from tests.consistency.watchers import WatchByHand, Watcher
from tests.support.cable import Cable, cable

CARRIERS: dict[str, type[Carrier]] = {
    "unary": Unary,
    "batch": Batch,
    "stream": Stream,
    "watcher": Watcher,
}
# Each is a process more: beside the first server only, as it is the one that faults happen to.
PROGRAMS: dict[str, type[Program]] = {"threads": ThreadsProgram, "sidecar": SidecarProgram}
CLIENTS: dict[str, type[Carrier]] = {"watcher": Watcher, **PROGRAMS}
# One connection each: what is held up in one holds up nothing else.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


Kind = TypeVar("Kind", bound=Carrier)


@asynccontextmanager
async def lanes(fleet: Fleet, *carriers: str) -> AsyncIterator[list[Carrier]]:
    """These carriers to each process; if none is named all, and the programs."""
    async with AsyncExitStack() as stack:
        opened: list[Carrier] = []
        for name in carriers or CARRIERS:
            for replica in fleet.replicas:
                opening = _opened(CARRIERS[name], Lane(name, replica.number), fleet)
                opened.append(await stack.enter_async_context(opening))
        for name in () if carriers else PROGRAMS:
            opening = _opened(PROGRAMS[name], Lane(name, 0), fleet)
            opened.append(await stack.enter_async_context(opening))
        yield opened


@dataclass(frozen=True)
class Clients:
    """Client caches of one process, `cable` between them and it."""

    lanes: Sequence[Carrier]
    cable: Cable

    @property
    def _programs(self) -> list[Program]:
        return [lane for lane in self.lanes if isinstance(lane, Program)]

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Without their server while the block runs."""
        self.cable.cut()
        yield
        self.cable.mend()

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Those that are programs are stopped while the block runs."""
        for program in self._programs:
            program.pause()
        try:
            yield
        finally:
            for program in self._programs:
                program.go_on()

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """Those that are programs are killed, and begin anew after the block."""
        for program in self._programs:
            await program.kill()
        yield
        for program in self._programs:
            await program.start()


@asynccontextmanager
async def clients(
    fleet: Fleet, process: int, carriers: Iterable[str] = CLIENTS
) -> AsyncIterator[Clients]:
    """A client cache of each of these kinds, of one process."""
    async with AsyncExitStack() as stack:
        laid = await stack.enter_async_context(cable(fleet.replicas[process].service.uri))
        opened: list[Carrier] = []
        for name in carriers:
            opening = _opened(CLIENTS[name], Lane(name, process), fleet, laid.address)
            opened.append(await stack.enter_async_context(opening))
        yield Clients(opened, laid)


@asynccontextmanager
async def watch_by_hand(fleet: Fleet, process: int) -> AsyncIterator[WatchByHand]:
    """A client cache of one process, which the test has to `begin` and to carry messages for."""
    async with _opened(WatchByHand, Lane("watcher", process), fleet) as watch:
        yield watch


@asynccontextmanager
async def _opened(
    kind: type[Kind], lane: Lane, fleet: Fleet, address: str = ""
) -> AsyncIterator[Kind]:
    target = address or fleet.replicas[lane.process].service.uri
    async with grpc.aio.insecure_channel(target, OPTIONS) as channel:
        carrier = kind(lane, fleet.revision, channel, fleet.operator, target)
        async with carrier.working():
            yield carrier

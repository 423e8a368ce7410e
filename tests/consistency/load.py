"""Narrow and widen, while every process is asked in every way, and note it all.

One cycle of a subject, with each lane (a process and a way to ask it) asking all the time:

1. Each lane allows it: by now every memory holds it.
2. Narrow it, at any of the processes.
3. As soon as that has returned, whatever answers without waiting answers; then each lane is asked
   anew, so that calls which began before and calls which began after the return are both there.
4. Widen it, at any of the processes.

Changes of one subject follow one another, which is what makes its history decidable.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf

from tests.consistency.carriers import Carrier
from tests.consistency.coverage import around
from tests.consistency.history import Change, Decision, History, Outcome, Turn
from tests.consistency.servers import Fleet
from tests.consistency.subjects import Call, Case, Directory, Make, doing
from tests.support.service import RefusedError

# Asked anew, one after another, once the narrowing has returned.
_ASKED_AFTER = 2
# What a client cache answers costs nothing, but leaves the event loop to the others.
_PAUSE_SECONDS = 0.005
_PAUSE_WHERE_ENOUGH_SECONDS = 0.1
# Memory may deny for a while what was widened, and a process may be starting.
_ANSWERED_WITHIN_SECONDS = 20.0


@dataclass
class Load:
    """What runs against a fleet.

    Attributes:
        pause: for how long, in seconds, a lane that has answered about a subject is left alone.
        plenty: how many answers of a carrier are so many that it is asked at leisure from then on.
        history: what happened.
        counts: how many answers allowed or denied, by carrier.
        surrounded: how many narrowings had calls on every lane, before and after their return.
        refusals: which changes failed.
    """

    fleet: Fleet
    lanes: Sequence[Carrier]
    pause: float = _PAUSE_SECONDS
    plenty: float = inf
    history: History = field(default_factory=History)
    counts: Counter[str] = field(default_factory=Counter)
    surrounded: int = 0
    refusals: list[str] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(6))

    def directory(self) -> Directory:
        """Where subjects come from: the last process."""
        admin = self.fleet.admin(len(self.fleet.replicas) - 1)
        return Directory(self.fleet.first.dsn, admin, self.history)

    async def ask(self, lane: Carrier, case: Case) -> Decision:
        """Ask once, and note the answer."""
        decision = await lane.decide(case.request)
        self._note(case, decision)
        return decision

    def _note(self, case: Case, decision: Decision) -> None:
        case.subject.decisions.append(decision)
        if decision.outcome is not Outcome.UNDECIDED:
            self.counts[decision.lane.carrier] += 1

    def ask_at_once(self, case: Case) -> None:
        """Ask whoever answers without waiting."""
        for lane in self.lanes:
            decision = lane.at_once(case.request)
            if decision is not None:
                self._note(case, decision)

    async def allowed_by(self, lanes: Iterable[Carrier], case: Case) -> None:
        """Ask each until it allows: then it holds the subject in memory."""
        await self._ask_until(lanes, case, {Outcome.ALLOWED})

    async def decided_by(self, lanes: Iterable[Carrier], case: Case) -> None:
        """Ask each until it judges: then it is back."""
        await self._ask_until(lanes, case, {Outcome.ALLOWED, Outcome.DENIED})

    async def _ask_until(
        self, lanes: Iterable[Carrier], case: Case, outcomes: Container[Outcome]
    ) -> None:
        until = time.monotonic() + _ANSWERED_WITHIN_SECONDS

        async def ask(lane: Carrier) -> None:
            while (decision := await self.ask(lane, case)).outcome not in outcomes:
                assert time.monotonic() < until, f"{case.subject.name}: still {decision}"
                await asyncio.sleep(_PAUSE_SECONDS)

        await asyncio.gather(*map(ask, lanes))

    @asynccontextmanager
    async def asking(self, case: Case) -> AsyncIterator[None]:
        """Ask on every lane without end, for as long as the block runs; answers to come are kept.

        A lane that waits for its answer, of a process that stands still, is not asked twice.
        """
        over = asyncio.Event()

        async def keep_asking(lane: Carrier) -> None:
            while not over.is_set():
                await asyncio.gather(*(self.ask(lane, case) for _ in range(lane.together)))
                enough = self.counts[lane.lane.carrier] >= self.plenty
                await asyncio.sleep(_PAUSE_WHERE_ENOUGH_SECONDS if enough else self.pause)

        async with asyncio.TaskGroup() as tasks:
            for lane in self.lanes:
                tasks.create_task(keep_asking(lane))
            await asyncio.sleep(0)  # each has begun
            try:
                yield
            finally:
                over.set()

    async def change(self, case: Case, turn: Turn, processes: Sequence[int]) -> Change:
        """Narrow or widen a subject at one of these processes; more of them for its `copies`."""
        call = case.narrow if turn is Turn.NARROWED else case.widen
        assert call is not None, f"{case.subject.name} is narrowed for good"
        copies = case.copies if turn is Turn.NARROWED else 1
        at = self._random.sample(processes, min(copies, len(processes)))
        invoked = time.monotonic()
        tasks = [asyncio.create_task(self._send(call, turn, number)) for number in at]
        if turn is Turn.NARROWED:
            self.ask_at_once(case)
        for first in asyncio.as_completed(tasks):
            change = await first
            if change.returned is not None:
                break
        change = Change(
            turn, invoked, change.returned, change.revision, change.process, change.waited
        )
        case.subject.changes.append(change)
        if turn is Turn.NARROWED and change.returned is not None:
            self.ask_at_once(case)
        await asyncio.gather(*tasks)
        return change

    async def _send(self, call: Call, turn: Turn, number: int) -> Change:
        caller = self.fleet.admin(number)
        if call.by_operator:
            caller.token = self.fleet.operator
        invoked = time.monotonic()
        try:
            reply = await doing(caller, call)
        except RefusedError as refused:
            self.refusals.append(f"{call.method}: {refused}")
            return Change(turn, invoked, None, process=number)
        waited = reply.waited.ToTimedelta().total_seconds() if turn is Turn.NARROWED else 0.0
        revision = self.fleet.revision(reply.revision)
        return Change(turn, invoked, time.monotonic(), revision, number, waited)

    async def cycle(self, case: Case) -> None:
        """One narrowing with all that belongs to it, and back where there is a way."""
        everywhere = range(len(self.fleet.replicas))
        await self.allowed_by(self.lanes, case)
        first = len(case.subject.decisions)
        async with self.asking(case):
            narrowed = await self.change(case, Turn.NARROWED, everywhere)
            if narrowed.returned is not None:
                await asyncio.gather(*(self._ask_after(lane, case) for lane in self.lanes))
        before, after = around(narrowed, case.subject.decisions[first:])
        self.surrounded += len(before) == len(after) == len(self.lanes)
        if case.widen is not None:
            widened = await self.change(case, Turn.WIDENED, everywhere)
            assert widened.returned is not None, self.refusals

    async def _ask_after(self, lane: Carrier, case: Case) -> None:
        for _ in range(_ASKED_AFTER):
            await self.ask(lane, case)

    async def run(
        self, makes: Sequence[Make], enough: Callable[[], bool], *, at_once: int = 1
    ) -> None:
        """Cycles of all these kinds, `at_once` of each at a time, until there are `enough`."""
        directory = self.directory()

        async def keep_changing(make: Make) -> None:
            case = await make(directory)
            while not enough():
                await self.cycle(case)
                if case.widen is None:
                    case = await make(directory)

        async with asyncio.TaskGroup() as tasks:
            for make in makes:
                for _ in range(at_once):
                    tasks.create_task(keep_changing(make))

"""What a history is evidence of: how many narrowings, and what was in flight around each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from tests.consistency.history import Change, Decision, History, Lane, Outcome, Subject, Turn


@dataclass
class Coverage:
    """Narrowings by kind, decisions by lane and outcome.

    A narrowing is `surrounded` if on every lane a call was in flight that had begun before its
    return, and another began after its return and returned before the next widening was invoked.
    """

    narrowings: Counter[str] = field(default_factory=Counter)
    surrounded: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[Lane, Outcome]] = field(default_factory=Counter)
    durations: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, history: History) -> "Coverage":
        """Count a history."""
        found = cls()
        for subject in history.subjects:
            for decision in subject.decisions:
                found.decisions[decision.lane, decision.outcome] += 1
        lanes = {lane for lane, _outcome in found.decisions}
        for subject in history.subjects:
            for before, after in _around(subject):
                found.narrowings[subject.kind] += 1
                found.surrounded[subject.kind] += before == after == lanes
            for narrowing in subject.narrowings():
                assert narrowing.returned is not None
                found.durations.append(narrowing.returned - narrowing.invoked)
                found.waits.append(narrowing.waited)
        return found

    def of_carrier(self, carrier: str) -> int:
        """How many decisions were made, allowed or denied."""
        return sum(
            count
            for (lane, outcome), count in self.decisions.items()
            if lane.carrier == carrier and outcome is not Outcome.UNDECIDED
        )

    def table(self) -> str:
        """The coverage for people."""
        lines = [f"{'narrowing':24}{'returned':>10}{'surrounded':>12}"]
        for kind, count in sorted(self.narrowings.items()):
            lines.append(f"{kind:24}{count:10,}{self.surrounded[kind]:12,}")
        lines.append(
            f"{'all':24}{self.narrowings.total():10,}{self.surrounded.total():12,}\n"
            f"\n{'decisions by':24}" + "".join(f"{outcome.name:>12}" for outcome in Outcome)
        )
        for lane in sorted({lane for lane, _outcome in self.decisions}):
            counts = (f"{self.decisions[lane, outcome]:12,}" for outcome in Outcome)
            lines.append(f"{lane!s:24}" + "".join(counts))
        lines.append("\n" + _spread("a narrowing took", self.durations))
        lines.append(_spread("of which it waited", self.waits))
        return "\n".join(lines)


def around(
    narrowing: Change, decisions: Iterable[Decision], until: float = inf
) -> tuple[set[Lane], set[Lane]]:
    """The lanes with a call in flight that began before the return, and with one after it."""
    before, after = set(), set()
    for decision in decisions:
        if narrowing.returned is None:
            break
        if decision.invoked <= narrowing.returned and decision.returned >= narrowing.invoked:
            before.add(decision.lane)
        if decision.invoked > narrowing.returned and decision.returned < until:
            after.add(decision.lane)
    return before, after


def _around(subject: Subject) -> Iterator[tuple[set[Lane], set[Lane]]]:
    """For each narrowing that returned OK, until the next change."""
    for change, following in pairwise([*subject.changes, None]):
        if change is None or change.turn is not Turn.NARROWED or change.returned is None:
            continue
        until = inf if following is None else following.invoked
        yield around(change, subject.decisions, until)


def _spread(what: str, seconds: list[float]) -> str:
    if not seconds:
        return f"{what}: -"
    ordered = sorted(seconds)
    at = (ordered[int(share * (len(ordered) - 1))] * 1000 for share in (0.5, 0.99, 1))
    return "{}: p50 {:.0f} ms, p99 {:.0f} ms, at most {:.0f} ms".format(what, *at)

"""What happened as clients saw it: every call with the time in which it took effect.

All times are seconds of CLOCK_MONOTONIC, which the processes of one machine share. A call is noted
as begun before it was sent and as returned after its reply was read, so an interval is never
shorter than the call was: what the checker calls too late was too late.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum, auto


class Outcome(Enum):
    """What an answer came to. UNDECIDED is our own trouble: UNAVAILABLE, a deadline."""

    ALLOWED = auto()
    DENIED = auto()
    UNDECIDED = auto()


class Turn(Enum):
    """Which way a change of authority goes."""

    NARROWED = auto()
    WIDENED = auto()


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """Where answers come from: a process, counted from 0, and the way to ask it."""

    carrier: str
    process: int

    def __str__(self) -> str:
        return f"{self.carrier}/{self.process}"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer about one subject.

    `reason` is that of a denial, or what the trouble was. `revision` is the position at which an
    ALLOW was decided; None where the answer does not tell it: a client cache's is older than that.
    """

    lane: Lane
    invoked: float
    returned: float
    outcome: Outcome
    reason: str = ""
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A subject was narrowed or widened; `returned` is None if the call did not return OK.

    What it does may take effect at any time from `invoked` on; until a change has returned OK,
    nothing is promised of it. `waited` is what the reply says, in seconds.
    """

    turn: Turn
    invoked: float
    returned: float | None
    revision: int | None = None
    process: int | None = None
    waited: float = 0.0


@dataclass(slots=True)
class Subject:
    """What is narrowed and widened, one change after another, and what was answered about it.

    It begins wide. `reasons` are those a narrowing of it is denied with.
    """

    name: str
    kind: str
    reasons: frozenset[str]
    changes: list[Change] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def narrowings(self) -> list[Change]:
        """Those that returned OK."""
        return [
            change
            for change in self.changes
            if change.turn is Turn.NARROWED and change.returned is not None
        ]


@dataclass(slots=True)
class History:
    """All subjects of one run."""

    subjects: list[Subject] = field(default_factory=list)

    def subject(self, kind: str, *reasons: str) -> Subject:
        """A new one."""
        made = Subject(f"{kind} {len(self.subjects)}", kind, frozenset(reasons))
        self.subjects.append(made)
        return made

    def narrowings(self) -> list[Change]:
        """Those that returned OK, of all subjects."""
        return [each for subject in self.subjects for each in subject.narrowings()]


class Staircase:
    """The greatest value of all that had come before a moment."""

    def __init__(self, steps: list[tuple[float, int]]) -> None:
        self._moments: list[float] = []
        self._values: list[int] = []
        for moment, value in sorted(steps):
            if not self._values or value > self._values[-1]:
                self._moments.append(moment)
                self._values.append(value)

    def before(self, moment: float) -> int | None:
        """None if nothing had come."""
        index = bisect_left(self._moments, moment)
        return self._values[index - 1] if index else None

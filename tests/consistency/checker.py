"""Decides whether a history keeps promise G1: no ALLOW that begins after a narrowing returned.

Each subject is a register whose changes follow one another. So from a narrowing's return to the
invocation of the next widening the subject is narrow, whatever order the servers saw; a decision
that began and returned in that time must not be ALLOW. Revisions say more about decisions that
overlap a widening: what is decided at a position before a narrowing that had returned is stale.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from tests.consistency.history import Change, Decision, History, Outcome, Staircase, Subject, Turn


class Fault(Enum):
    """What can be wrong with an answer."""

    # G1: the narrowing had returned when the decision began, and nothing has widened since.
    ALLOWED_AFTER_NARROWING = auto()
    # G1 by revisions: decided at a position that lies before a narrowing which had returned.
    DECIDED_BEFORE_A_NARROWING = auto()
    # G3, G12: a reason that no narrowing of this subject has, such as TOKEN_UNKNOWN in an outage.
    DENIED_FOR_ANOTHER_REASON = auto()
    # Wide for longer than memory lasts, and denied.
    DENIED_THOUGH_WIDE = auto()
    # A change that began after another had returned has an earlier revision.
    REVISION_WENT_BACK = auto()


@dataclass(frozen=True, slots=True)
class Violation:
    """One answer that breaks a promise, and the change that it breaks it with."""

    fault: Fault
    subject: Subject
    decision: Decision | None = None
    change: Change | None = None

    def __str__(self) -> str:
        return f"{self.fault.name}: {self.subject.name}: {self.decision} after {self.change}"


def violations(history: History, *, settled_after: float) -> list[Violation]:
    """All that is wrong with a history.

    `settled_after` is how long, in seconds, a denial may outlive a widening that returned.

    Raises:
        ValueError: the changes of a subject overlap, so that nothing could be decided.
    """
    reached = Staircase(
        [
            (change.returned, change.revision)
            for change in history.narrowings()
            if change.returned is not None and change.revision is not None
        ]
    )
    found = list(_revisions_that_went_back(history))
    for subject in history.subjects:
        _follow_one_another(subject)
        for decision in subject.decisions:
            match decision.outcome:
                case Outcome.ALLOWED:
                    found += _wrongly_allowed(subject, decision, reached)
                case Outcome.DENIED:
                    found += _wrongly_denied(subject, decision, settled_after)
                case Outcome.UNDECIDED:
                    pass
    return found


def _follow_one_another(subject: Subject) -> None:
    for change, following in pairwise(subject.changes):
        if following.invoked < (change.invoked if change.returned is None else change.returned):
            raise ValueError(f"changes of {subject.name} overlap: {change}, {following}")


def _wrongly_allowed(
    subject: Subject, decision: Decision, reached: Staircase
) -> Iterator[Violation]:
    narrowing = _narrowed_before(subject, decision)
    if narrowing is not None:
        yield Violation(Fault.ALLOWED_AFTER_NARROWING, subject, decision, narrowing)
    least = reached.before(decision.invoked)
    if decision.revision is not None and least is not None and decision.revision < least:
        yield Violation(Fault.DECIDED_BEFORE_A_NARROWING, subject, decision)


def _narrowed_before(subject: Subject, decision: Decision) -> Change | None:
    """The last narrowing that had returned, if no widening can have had an effect since."""
    narrowing = None
    for change in subject.changes:
        if change.turn is Turn.WIDENED:
            if change.invoked <= decision.returned:
                narrowing = None
        elif change.returned is not None and change.returned < decision.invoked:
            narrowing = change
    return narrowing


def _wrongly_denied(
    subject: Subject, decision: Decision, settled_after: float
) -> Iterator[Violation]:
    if decision.reason not in subject.reasons:
        yield Violation(Fault.DENIED_FOR_ANOTHER_REASON, subject, decision)
        return
    last = None
    for change in subject.changes:
        if change.invoked <= decision.returned:
            last = change
    if last is None:
        yield Violation(Fault.DENIED_THOUGH_WIDE, subject, decision)
    elif (
        last.turn is Turn.WIDENED
        and last.returned is not None
        and decision.invoked > last.returned + settled_after
    ):
        yield Violation(Fault.DENIED_THOUGH_WIDE, subject, decision, last)


def _revisions_that_went_back(history: History) -> Iterator[Violation]:
    """The order of revisions is that of commits, so changes apart in time are in their order."""
    changes = [(change, subject) for subject in history.subjects for change in subject.changes]
    reached = Staircase(
        [
            (change.returned, change.revision)
            for change, _subject in changes
            if change.returned is not None and change.revision is not None
        ]
    )
    for change, subject in changes:
        least = reached.before(change.invoked)
        if change.revision is not None and least is not None and change.revision < least:
            yield Violation(Fault.REVISION_WENT_BACK, subject, change=change)

"""The checker finds each kind of violation, and takes no correct history for one."""

import pytest

from tests.consistency.checker import Fault, violations
from tests.consistency.history import (
    Change,
    Decision,
    History,
    Lane,
    Outcome,
    Staircase,
    Subject,
    Turn,
)

LANE = Lane("unary", 0)
LASTS = 2.0


def narrowed(invoked: float, returned: float | None, revision: int | None = None) -> Change:
    return Change(Turn.NARROWED, invoked, returned, revision)


def widened(invoked: float, returned: float | None, revision: int | None = None) -> Change:
    return Change(Turn.WIDENED, invoked, returned, revision)


def allowed(invoked: float, returned: float, revision: int | None = None) -> Decision:
    return Decision(LANE, invoked, returned, Outcome.ALLOWED, revision=revision)


def denied(invoked: float, returned: float, reason: str = "KEY_DISABLED") -> Decision:
    return Decision(LANE, invoked, returned, Outcome.DENIED, reason)


def of(*events: Change | Decision) -> Subject:
    """A key that is disabled and enabled, and what was answered about it."""
    changes = [event for event in events if isinstance(event, Change)]
    decisions = [event for event in events if isinstance(event, Decision)]
    return Subject("a key", "disable key", frozenset({"KEY_DISABLED"}), changes, decisions)


def faults(*subjects: Subject) -> list[Fault]:
    found = violations(History(list(subjects)), settled_after=LASTS)
    return [violation.fault for violation in found]


def test_an_allow_that_began_after_a_narrowing_returned_is_found() -> None:
    assert faults(of(narrowed(1, 2), allowed(2.1, 2.2))) == [Fault.ALLOWED_AFTER_NARROWING]


def test_an_allow_that_began_before_the_narrowing_returned_may_come_late() -> None:
    assert faults(of(narrowed(1, 2), allowed(0.5, 9), allowed(1.9, 9), allowed(2, 9))) == []


def test_an_allow_after_a_narrowing_that_did_not_return_ok_is_none_of_its_business() -> None:
    assert faults(of(narrowed(1, None), allowed(5, 6))) == []


def test_an_allow_that_a_widening_may_have_made_is_right() -> None:
    cycle = (narrowed(1, 2), widened(3, 4))
    assert faults(of(*cycle, allowed(2.5, 3.5), allowed(3.5, 3.6), allowed(5, 6))) == []
    assert faults(of(*cycle, allowed(2.5, 2.9))) == [Fault.ALLOWED_AFTER_NARROWING]


def test_a_widening_whose_reply_was_lost_may_have_had_its_effect() -> None:
    assert faults(of(narrowed(1, 2), widened(3, None), allowed(4, 5))) == []


def test_each_narrowing_counts_anew() -> None:
    cycles = (narrowed(1, 2), widened(3, 4), narrowed(5, 6))
    assert faults(of(*cycles, allowed(5.5, 7))) == []
    assert faults(of(*cycles, allowed(6.5, 7))) == [Fault.ALLOWED_AFTER_NARROWING]


def test_a_narrowing_whose_reply_was_lost_takes_nothing_back_of_the_one_before() -> None:
    again = (narrowed(1, 2), narrowed(3, None))
    assert faults(of(*again, allowed(5, 6))) == [Fault.ALLOWED_AFTER_NARROWING]


def test_a_decision_at_a_position_before_a_returned_narrowing_is_found() -> None:
    one = of(narrowed(1, 2, revision=7), widened(3, 4, revision=8), allowed(2.5, 3.5, revision=6))
    assert faults(one) == [Fault.DECIDED_BEFORE_A_NARROWING]


def test_a_position_before_the_narrowing_of_another_subject_is_found_too() -> None:
    """So every answer is evidence about every narrowing."""
    assert faults(of(narrowed(1, 2, revision=7)), of(allowed(2.5, 3, revision=6))) == [
        Fault.DECIDED_BEFORE_A_NARROWING
    ]
    assert faults(of(narrowed(1, 2, revision=7)), of(allowed(1.5, 3, revision=6))) == []
    assert faults(of(narrowed(1, 2, revision=7)), of(allowed(2.5, 3, revision=7))) == []
    assert faults(of(narrowed(1, 2, revision=7)), of(allowed(2.5, 3))) == []


def test_a_denial_for_a_reason_that_nobody_gave_is_found() -> None:
    assert faults(of(narrowed(1, 2), denied(3, 4, "TOKEN_UNKNOWN"))) == [
        Fault.DENIED_FOR_ANOTHER_REASON
    ]


def test_a_denial_of_what_was_never_narrowed_is_found() -> None:
    assert faults(of(denied(0, 0.5), narrowed(1, 2))) == [Fault.DENIED_THOUGH_WIDE]
    assert faults(of(denied(0, 1.5), narrowed(1, 2))) == []


def test_a_denial_may_outlive_a_widening_as_long_as_memory_lasts() -> None:
    cycle = (narrowed(1, 2), widened(3, 4))
    assert faults(of(*cycle, denied(5.9, 9))) == []
    assert faults(of(*cycle, denied(6.1, 9))) == [Fault.DENIED_THOUGH_WIDE]
    assert faults(of(*cycle, narrowed(7, None), denied(6.1, 9))) == []


def test_trouble_is_no_decision() -> None:
    trouble = Decision(LANE, 3, 4, Outcome.UNDECIDED, "UNAVAILABLE")
    assert faults(of(narrowed(1, 2), trouble)) == []


def test_changes_apart_in_time_are_in_the_order_of_their_revisions() -> None:
    assert faults(of(narrowed(1, 2, revision=5)), of(narrowed(3, 4, revision=4))) == [
        Fault.REVISION_WENT_BACK
    ]
    assert faults(of(narrowed(1, 2, revision=5)), of(narrowed(1.5, 4, revision=4))) == []
    assert faults(of(narrowed(1, 2, revision=5)), of(narrowed(3, 4, revision=5))) == []


def test_a_history_whose_changes_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        faults(of(narrowed(1, 3), widened(2, 4)))


def test_a_staircase_knows_the_greatest_that_came_before() -> None:
    steps = Staircase([(3.0, 5), (1.0, 7), (4.0, 9)])
    assert [steps.before(moment) for moment in (1.0, 1.5, 3.5, 4.0, 4.5)] == [None, 7, 7, 7, 9]

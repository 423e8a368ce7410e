"""What a process knows of the history of authority, and of which positions."""

from uuid import uuid4

import pytest

from keywright.domain.position import Position, Revision
from keywright.service.replica import history as module
from keywright.service.replica.history import History


def position(revision: int) -> Position:
    return Position(revision, uuid4())


def grown(history: History, *changed: list[int]) -> list[Position]:
    """Go on by a revision for each list of what it changed; returns where that led to."""
    first = history.applied.revision + 1
    steps = [Revision(position(first + index), each) for index, each in enumerate(changed)]
    history.apply(steps)
    return [each.position for each in steps]


def test_every_position_since_the_beginning_is_known_by_its_step() -> None:
    beginning = position(7)
    history = History(beginning)
    positions = [beginning, *grown(history, [1], [2], [3])]
    assert [history.step_at(each) for each in positions] == [0, 1, 2, 3]
    assert [history.position_at(each) for each in range(4)] == positions
    assert history.applied == positions[-1]


def test_a_revision_with_another_tag_is_another_position() -> None:
    history = History(position(7))
    grown(history, [1], [2])
    for revision in (6, 7, 8, 9, 10):
        assert history.step_at(position(revision)) is None


def test_what_changed_is_not_as_it_was_and_the_rest_is() -> None:
    history = History(position(7))
    grown(history, [1, 2], [2])
    assert not history.unchanged([1], 0)
    assert history.unchanged([1], 1)
    assert not history.unchanged([2], 1)
    assert history.unchanged([2, 1], 2)
    assert history.unchanged([3], 0)


def test_what_comes_after_a_step_is_told_in_order() -> None:
    history = History(position(7))
    positions = grown(history, [1], [2], [3])
    for step in range(4):
        steps = history.after(step)
        assert steps is not None
        assert [each.position for each in steps] == positions[step:]


def test_after_a_reset_nothing_of_before_is_known() -> None:
    history = History(position(7))
    before = grown(history, [1], [2])
    history.reset(position(8))
    assert [history.step_at(each) for each in before] == [None, None]
    assert history.position_at(2) is None
    assert history.after(2) is None
    assert not history.unchanged([9], 2)


def test_after_a_reset_the_history_goes_on_from_there() -> None:
    history = History(position(7))
    grown(history, [1], [2])
    anew = position(3)
    history.reset(anew)
    assert history.position_at(history.step) == anew
    positions = [anew, *grown(history, [1])]
    assert [history.step_at(each) for each in positions] == [3, 4]
    assert history.unchanged([2], 3)
    assert not history.unchanged([1], 3)


def test_what_is_too_long_ago_is_forgotten_and_then_nothing_is_known_to_be_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STEPS_MAX_COUNT", 2)
    history = History(position(0))
    positions = grown(history, [1], [2], [3], [4])
    assert [history.step_at(each) for each in positions] == [None, 2, 3, 4]
    assert history.after(1) is None
    assert history.after(2) is not None
    assert not history.unchanged([9], 1)
    assert history.unchanged([9], 2)


def test_a_revision_of_very_many_changes_makes_room_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHANGES_MAX_COUNT", 3)
    history = History(position(0))
    grown(history, [1, 2], [3, 4])
    assert not history.unchanged([9], 0)
    assert history.unchanged([1], 1)
    assert not history.unchanged([3], 1)

"""Each guard of the leased cache is needed: a build without it is found out (STYLE, 21)."""

from collections.abc import Callable

import pytest

from tests.support.leased import planted
from tests.unit import test_leased_cache as scenarios

pytestmark = pytest.mark.slow

BUGS: dict[str, tuple[str, str, Callable[..., None]]] = {
    "a lease that is not looked at": (
        "if now >= self._lease_end:",
        "if False:",
        scenarios.test_an_answer_is_given_again_under_a_lease_and_not_a_moment_longer,
    ),
    "a lease from its arrival": (
        "sent + message.lease",
        "self._clock() + message.lease",
        scenarios.test_a_lease_counts_from_the_sending_of_its_request_not_from_its_arrival,
    ),
    "a lease without time": (
        ' and message.HasField("time")',
        "",
        scenarios.test_a_lease_without_the_server_s_time_is_none,
    ),
    "a change that drops nothing": (
        "self._answers.drop(change.dependency)",
        "",
        scenarios.test_a_change_drops_what_depends_on_it_and_nothing_else,
    ),
    "no guard": (
        "if self._told.stands(answer.revision, answer.depends_on):",
        "if True:",
        scenarios.test_an_answer_from_before_a_change_does_not_enter_however_long_it_was_on_its_way,
    ),
    "a guard that looks for revisions only": (
        "return all(self._changed.get(mark, 0) <= when for mark in depends_on)",
        "return True",
        scenarios.test_an_answer_from_before_a_change_does_not_enter_however_long_it_was_on_its_way,
    ),
    "a change told again that counts as old": (
        "        self.note(revision)\n        self._changed",
        "        revision in self._revisions or self.note(revision)\n        self._changed",
        scenarios.test_an_answer_does_not_enter_when_its_change_is_told_again,
    ),
    "a position that counts without a change": (
        "if begins:",
        "if True:",
        scenarios.test_an_answer_of_a_server_that_is_behind_the_last_does_not_enter,
    ),
    "an answer that rests on nothing": (
        " or not depends_on",
        "",
        scenarios.test_an_answer_that_tells_nothing_it_depends_on_does_not_enter,
    ),
    "changes that are forgotten and not missed": (
        " or when < self._first",
        "",
        scenarios.test_an_answer_from_before_more_changes_than_are_remembered_does_not_enter,
    ),
    "a lease that outlives its stream": (
        "            if not was_lost:\n                self._lease_end = -inf\n",
        "",
        scenarios.test_nothing_is_given_once_the_stream_has_ended_until_there_is_a_lease_on_another,
    ),
    "requests that outlive their stream": (
        "            self._sent.clear()",
        "            pass",
        scenarios.test_a_lease_outlives_a_stream_that_was_lost_and_what_was_asked_there_does_not,
    ),
    "a reset that drops nothing": (
        "            self._answers, self._told = _Answers(self._max_count), _Told()",
        "",
        scenarios.test_a_reset_drops_all_and_the_lease_and_answers_that_are_on_their_way,
    ),
    "expiry that is not looked at": (
        "return None if self._time.bound(now) >= entry.expires else entry",
        "return entry",
        scenarios.test_a_credential_expires_by_the_server_s_clock_whatever_the_client_s_shows,
    ),
    "the server's time as of its arrival": (
        "self._time.learn(message.time.ToNanoseconds(), sent, now)",
        "self._time.learn(message.time.ToNanoseconds(), now, now)",
        scenarios.test_a_credential_is_taken_as_expired_early_rather_than_late,
    ),
    "a time that goes back": (
        "self._floor = self.bound(now)",
        "",
        scenarios.test_what_has_expired_stays_so_when_the_server_s_clock_is_set_back,
    ),
    "a stale window without an end": (
        "<= now < self._lease_end + self._stale_seconds:",
        "<= now:",
        scenarios.test_what_was_held_when_a_lease_ended_is_given_as_stale_for_as_long_as_was_asked_for,
    ),
    "a stale window that outlives a refusal": (
        "if not self._lease_end <= now < self._lease_end + self._stale_seconds:",
        "if now < self._lease_end:",
        scenarios.test_nothing_is_stale_after_a_refusal_nor_unless_it_was_asked_for,
    ),
    "a time that came too late": (
        "if end <= now:",
        "if False:",
        scenarios.test_a_lease_that_came_too_late_tells_no_time_either,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_build_without_the_guard_is_found_out(
    bug: tuple[str, str, Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, instead, scenario = bug
    more = {"monkeypatch": monkeypatch} if "monkeypatch" in scenario.__code__.co_varnames else {}
    with pytest.raises(AssertionError):
        scenario(kind=planted(guard, instead), **more)

"""The lease, and what time it is by the database's clock, on a clock in the test's hand."""

from datetime import UTC, datetime, timedelta

import pytest

from keywright.service.replica.lease import Lease
from tests.support.clock import FakeClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(name="clock")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(name="lease")
def _lease(clock: FakeClock) -> Lease:
    return Lease(timedelta(seconds=1), clock)


def test_who_was_never_granted_a_lease_holds_none(lease: Lease) -> None:
    assert not lease.is_held


def test_a_lease_counts_from_the_asking_and_not_from_the_answer(
    lease: Lease, clock: FakeClock
) -> None:
    asked_at = clock.now
    clock.now += 0.5
    lease.grant(asked_at)
    assert lease.is_held
    clock.now = asked_at + 0.899
    assert lease.is_held
    clock.now = asked_at + 0.9
    assert not lease.is_held


def test_an_answer_that_took_longer_than_the_lease_gives_none(
    lease: Lease, clock: FakeClock
) -> None:
    asked_at = clock.now
    clock.now += 0.95
    lease.grant(asked_at)
    assert not lease.is_held


def test_an_older_question_takes_nothing_from_a_lease(lease: Lease, clock: FakeClock) -> None:
    lease.grant(clock.now)
    lease.grant(clock.now - 0.5)
    clock.now += 0.8
    assert lease.is_held


def test_a_lease_that_was_ended_is_not_held(lease: Lease, clock: FakeClock) -> None:
    lease.grant(clock.now)
    lease.end()
    assert not lease.is_held


def test_the_databases_time_is_never_thought_to_be_earlier_than_it_is(
    lease: Lease, clock: FakeClock
) -> None:
    asked_at = clock.now
    clock.now += 0.3
    # It may have been told right away, and then 0.3 s have passed since.
    lease.told_time(asked_at, NOON)
    assert lease.database_time(clock.now) == pytest.approx(NOON.timestamp() + 0.3)


def test_the_databases_time_never_goes_back(lease: Lease, clock: FakeClock) -> None:
    lease.told_time(clock.now, NOON)
    clock.now += 1
    lease.told_time(clock.now, NOON - timedelta(hours=1))
    assert lease.database_time(clock.now) == pytest.approx(NOON.timestamp() + 1)

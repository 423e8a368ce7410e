"""How many wrong secrets a source may have computed."""

import ipaddress

import pytest

from keywright.security import failure_limit
from keywright.security.failure_limit import (
    BURST,
    FailureLimit,
    FailureLimitedError,
    source_of,
)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="limit")
def _limit(clock: Clock) -> FailureLimit:
    return FailureLimit(clock)


def use_up(limit: FailureLimit, source: str) -> int:
    """How much a source has left."""
    for count in range(1000):
        try:
            limit.take(source)
        except FailureLimitedError:
            return count
    raise AssertionError("there is no limit")


def test_a_source_has_a_burst_and_then_one_a_second(clock: Clock, limit: FailureLimit) -> None:
    assert use_up(limit, "a") == BURST
    clock.seconds += 0.5
    with pytest.raises(FailureLimitedError) as refused:
        limit.take("a")
    assert refused.value.seconds == pytest.approx(0.5)
    clock.seconds += 0.5
    assert use_up(limit, "a") == 1
    clock.seconds += 1000
    assert use_up(limit, "a") == BURST
    assert limit.refused == 4


def test_what_failed_although_nothing_was_left_is_a_debt(clock: Clock, limit: FailureLimit) -> None:
    for _ in range(BURST + 5):  # under way before any of them was known to fail
        limit.failed("a")
    clock.seconds += 5
    assert not limit.admits("a")
    clock.seconds += 1
    assert limit.admits("a")
    for _ in range(100 * BURST):
        limit.failed("a")
    clock.seconds += BURST + 1  # however much that was, it is over after two bursts' time
    assert limit.admits("a")


def test_sources_do_not_share(limit: FailureLimit) -> None:
    use_up(limit, "a")
    assert use_up(limit, "b") == BURST


def test_a_right_secret_counts_for_nothing(limit: FailureLimit) -> None:
    for _ in range(10 * BURST):
        limit.take("a")
        limit.give_back("a")
    assert use_up(limit, "a") == BURST


def test_no_more_sources_are_remembered_than_it_says(
    clock: Clock, limit: FailureLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_limit, "SOURCES_MAX_COUNT", 3)
    use_up(limit, "a")
    for source in ("b", "c", "d"):
        limit.take(source)
    assert len(limit) == 3
    assert use_up(limit, "a") == BURST  # forgotten, as the longest quiet


def test_whoever_has_an_ipv6_address_has_all_of_its_site() -> None:
    one, two, other = (
        source_of(ipaddress.ip_address(text), "caller")
        for text in ("2001:db8::1", "2001:db8:0:ffff::1", "2001:db8:1::1")
    )
    assert one == two != other
    assert source_of(ipaddress.ip_address("192.0.2.1"), "caller") == "192.0.2.1"
    assert source_of(None, "caller") == "caller"

"""Keys are held to their rate limits, approximately."""

from datetime import timedelta

import pytest

from keywright.sdk import RateLimit, ResourceExhausted
from keywright.sdk.authenticating.rate_limits import RateLimits
from tests.support.leased import Clock

LIMIT = RateLimit(10, timedelta(seconds=5))


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def allowed(limits: RateLimits, key: str, limit: RateLimit = LIMIT) -> int:
    """How often a key may be used now."""
    for count in range(1000):
        try:
            limits.take(key, limit)
        except ResourceExhausted:
            return count
    raise AssertionError("it is not limited")


def test_a_key_may_be_used_as_often_as_its_limit_says_and_then_as_fast(clock: Clock) -> None:
    limits = RateLimits(clock)
    assert allowed(limits, "a") == 10
    clock.now += 1
    assert allowed(limits, "a") == 2
    clock.now += 1000
    assert allowed(limits, "a") == 10, "what is not used is not saved up"
    assert allowed(limits, "b") == 10, "each key for itself"


def test_who_waits_as_long_as_told_is_allowed_and_who_waits_less_is_not(clock: Clock) -> None:
    limits = RateLimits(clock)
    allowed(limits, "a")
    with pytest.raises(ResourceExhausted) as refused:
        limits.take("a", LIMIT)
    assert refused.value.reason == "RATE_LIMITED"
    delay = refused.value.retry_delay
    assert delay == timedelta(seconds=0.5)
    clock.now += delay.total_seconds() - 0.01
    assert allowed(limits, "a") == 0
    clock.now += 0.011
    assert allowed(limits, "a") == 1


def test_a_limit_that_is_lowered_counts_at_once(clock: Clock) -> None:
    limits = RateLimits(clock)
    limits.take("a", LIMIT)
    assert allowed(limits, "a", RateLimit(3, timedelta(seconds=5))) == 3


def test_what_is_remembered_is_bounded_and_the_longest_unused_goes(clock: Clock) -> None:
    limits = RateLimits(clock, max_count=2)
    for key in ("a", "b", "a", "c"):
        limits.take(key, LIMIT)
    assert len(limits) == 2
    assert [allowed(limits, key) for key in ("a", "c")] == [8, 9]

"""How long a key may live, and the moment at which it ends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.domain.directory import KeyPolicy
from keywright.domain.errors import InvalidFields, Reason
from keywright.domain.keys import KeyState, state_at
from keywright.domain.policy import expiry

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
FREE = KeyPolicy()
STRICT = KeyPolicy(expiry_required=True)
BOUNDED = KeyPolicy(max_ttl=timedelta(days=30), default_ttl=timedelta(days=7))


def expires(policy: KeyPolicy = FREE, **asked: Any) -> datetime | None:
    given = {"ttl": None, "expire_time": None, "never": False, **asked}
    return expiry(policy, NOW, **given)


def refused(policy: KeyPolicy = FREE, **asked: Any) -> InvalidFields:
    with pytest.raises(InvalidFields) as error:
        expires(policy, **asked)
    return error.value


def test_a_key_does_not_expire_unless_somebody_asks_for_it() -> None:
    assert expires() is None
    assert expires(never=True) is None


def test_a_lifetime_and_a_moment_say_the_same() -> None:
    assert expires(ttl=timedelta(hours=1)) == NOW + timedelta(hours=1)
    assert expires(expire_time=NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)


def test_a_minute_is_the_shortest_lifetime() -> None:
    assert expires(ttl=MINUTE) == NOW + MINUTE
    assert expires(expire_time=NOW + MINUTE) == NOW + MINUTE


@pytest.mark.parametrize("lifetime", [MINUTE - TICK, timedelta(0), -MINUTE, timedelta(days=-4000)])
def test_less_than_a_minute_or_the_past_is_refused_naming_the_field(lifetime: timedelta) -> None:
    by_ttl, by_moment = refused(ttl=lifetime), refused(expire_time=NOW + lifetime)

    assert by_ttl.reason is by_moment.reason is Reason.POLICY_LIFETIME_TOO_SHORT
    assert [violation.field for violation in by_ttl.violations] == ["ttl"]
    assert [violation.field for violation in by_moment.violations] == ["key.expire_time"]
    assert "1 minute" in by_ttl.message


def test_the_policy_s_maximum_is_allowed_and_no_more_and_the_bound_is_named() -> None:
    assert expires(BOUNDED, ttl=timedelta(days=30)) == NOW + timedelta(days=30)
    error = refused(BOUNDED, ttl=timedelta(days=30) + TICK)

    assert error.reason is Reason.POLICY_LIFETIME_TOO_LONG
    assert "30 days" in error.message


def test_the_policy_s_default_counts_where_nothing_is_asked_for() -> None:
    assert expires(BOUNDED) == NOW + timedelta(days=7)
    assert expires(BOUNDED, never=True) is None


def test_a_policy_that_requires_expiry_refuses_keys_that_never_expire() -> None:
    for never in (False, True):
        error = refused(STRICT, never=never)
        assert error.reason is Reason.POLICY_EXPIRY_REQUIRED
        assert "25 weeks" in error.message


def test_a_policy_that_requires_expiry_allows_25_weeks_unless_it_says_otherwise() -> None:
    assert expires(STRICT, ttl=timedelta(weeks=25)) == NOW + timedelta(weeks=25)
    assert refused(STRICT, ttl=timedelta(weeks=25) + TICK).reason is Reason.POLICY_LIFETIME_TOO_LONG
    longer = KeyPolicy(expiry_required=True, max_ttl=timedelta(weeks=50))
    assert expires(longer, ttl=timedelta(weeks=50)) == NOW + timedelta(weeks=50)


def test_only_one_way_to_say_it_is_taken() -> None:
    moment = NOW + timedelta(hours=1)
    for error in (
        refused(ttl=MINUTE, expire_time=moment),
        refused(ttl=MINUTE, never=True),
        refused(expire_time=moment, never=True),
    ):
        assert error.reason is Reason.FIELD_INVALID


def test_an_end_beyond_the_calendar_is_refused() -> None:
    error = refused(ttl=timedelta(days=3_000_000))

    assert error.reason is Reason.POLICY_LIFETIME_TOO_LONG


def test_a_key_is_expired_at_the_very_moment_and_not_before() -> None:
    assert state_at(KeyState.ACTIVE, NOW, NOW - TICK) is KeyState.ACTIVE
    assert state_at(KeyState.ACTIVE, NOW, NOW) is KeyState.EXPIRED
    assert state_at(KeyState.ACTIVE, NOW, NOW + TICK) is KeyState.EXPIRED
    assert state_at(KeyState.ACTIVE, None, NOW) is KeyState.ACTIVE


def test_revocation_outlasts_expiry_and_expiry_outlasts_being_disabled() -> None:
    assert state_at(KeyState.REVOKED, NOW, NOW) is KeyState.REVOKED
    assert state_at(KeyState.DISABLED, NOW, NOW) is KeyState.EXPIRED
    assert state_at(KeyState.DISABLED, NOW, NOW - TICK) is KeyState.DISABLED

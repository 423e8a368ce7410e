"""Lifetimes that cannot be: too short, past, beyond all bounds, contradicting one another."""

import time

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.v1 import rate_limit_pb2
from tests.support.service import RefusedError, Service

TOO_SHORT = "POLICY_LIFETIME_TOO_SHORT"
TOO_LONG = "POLICY_LIFETIME_TOO_LONG"
INVALID = "FIELD_INVALID"
SECOND = 10**9

SPANS = {
    "nothing": (Duration(), TOO_SHORT),
    "a nanosecond": (Duration(nanos=1), TOO_SHORT),
    "just below a minute": (Duration(seconds=59, nanos=SECOND - 1), TOO_SHORT),
    "negative": (Duration(seconds=-3600), TOO_SHORT),
    "the least of all": (Duration(seconds=-315_576_000_000), TOO_SHORT),
    "the most of all": (Duration(seconds=315_576_000_000), TOO_LONG),
    "until after the year 9999": (Duration(seconds=8000 * 366 * 86400), TOO_LONG),
    "more than a duration can be": (Duration(seconds=2**63 - 1), INVALID),
    "less than a duration can be": (Duration(seconds=-(2**63)), INVALID),
    "a second and more of nanoseconds": (Duration(seconds=3600, nanos=SECOND), INVALID),
    "as many nanoseconds as there can be": (Duration(seconds=3600, nanos=2**31 - 1), INVALID),
    "nanoseconds of the other sign": (Duration(seconds=3600, nanos=-1), INVALID),
    "negative with positive nanoseconds": (Duration(seconds=-3600, nanos=1), INVALID),
}
MOMENTS = {
    "1970": (Timestamp(), TOO_SHORT),
    "yesterday": (Timestamp(seconds=int(time.time()) - 86400), TOO_SHORT),
    "in half a minute": (Timestamp(seconds=int(time.time()) + 30), TOO_SHORT),
    "the first there is": (Timestamp(seconds=-62_135_596_800), TOO_SHORT),
    "before the first": (Timestamp(seconds=-62_135_596_801), INVALID),
    "9999": (Timestamp(seconds=253_370_764_800), TOO_LONG),
    "the last there is": (Timestamp(seconds=253_402_300_799, nanos=SECOND - 1), TOO_LONG),
    "after the last": (Timestamp(seconds=253_402_300_800), INVALID),
    "more than a number of seconds can say": (Timestamp(seconds=2**63 - 1), INVALID),
    "less than a number of seconds can say": (Timestamp(seconds=-(2**63)), INVALID),
    "negative nanoseconds": (Timestamp(seconds=4_000_000_000, nanos=-1), INVALID),
    "a second of nanoseconds": (Timestamp(seconds=4_000_000_000, nanos=SECOND), INVALID),
}


@pytest.mark.parametrize(("ttl", "reason"), SPANS.values(), ids=SPANS)
async def test_a_lifetime_that_cannot_be_is_refused(
    service: Service, ttl: Duration, reason: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_key(ttl=ttl)
    assert refused.value.code.name == "INVALID_ARGUMENT"
    assert refused.value.reason == reason
    assert refused.value.fields == ["ttl"]


@pytest.mark.parametrize(("moment", "reason"), MOMENTS.values(), ids=MOMENTS)
async def test_an_expiry_that_cannot_be_is_refused(
    service: Service, moment: Timestamp, reason: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_key(expire_time=moment)
    assert refused.value.code.name == "INVALID_ARGUMENT"
    assert refused.value.reason == reason
    assert refused.value.fields == ["key.expire_time"]


async def test_a_minute_and_eight_millennia_can_be(service: Service) -> None:
    assert (await service.admin.create_key(ttl=Duration(seconds=61))).key.HasField("expire_time")
    last = Timestamp(seconds=253_370_764_799, nanos=999_999_000)
    assert (await service.admin.create_key(expire_time=last)).key.expire_time == last


async def test_a_lifetime_is_said_in_one_way_only(service: Service) -> None:
    hour, moment = Duration(seconds=3600), Timestamp(seconds=4_000_000_000)
    for both in (
        {"ttl": hour, "expire_time": moment},
        {"ttl": hour, "never_expires": True},
        {"expire_time": moment, "never_expires": True},
        {"ttl": hour, "expire_time": moment, "never_expires": True},
    ):
        with pytest.raises(RefusedError) as refused:
            await service.admin.create_key(**both)
        assert refused.value.reason == "FIELD_INVALID"
        assert "only one of key.expire_time, ttl and never_expires" in refused.value.message


async def test_a_filter_by_a_moment_that_cannot_be_is_refused(service: Service) -> None:
    for field in ("expires_before", "unrotated_since"):
        for what, (moment, reason) in MOMENTS.items():
            if reason != INVALID:
                await service.admin.list_keys(filter={field: moment})
                continue
            with pytest.raises(RefusedError) as refused:
                await service.admin.list_keys(filter={field: moment})
            assert refused.value.reason == INVALID, what
            assert refused.value.fields == [f"filter.{field}"], what


@pytest.mark.parametrize(
    ("requests", "period", "field"),
    [
        (0, Duration(seconds=1), "key.rate_limit.requests"),
        (-1, Duration(seconds=1), "key.rate_limit.requests"),
        (1, None, "key.rate_limit.period"),
        (1, Duration(), "key.rate_limit.period"),
        (1, Duration(nanos=SECOND - 1), "key.rate_limit.period"),
        (1, Duration(seconds=-1), "key.rate_limit.period"),
        (1, Duration(seconds=86400, nanos=1), "key.rate_limit.period"),
        (1, Duration(seconds=2**63 - 1), "key.rate_limit.period"),
        (1, Duration(seconds=1, nanos=2 * SECOND), "key.rate_limit.period"),
        (1, Duration(seconds=2, nanos=-1), "key.rate_limit.period"),
    ],
)
async def test_a_rate_limit_that_cannot_be_is_refused(
    service: Service, requests: int, period: Duration | None, field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await service.admin.create_key(
            rate_limit=rate_limit_pb2.RateLimit(requests=requests, period=period)
        )
    assert refused.value.reason == "FIELD_INVALID"
    assert refused.value.fields == [field]

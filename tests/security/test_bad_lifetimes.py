"""Lifetimes that cannot be: too short, past, beyond all bounds, contradicting one another."""

import time

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.v1 import rate_limit_pb2
from tests.security.contract import new_id, new_workspace
from tests.security.operated import Operated
from tests.security.stored import stored
from tests.support.service import PARENT, RefusedError, Service, refusal

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


async def test_a_key_is_ensured_for_no_lifetime_that_cannot_be(service: Operated) -> None:
    before = await stored(service)
    for field, times in (("ttl", SPANS), ("key.expire_time", MOMENTS)):
        for what, (value, reason) in times.items():
            given = {"ttl": value} if field == "ttl" else {"key": {"expire_time": value}}
            call = service.admin.do("EnsureKey", parent=PARENT, key_id="never", **given)
            error = await refusal(call)
            assert error.reason == reason, what
            assert error.fields == [field], what
    both = {"ttl": Duration(seconds=3600), "key": {"expire_time": Timestamp(seconds=4 * 10**9)}}
    for said in (both, {**both, "never_expires": True}):
        call = service.admin.do("EnsureKey", parent=PARENT, key_id="never", **said)
        assert "only one of key.expire_time, ttl" in (await refusal(call)).message
    assert await stored(service) == before


async def test_a_key_is_not_given_an_expiry_that_cannot_be(service: Operated) -> None:
    """Neither to one that does not expire nor to one that does; and it keeps what it has."""
    for end in (None, Timestamp(seconds=4 * 10**9)):
        name = (await service.admin.create_key(expire_time=end)).key.name
        before = await stored(service)
        for what, (moment, reason) in MOMENTS.items():
            for mask in ([], ["expire_time"], ["*"]):
                key = {"name": name, "expire_time": moment}
                call = service.admin.do("UpdateKey", key=key, update_mask={"paths": mask})
                error = await refusal(call)
                assert error.code.name == "INVALID_ARGUMENT", what
                assert error.reason == reason, what
                assert error.fields == ["key.expire_time"], what
        assert await stored(service) == before


WEEK = 7 * 86400
GRACES = {
    "a nanosecond longer than a week": Duration(seconds=WEEK, nanos=1),
    "a second longer than a week": Duration(seconds=WEEK + 1),
    "a nanosecond less than nothing": Duration(nanos=-1),
    "negative": Duration(seconds=-3600),
    "the most of all": Duration(seconds=315_576_000_000),
    "the least of all": Duration(seconds=-315_576_000_000),
    "more than a duration can be": Duration(seconds=2**63 - 1),
    "less than a duration can be": Duration(seconds=-(2**63)),
    "a second and more of nanoseconds": Duration(seconds=3600, nanos=SECOND),
    "as many nanoseconds as there can be": Duration(nanos=2**31 - 1),
    "nanoseconds of the other sign": Duration(seconds=3600, nanos=-1),
    "negative with positive nanoseconds": Duration(seconds=-3600, nanos=1),
}


async def test_an_old_token_gets_no_grace_that_cannot_be(service: Operated) -> None:
    created = await service.admin.create_key()
    before = await stored(service)
    for what, grace in GRACES.items():
        error = await refusal(service.admin.do("RotateKey", name=created.key.name, grace=grace))
        assert error.reason == INVALID, what
        assert error.fields == ["grace"], what
    assert await stored(service) == before
    await service.admin.authenticate(created.token)


async def test_an_old_token_gets_a_week_of_grace_at_most(service: Operated) -> None:
    created = await service.admin.create_key()
    for grace in (Duration(seconds=WEEK), Duration(seconds=WEEK - 1, nanos=SECOND - 1)):
        rotated = await service.admin.do("RotateKey", name=created.key.name, grace=grace)
        assert rotated.key.HasField("retire_time")


async def test_a_policy_asks_nothing_that_cannot_be(service: Operated) -> None:
    name = await new_workspace(service)
    before = await stored(service)
    impossible = [
        *(span for span, reason in SPANS.values() if reason != TOO_LONG),
        Duration(seconds=315_576_000_000),
        Duration(seconds=100 * 366 * 86400),
    ]
    for field in ("max_ttl", "default_ttl", "rotation_reminder"):
        for span in impossible:
            workspace = {"policy": {field: span}}
            for call in (
                service.operator.do("UpdateWorkspace", workspace={"name": name, **workspace}),
                service.operator.do(
                    "CreateWorkspace", workspace=workspace, workspace_id=new_id("never")
                ),
            ):
                error = await refusal(call)
                assert error.reason == INVALID, (field, span)
                assert error.fields == [f"workspace.policy.{field}"], (field, span)
    for policy, field in (
        ({"max_keys_per_user": -1}, "max_keys_per_user"),
        ({"max_keys_per_user": -(2**31)}, "max_keys_per_user"),
        ({"max_ttl": {"seconds": 60}, "default_ttl": {"seconds": 61}}, "default_ttl"),
        ({"expiry_required": True, "default_ttl": {"seconds": 26 * WEEK}}, "default_ttl"),
        ({"rotation_reminder": {"seconds": 86399}}, "rotation_reminder"),
        ({"key_creation": 99}, "key_creation"),
    ):
        changed = {"name": name, "policy": policy}
        error = await refusal(service.operator.do("UpdateWorkspace", workspace=changed))
        assert error.reason == INVALID
        assert error.fields == [f"workspace.policy.{field}"]
    assert await stored(service) == before


async def test_a_filter_by_a_moment_that_cannot_be_is_refused(service: Service) -> None:
    for field in ("expires_before", "unrotated_since", "unused_since"):
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

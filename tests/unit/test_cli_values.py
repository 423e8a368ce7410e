"""What people type, and what they are told if it cannot be."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from keywright.cli import values
from keywright.sdk import KeyState, RateLimit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta()),
    ],
)
def test_a_lifetime_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert values.duration(text, "--ttl") == expected


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1d", "1.5h", "1 d", "1d12h", "2W", "2w\n", "٣d", "999999999w"]
)
def test_another_lifetime_is_refused_with_the_forms_that_are_right(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30s, 15m, 12h, 7d, 2w"):
        values.duration(text, "--ttl")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-31T00:00:00Z", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31t01:00:00+01:00", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31T00:00:00.25z", datetime(2026, 12, 31, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_written_as_rfc_3339_has_it(text: str, expected: datetime) -> None:
    assert values.moment(text, "--expires") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-12-31",
        "2026-12-31T00:00:00",  # whose midnight?
        "20261231T000000Z",
        "2026-W53-4T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "tomorrow",
    ],
)
def test_another_moment_is_refused_with_the_form_that_is_right(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-12-31T00:00:00Z"):
        values.moment(text, "--expires")


def test_labels_are_pairs_and_their_values_may_be_empty_or_hold_an_equals_sign() -> None:
    assert values.labels(["team=data", "note=a=b", "empty="]) == {
        "team": "data",
        "note": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize("text", ["team", "=data", ""])
def test_a_label_without_its_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="key=value"):
        values.labels([text])


def test_a_state_may_be_typed_in_any_case_and_never_as_unknown() -> None:
    assert values.choice(KeyState, "Revoked", "--state") is KeyState.REVOKED
    for text in ("gone", "unknown", ""):
        with pytest.raises(typer.BadParameter, match="active, disabled, expired, revoked"):
            values.choice(KeyState, text, "--state")


NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def test_a_moment_near_now_may_be_typed_as_an_age() -> None:
    assert values.ago("30d", NOW, "--unused-since") == NOW - timedelta(days=30)
    assert values.ahead("12w", NOW, "--expires-before") == NOW + timedelta(weeks=12)
    for near in (values.ago, values.ahead):
        assert near("2026-12-31T00:00:00Z", NOW, "--x") == datetime(2026, 12, 31, tzinfo=UTC)
        assert near(None, NOW, "--x") is None


@pytest.mark.parametrize("text", ["", "soon", "30", "-30d", "2026-12-31", "600000w", "999999999w"])
def test_another_moment_near_now_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"7d, 2w; or .*2026-12-31T00:00:00Z"):
        values.ago(text, NOW, "--unused-since")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/1m", RateLimit(100, timedelta(minutes=1))),
        ("10/1s", RateLimit(10, timedelta(seconds=1))),
        ("2147483647/1d", RateLimit(2**31 - 1, timedelta(days=1))),
    ],
)
def test_a_rate_limit_is_so_many_requests_a_period(text: str, expected: RateLimit) -> None:
    assert values.rate_limit(text) == expected


@pytest.mark.parametrize(
    "text", ["", "100", "/1m", "100/", "100/m", "-1/1m", "1.5/1s", "1/0s", "2147483648/1m", "1/1w"]
)
def test_another_rate_limit_is_refused_with_the_form_that_is_right(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="100/1m"):
        values.rate_limit(text)


def test_a_permission_may_have_a_description() -> None:
    assert values.descriptions(["datasets.read=Read = look at", "labels.read"]) == {
        "datasets.read": "Read = look at",
        "labels.read": "",
    }


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(weeks=12), "12w"),
        (timedelta(days=10), "10d"),
        (timedelta(hours=36), "1d 12h"),
        (timedelta(seconds=90), "1m 30s"),
        (timedelta(), "0s"),
    ],
)
def test_a_length_of_time_is_shown_in_the_units_that_are_typed(
    length: timedelta, expected: str
) -> None:
    assert values.as_typed(length) == expected

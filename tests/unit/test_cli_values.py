"""What people type, and what they are told if it cannot be."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from keywright.cli import values
from keywright.sdk import KeyState


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
    assert values.ttl(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1d", "1.5h", "1 d", "1d12h", "2W", "2w\n", "٣d", "999999999w"]
)
def test_another_lifetime_is_refused_with_the_forms_that_are_right(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30s, 15m, 12h, 7d, 2w"):
        values.ttl(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-31T00:00:00Z", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31t01:00:00+01:00", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31T00:00:00.25z", datetime(2026, 12, 31, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_written_as_rfc_3339_has_it(text: str, expected: datetime) -> None:
    assert values.moment(text) == expected


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
        values.moment(text)


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

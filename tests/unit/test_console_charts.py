"""What charts of the console show of what was counted."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keywright.console.charts import STYLES, Series, columns, round_top
from keywright.console.usage_history import told
from keywright.sdk import UsagePoint

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENTS = [NOON + 6 * HOUR * number for number in range(4)]


def point(hours: float, allowed: int = 0, **denials: int) -> UsagePoint:
    return UsagePoint("", NOON + HOUR * hours, allowed, denials)


def test_each_hour_is_counted_in_the_column_that_it_falls_in() -> None:
    found = told(MOMENTS, 6 * HOUR, [point(0, 1), point(5, 2), point(6, 4), point(23, 8)])
    assert [each.counts for each in found.calls.columns] == [(3, 0), (4, 0), (0, 0), (8, 0)]
    assert (found.allowed, found.denied) == (15, 0)
    assert not found.denials.series


def test_what_is_before_or_after_is_not_counted() -> None:
    found = told(MOMENTS, 6 * HOUR, [point(-1, 1), point(24, 2)])
    assert found.allowed == 0


def test_the_commonest_reasons_are_told_and_all_others_together() -> None:
    reasons = {f"REASON_{letter}": number for number, letter in enumerate("ABCDEFG", start=1)}
    found = told(MOMENTS, 6 * HOUR, [point(0, 9, **reasons), point(7, 0, REASON_A=100)])
    assert [(each.label, each.total) for each in found.denials.series] == [
        ("Reason a", 101),
        ("Reason g", 7),
        ("Reason f", 6),
        ("Reason e", 5),
        ("Other reasons", 2 + 3 + 4),
    ]
    assert found.denied == sum(each.total for each in found.denials.series)
    styles = Counter(each.style for each in found.denials.series)
    assert set(styles.values()) == {1}, "no two look the same"
    assert max(styles) < STYLES


@given(st.integers(0, 10**15))
def test_the_top_of_a_chart_is_a_round_number_that_is_hardly_above_the_highest(count: int) -> None:
    top = round_top(count)
    assert max(1, count) <= top <= max(1, count * 2)
    assert str(top).rstrip("0") in set("1234568")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=40))
def test_columns_stand_side_by_side_and_segments_on_one_another(
    counts: list[tuple[int, int]],
) -> None:
    moments = [NOON + HOUR * number for number in range(len(counts))]
    below, above = (list(each) for each in zip(*counts, strict=True))
    chart = columns(moments, [Series("Below", 0, below), Series("Above", 1, above)])
    reached = 0.0
    for column in chart.columns:
        assert reached <= column.x
        reached = column.x + column.width
        assert reached <= 100.001
        bottom = 100.0
        for segment in column.segments:
            assert abs(segment.y + segment.height - bottom) < 0.001
            bottom = segment.y
        assert bottom >= -0.001

"""Authentications and denials of a workspace's keys over time, counted for charts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keywright.console import charts, times
from keywright.console.charts import Columns, Series
from keywright.console.names import spelled
from keywright.sdk import UsageInterval, UsagePoint
from keywright.sdk.client import AsyncClient

_PAGE_SIZE = 1000
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Range:
    """How far back it goes, in columns of what length."""

    label: str
    columns: int
    column: timedelta


RANGES: Mapping[str, Range] = {
    "24h": Range("24 hours", 24, _HOUR),
    "7d": Range("7 days", 28, 6 * _HOUR),
    "30d": Range("30 days", 30, _DAY),
}


@dataclass(frozen=True, slots=True)
class History:
    """What became of calls, and why those were denied that were."""

    calls: Columns
    denials: Columns
    allowed: int
    denied: int


async def history(client: AsyncClient, span: Range) -> History:
    """The history of all keys; of one's own, for who may not see all of it."""
    moments = _moments(times.now(), span)
    interval = UsageInterval.DAY if span.column == _DAY else UsageInterval.HOUR
    points = client.usage.query(
        start_time=moments[0], interval=interval, total=True, page_size=_PAGE_SIZE
    )
    return told(moments, span.column, [each async for each in points])


def told(moments: Sequence[datetime], column: timedelta, points: Sequence[UsagePoint]) -> History:
    """The same from points: what happened before the next moment is counted at the one before."""
    allowed = [0] * len(moments)
    denied: list[Counter[str]] = [Counter() for _ in moments]
    for point in points:
        place = (point.start_time - moments[0]) // column
        if 0 <= place < len(moments):
            allowed[place] += point.allowed_count
            denied[place].update(point.denials)
    calls = (
        Series("Allowed", 0, allowed),
        Series("Denied", 1, [each.total() for each in denied]),
    )
    return History(
        charts.columns(moments, calls),
        charts.columns(moments, _by_reason(denied)),
        allowed=calls[0].total,
        denied=calls[1].total,
    )


def _by_reason(denied: Sequence[Counter[str]]) -> Sequence[Series]:
    """The commonest reasons first; what has no fill of its own together."""
    totals: Counter[str] = sum(denied, Counter())
    most = charts.STYLES - 2  # the first fill is what is allowed, the last one all others
    shown = sorted(totals, key=lambda reason: (-totals[reason], reason))[:most]
    series = [
        Series(spelled(reason), style, [each[reason] for each in denied])
        for style, reason in enumerate(shown, start=1)
    ]
    others = [sum(each.values()) - sum(each[reason] for reason in shown) for each in denied]
    if any(others):
        series.append(Series("Other reasons", charts.STYLES - 1, others))
    return series


def _moments(now: datetime, span: Range) -> Sequence[datetime]:
    """When each column begins, on the hour or day (UTC); the last one is not over."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last = midnight + (now - midnight) // span.column * span.column
    return [last - span.column * back for back in reversed(range(span.columns))]

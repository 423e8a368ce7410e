"""What is counted in memory has a bound, and does not wait for its time when that is near."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.keys import parse_address
from keywright.service.known import Known
from keywright.service.usage_counters import UsageCounters
from keywright.storage.database import Database
from tests.support.credentials import credential, known
from tests.support.database import TIMEOUT

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(name="usage")
async def _usage(database: str) -> AsyncIterator[UsageCounters]:
    """Counters with room for ten things."""
    opened = await Database.open(database, size=2, connect_timeout=TIMEOUT,
                                 statement_timeout=TIMEOUT)  # fmt: skip
    yield UsageCounters(opened, max_count=10)
    await opened.close()


def of(key: int) -> Known:
    found = credential()
    return known(
        replace(
            found,
            record=replace(found.key, internal_id=key, key_id=f"k{key}"),
            workspace_internal_id=1,
        )
    )


def use(usage: UsageCounters, key: Known, at: datetime = NOON) -> None:
    usage.used(key, at.timestamp(), parse_address("192.0.2.1"))


async def written(usage: UsageCounters) -> dict[tuple[int, datetime, str], int]:
    rows = await usage.database.pool.fetch("SELECT * FROM keywright.key_usage")
    return {(row["key"], row["hour"], row["outcome"]): row["count"] for row in rows}


async def test_what_has_no_room_is_dropped_and_that_is_counted(usage: UsageCounters) -> None:
    for key in range(12):
        usage.denied(of(key), Reason.KEY_EXPIRED, NOON.timestamp())
    usage.denied(of(3), Reason.KEY_EXPIRED, NOON.timestamp())  # is there already
    await usage.write()
    assert usage.dropped == 2
    assert sum((await written(usage)).values()) == 11
    assert usage.waiting == 0


async def test_half_of_the_room_is_not_waited_with(usage: UsageCounters) -> None:
    for key in range(4):
        use(usage, of(key))
    await usage.write_early()
    assert usage.waiting == 4
    use(usage, of(4))
    await usage.write_early()
    assert usage.waiting == 0
    assert len(await written(usage)) == 5


async def test_the_hour_is_that_of_the_decision(usage: UsageCounters) -> None:
    key = of(1)
    for minutes in (-1, 0, 59, 60):
        use(usage, key, NOON + timedelta(minutes=minutes))
    await usage.write()
    hours = {hour.hour: count for (_, hour, _), count in (await written(usage)).items()}
    assert hours == {11: 1, 12: 2, 13: 1}


async def test_what_is_counted_while_it_is_being_written_is_kept(usage: UsageCounters) -> None:
    key = of(1)
    use(usage, key)
    whole = usage.database

    async def meanwhile(*args: Any, **kwargs: Any) -> Any:
        use(usage, key)
        return await whole.writing(*args, **kwargs)

    usage.database = _Patched(meanwhile)  # type: ignore[assignment]
    await usage.write()
    usage.database = whole
    await usage.write()
    # Once more as the counts were written, and once as the last use was.
    assert await written(usage) == {(1, NOON, "ALLOWED"): 3}


class _Patched:
    def __init__(self, writing: Any) -> None:
        self.writing = writing


async def test_what_fails_is_kept_to_the_last_count(usage: UsageCounters) -> None:
    key = of(1)
    use(usage, key)

    async def fails(*_args: Any, **_kwargs: Any) -> Any:
        raise ServiceError(Reason.DATABASE_UNAVAILABLE, "a fault that the test made")

    whole, usage.database = usage.database, _Patched(fails)  # type: ignore[assignment]
    with pytest.raises(ServiceError):
        await usage.write()
    use(usage, key)
    usage.database = whole
    await usage.write()
    assert await written(usage) == {(1, NOON, "ALLOWED"): 2}

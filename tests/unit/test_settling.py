"""When a wait ends, by a clock of the test's own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from keywright.domain.errors import Reason, Unavailable
from keywright.domain.position import Position
from keywright.service.settling import Settling, UnsettledError, Wait
from keywright.storage.acknowledgements import Primary

HERE = Position(7, UUID(int=7))
LEASE = timedelta(hours=1)
A_MOMENT = timedelta(seconds=1)
NEVER_PROMOTED = Primary("00000001", datetime(2024, 1, 1, tzinfo=UTC))
PROMOTED = Primary("00000002", datetime(2024, 1, 2, tzinfo=UTC))
PROMOTED_AFTER_IT = Primary("00000003", datetime(2024, 1, 3, tzinfo=UTC))


@dataclass
class Database:
    """Processes, of which some are `lacking`; to ask for that `takes` a time, by its clock."""

    takes: timedelta = timedelta()
    fails: bool = False
    lacking: bool = True
    primary: Primary = NEVER_PROMOTED
    now: float = 1000.0
    notified: list[bool] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    @property
    def reads(self) -> Any:
        return SimpleNamespace(acknowledgements=self)

    async def first_look(self, position: Position, *, within: timedelta) -> tuple[bool, Primary]:
        return self._look(position, within, notify=True), self.primary

    async def behind(self, position: Position, *, within: timedelta) -> bool:
        return self._look(position, within, notify=False)

    def _look(self, position: Position, within: timedelta, *, notify: bool) -> bool:
        assert position == HERE
        assert within > timedelta()
        self.notified.append(notify)
        self.now += self.takes.total_seconds()
        if self.fails:
            raise Unavailable(Reason.DATABASE_UNAVAILABLE, "lost")
        return self.lacking

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, remaining: Callable[[], timedelta | None] = lambda: None) -> Wait:
        return Settling(LEASE, self.clock, _not_asked).wait(remaining)


async def _not_asked(_position: Position) -> None:
    raise AssertionError("who waits has nothing to catch up with")


def nobody_else() -> bool:
    return False


async def test_time_that_a_machine_was_suspended_counts() -> None:
    database = Database(takes=LEASE / 2)
    wait = database.wait()
    await wait.watch(database.reads, HERE, nobody_else)
    await wait.outlast()
    assert wait.waited == LEASE


async def test_processes_are_notified_once() -> None:
    database = Database(takes=LEASE / 8)
    await database.wait().watch(database.reads, HERE, nobody_else)
    assert database.notified == [True] + [False] * 7


async def test_a_connection_is_given_back_to_others_but_not_before_the_living_have_answered() -> (
    None
):
    database = Database(takes=LEASE / 100)
    wait = database.wait()
    await wait.watch(database.reads, HERE, lambda: True)
    assert len(database.notified) == 6  # pauses of 1, 2, 4, 8 and 16 ms
    assert wait.waited < LEASE


async def test_a_deadline_that_is_near_ends_the_wait() -> None:
    database = Database(takes=LEASE / 8)
    end = database.now + (LEASE / 8).total_seconds()
    wait = database.wait(lambda: timedelta(seconds=end - database.now))
    with pytest.raises(UnsettledError) as ended:
        await wait.watch(database.reads, HERE, nobody_else)
    assert ended.value.reason is Reason.WAIT_DEADLINE_EXCEEDED
    assert ended.value.details == {"committed": "true"}
    assert ended.value.position == HERE


async def test_a_deadline_that_is_near_ends_the_wait_without_the_connection() -> None:
    database = Database(takes=LEASE / 8, fails=True)
    end = database.now + (LEASE / 8).total_seconds()
    wait = database.wait(lambda: timedelta(seconds=end - database.now))
    await wait.watch(database.reads, HERE, nobody_else)
    with pytest.raises(UnsettledError):
        await wait.outlast()


async def test_a_deadline_ends_nothing_where_the_lease_is_over() -> None:
    database = Database(takes=LEASE)
    wait = database.wait(lambda: LEASE / 2)
    await wait.watch(database.reads, HERE, nobody_else)
    await wait.outlast()
    assert wait.waited == LEASE


@pytest.fixture(name="applied")
def _applied(monkeypatch: pytest.MonkeyPatch) -> Database:
    """Processes that have all acknowledged; who sleeps does so by the database's clock."""
    database = Database(lacking=False)
    monkeypatch.setattr("keywright.service.settling.asyncio", SimpleNamespace(sleep=database.sleep))
    return database


async def waited(settling: Settling, database: Database) -> timedelta:
    """How long a narrowing waits that begins now."""
    wait, began = settling.wait(lambda: None), database.now
    await wait.watch(database.reads, HERE, nobody_else)
    await wait.outlast()
    return timedelta(seconds=database.now - began)


async def test_a_standby_that_was_promoted_is_believed_once_it_was_known_for_a_lease(
    applied: Database,
) -> None:
    applied.primary, settling = PROMOTED, Settling(LEASE, applied.clock, _not_asked)
    await settling.wait(lambda: None).watch(applied.reads, HERE, nobody_else)  # is first seen
    applied.now += (LEASE - A_MOMENT).total_seconds()
    assert await waited(settling, applied) == LEASE
    assert await waited(settling, applied) == timedelta()


async def test_the_next_standby_that_is_promoted_is_new_again(applied: Database) -> None:
    applied.primary, settling = PROMOTED, Settling(LEASE, applied.clock, _not_asked)
    assert await waited(settling, applied) == LEASE
    assert await waited(settling, applied) == timedelta()
    applied.primary = PROMOTED_AFTER_IT
    assert await waited(settling, applied) == LEASE
    assert await waited(settling, applied) == timedelta()


async def test_a_primary_that_never_was_a_standby_is_believed_at_once(applied: Database) -> None:
    assert await waited(Settling(LEASE, applied.clock, _not_asked), applied) == timedelta()


async def test_what_was_never_begun_is_no_wait() -> None:
    await Database().wait().outlast()

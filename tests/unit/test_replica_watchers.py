"""Clients' caches under a process's lease: what they are granted, and what waits for them (G1).

Each guard's test is shown to go red where the guard is missing.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from keywright.domain.errors import Reason, ServiceError
from keywright.domain.position import Position, Revision
from keywright.service.replica import watchers as module
from keywright.service.replica.history import NOWHERE, History
from keywright.service.replica.lease import Lease
from keywright.service.replica.watchers import Watcher, Watchers
from tests.support.clock import FakeClock


def position(revision: int) -> Position:
    return Position(revision, uuid4())


@dataclass
class Server:
    """A process that holds a lease, at a position."""

    clock: FakeClock = field(default_factory=FakeClock)
    history: History = field(default_factory=lambda: History(position(7)))
    lease: Lease = field(init=False)
    watchers: Watchers = field(init=False)

    def __post_init__(self) -> None:
        self.lease = Lease(timedelta(seconds=1), self.clock)
        self.watchers = Watchers(self.history, self.lease)
        self.lease.grant(self.clock.now)

    def moves(self) -> Position:
        """A change is applied; returns the position that it led to."""
        moved = position(self.history.applied.revision + 1)
        self.history.apply([Revision(moved, [1])])
        return moved

    def watcher(self) -> Watcher:
        """A client at the process's own position, with a grant."""
        watcher = self.joined()
        assert watcher.grant() > 0
        return watcher

    def joined(self) -> Watcher:
        watcher = self.watchers.join()
        watcher.resumes(None)
        catch_up(watcher)
        return watcher


def catch_up(watcher: Watcher) -> None:
    news = watcher.news()
    assert news is not None
    assert watcher.acknowledges(news.position)


@pytest.fixture(name="server")
def _server() -> Server:
    return Server()


# --- what is granted ------------------------------------------------------------------------------


def no_grant_goes_beyond_the_lease(server: Server) -> None:
    watcher = server.joined()
    assert watcher.grant() == pytest.approx(0.9)
    server.clock.now += 0.6
    assert watcher.grant() == pytest.approx(0.3)
    server.clock.now += 0.6
    assert watcher.grant() == 0


def only_who_is_at_the_position_is_granted(server: Server) -> None:
    watcher = server.watchers.join()
    watcher.resumes(None)
    assert watcher.grant() == 0
    news = watcher.news()
    assert news is not None
    assert watcher.grant() == 0  # told, and not applied yet
    assert watcher.acknowledges(news.position)
    assert watcher.grant() > 0
    server.moves()
    assert watcher.grant() == 0


# --- what waits -----------------------------------------------------------------------------------


def a_change_waits_for_who_may_answer(server: Server) -> None:
    before = server.history.applied
    watcher = server.watcher()
    moved = server.moves()
    assert server.watchers.acknowledged() == before
    catch_up(watcher)
    assert server.watchers.acknowledged() == moved


def a_change_waits_for_who_has_left(server: Server) -> None:
    before = server.history.applied
    server.watchers.leave(server.watcher())
    assert len(server.watchers) == 0
    moved = server.moves()
    assert server.watchers.acknowledged() == before
    assert server.watchers.granted_until > server.clock.now + 0.9  # its clock may be slower
    server.clock.now += 1.01
    assert server.watchers.acknowledged() == moved


def nothing_counts_on_a_client_of_before_a_reset(server: Server) -> None:
    """A failover lost the tail: its revision may be higher than those that are given again."""
    server.moves()
    server.watcher()
    server.lease.end()
    server.history.reset(position(2))
    assert server.watchers.acknowledged() == NOWHERE
    server.moves()
    assert server.watchers.acknowledged() == NOWHERE
    server.clock.now += 1.01
    assert server.watchers.acknowledged() == server.history.applied


SCENARIOS: list[Callable[[Server], None]] = [
    no_grant_goes_beyond_the_lease,
    only_who_is_at_the_position_is_granted,
    a_change_waits_for_who_may_answer,
    a_change_waits_for_who_has_left,
    nothing_counts_on_a_client_of_before_a_reset,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_no_client_may_answer_what_was_acknowledged_to_be_gone(
    server: Server, scenario: Callable[[Server], None]
) -> None:
    scenario(server)


BUGS: dict[str, tuple[Any, str, str, str, Callable[[Server], None]]] = {
    "a grant beyond the own lease": (
        Watcher,
        "grant",
        "max(0, self.lease.until - now)",
        "0.9 * self.lease.length.total_seconds()",
        no_grant_goes_beyond_the_lease,
    ),
    "a grant to who was told and has not applied it": (
        Watcher,
        "grant",
        "self.applied.step != self.history.step",
        "(self.told or self.applied).step != self.history.step",
        only_who_is_at_the_position_is_granted,
    ),
    "a grant to who is behind": (
        Watcher,
        "grant",
        "self.applied.step != self.history.step",
        "False",
        only_who_is_at_the_position_is_granted,
    ),
    "what was told counts as applied": (
        Watchers,
        "acknowledged",
        "each.applied.step",
        "self.history.step",
        a_change_waits_for_who_may_answer,
    ),
    "a watcher that is forgotten when it leaves": (
        Watchers,
        "leave",
        "watcher.is_granted",
        "False",
        a_change_waits_for_who_has_left,
    ),
    "a grant that is remembered for no longer than it is given for": (
        Watcher,
        "grant",
        "now + seconds / HELD_SHARE",
        "now + seconds",
        a_change_waits_for_who_has_left,
    ),
    "a position of before a reset": (
        Watchers,
        "acknowledged",
        "or NOWHERE",
        "or Position(8, NOWHERE.tag)",
        nothing_counts_on_a_client_of_before_a_reset,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_build_without_the_guard_is_found_out(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    bug: tuple[Any, str, str, str, Callable[[Server], None]],
) -> None:
    owner, name, guard, instead, scenario = bug
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert guard in source, f"{name} has changed: where is its guard now?"
    planted: dict[str, Any] = {}
    exec(source.replace(guard, instead), vars(module) | {"Position": Position}, planted)
    monkeypatch.setattr(owner, name, planted[name])
    with pytest.raises(AssertionError):
        scenario(server)


# --- what is told ---------------------------------------------------------------------------------


def test_an_empty_cache_begins_with_nothing_to_keep(server: Server) -> None:
    watcher = server.watchers.join()
    watcher.resumes(None)
    news = watcher.news()
    assert news is not None
    assert news.steps is None
    assert news.position == server.history.applied


def test_who_comes_back_goes_on_where_it_was(server: Server) -> None:
    was = server.history.applied
    moved = [server.moves(), server.moves()]
    watcher = server.watchers.join()
    watcher.resumes(was)
    news = watcher.news()
    assert news is not None
    assert news.steps is not None
    assert [each.position for each in news.steps] == moved


def test_who_comes_back_to_where_the_server_is_may_be_granted_at_once(server: Server) -> None:
    watcher = server.watchers.join()
    watcher.resumes(server.history.applied)
    assert watcher.news() is None
    assert watcher.grant() > 0


def test_who_comes_back_with_another_history_begins_anew(server: Server) -> None:
    watcher = server.watchers.join()
    watcher.resumes(position(server.history.applied.revision))
    assert watcher.grant() == 0
    news = watcher.news()
    assert news is not None
    assert news.steps is None


def test_who_has_not_applied_what_it_was_told_is_told_no_more(server: Server) -> None:
    watcher = server.joined()
    first = server.moves()
    news = watcher.news()
    assert news is not None
    later = [server.moves(), server.moves()]
    assert watcher.news() is None
    assert watcher.acknowledges(first)
    news = watcher.news()
    assert news is not None
    assert news.steps is not None
    assert [each.position for each in news.steps] == later


def test_a_client_may_say_again_where_it_was_while_news_is_on_its_way(server: Server) -> None:
    was = server.history.applied
    watcher = server.joined()
    moved = server.moves()
    watcher.news()
    assert watcher.acknowledges(was)
    assert watcher.grant() == 0
    assert watcher.acknowledges(moved)
    assert not watcher.acknowledges(was)


def test_the_same_holds_while_a_reset_is_on_its_way(server: Server) -> None:
    was = server.history.applied
    watcher = server.joined()
    server.history.reset(position(3))
    news = watcher.news()
    assert news is not None
    assert news.steps is None
    assert watcher.acknowledges(was)
    assert watcher.grant() == 0
    assert watcher.acknowledges(news.position)
    assert watcher.grant() == pytest.approx(0.9)


def test_nobody_may_say_that_it_applied_what_this_stream_has_not_told(server: Server) -> None:
    watcher, other = server.joined(), server.joined()
    moved = server.moves()
    catch_up(other)
    assert not watcher.acknowledges(moved)
    assert not watcher.acknowledges(position(7))
    assert not watcher.acknowledges(None)


def test_there_are_only_so_many_watchers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCHERS_MAX_COUNT", 1)
    only = server.watchers.join()
    with pytest.raises(ServiceError) as refused:
        server.watchers.join()
    assert refused.value.reason is Reason.OVERLOADED
    server.watchers.leave(only)
    server.watchers.join()

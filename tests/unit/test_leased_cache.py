"""What a leased cache gives, and what it must not."""

from typing import Any

import pytest

from keywright.sdk.authenticating import leased_cache
from keywright.sdk.authenticating.leased_cache import LeasedCache
from tests.support.leased import Clock, answer, told

KEY, OTHER = b"key", b"other"
NOW = 1_800_000_000.0  # by the server's clock


class Rig:
    """A cache at revision `r1`, with a lease of one second if that is wanted."""

    def __init__(
        self, kind: Any, *, lease: float | None = 1.0, max_count: int = 10, stale: float = 0
    ) -> None:
        self.clock = Clock()
        self.cache: LeasedCache = kind(self.clock, max_count, stale)
        self.cache.receive(told("r1", reset=True, serial=self.cache.request().serial))
        if lease is not None:
            self.lease(lease)

    def lease(
        self, seconds: float | None = 1.0, *, way: float = 0.0, time: float | None = NOW
    ) -> bool:
        """Ask for a lease and get the answer after `way` seconds."""
        request = self.cache.request()
        self.clock.now += way
        return self.cache.receive(
            told(request.revision, serial=request.serial, lease=seconds, time=time)
        )

    def gives(self, key: bytes = KEY) -> bool:
        return self.cache.get(key) is not None


@pytest.fixture
def kind() -> Any:
    return LeasedCache


def test_an_answer_is_given_again_under_a_lease_and_not_a_moment_longer(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k"))
    assert rig.cache.get(KEY) == answer("r1", "k")
    rig.clock.now += 0.999
    assert rig.gives()
    assert rig.cache.leased
    rig.clock.now += 0.001
    assert not rig.gives()
    assert not rig.cache.leased


def test_a_lease_counts_from_the_sending_of_its_request_not_from_its_arrival(kind: Any) -> None:
    rig = Rig(kind, lease=None)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.lease(way=0.7)
    assert rig.gives()
    rig.clock.now += 0.3
    assert not rig.gives()


@pytest.mark.parametrize("serial", [0, 1, 3, 1000])
def test_a_lease_for_a_request_that_does_not_wait_for_one_is_none(serial: int) -> None:
    rig = Rig(LeasedCache, lease=None)  # its first request is answered
    rig.cache.put(KEY, answer("r1", "k"))
    assert rig.cache.request().serial == 2
    rig.cache.receive(told("r1", serial=serial, lease=1.0, time=NOW))
    assert not rig.gives()


def test_a_lease_without_the_server_s_time_is_none(kind: Any) -> None:
    rig = Rig(kind, lease=None)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.lease(time=None)
    assert not rig.gives()


def test_a_shorter_lease_does_not_end_a_longer_one() -> None:
    rig = Rig(LeasedCache, lease=1.0)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.lease(0.1)
    rig.clock.now += 0.5
    assert rig.gives()


def test_a_change_drops_what_depends_on_it_and_nothing_else(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k", "user"))
    rig.cache.put(OTHER, answer("r1", "other", "user"))
    assert rig.cache.receive(told("r2", ("k", "r2")))
    assert (rig.gives(), rig.gives(OTHER)) == (False, True)
    assert rig.cache.request().revision == "r2"
    rig.cache.receive(told("r3", ("user", "r3")))
    assert len(rig.cache) == 0


def test_an_answer_from_before_a_change_does_not_enter_however_long_it_was_on_its_way(
    kind: Any,
) -> None:
    rig = Rig(kind)
    late, current, untouched = answer("r1", "user", "k"), answer("r2", "k"), answer("r1", "other")
    rig.cache.receive(told("r3", ("k", "r2"), ("else", "r3")))
    rig.cache.put(KEY, late)
    assert not rig.gives()
    rig.cache.put(KEY, current)
    rig.cache.put(OTHER, untouched)
    assert rig.gives()
    assert rig.gives(OTHER)


def test_an_answer_of_a_server_that_is_behind_the_last_does_not_enter(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.receive(told("r3", ("k", "r3")))
    rig.cache.ended()
    rig.cache.receive(told("r2", serial=rig.cache.request().serial))  # it has not seen r3 yet
    rig.lease()
    for revision in ("r1", "r2"):
        rig.cache.put(KEY, answer(revision, "k"))
        assert not rig.gives()


def test_an_answer_does_not_enter_when_its_change_is_told_again(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.receive(told("r3", ("k", "r2"), ("else", "r3")))
    rig.cache.receive(told("r3", ("k", "r2"), ("else", "r3")))
    rig.cache.put(KEY, answer("r1", "k"))
    rig.cache.put(KEY, answer("r2", "else"))
    assert not rig.gives()
    rig.cache.put(KEY, answer("r2", "k"))
    assert rig.gives()


@pytest.mark.parametrize("unknown", ["r0", "r2", ""])
def test_an_answer_of_a_revision_that_was_not_told_does_not_enter(unknown: str) -> None:
    rig = Rig(LeasedCache)
    rig.cache.put(KEY, answer(unknown, "k"))
    assert not rig.gives()


def test_an_answer_that_tells_nothing_it_depends_on_does_not_enter(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1"))
    assert not rig.gives()


def test_nothing_is_given_once_the_stream_has_ended_until_there_is_a_lease_on_another(
    kind: Any,
) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k"))
    asked = rig.cache.request()
    rig.cache.ended()
    assert not rig.gives()
    rig.cache.receive(told("r1", serial=asked.serial, lease=1.0, time=NOW))  # of the old stream
    assert not rig.gives()
    assert rig.cache.request().revision == "r1"
    rig.lease()  # the server can go on from there
    assert rig.gives()


def test_a_lease_outlives_a_stream_that_was_lost_and_what_was_asked_there_does_not(
    kind: Any,
) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.clock.now += 0.5
    asked = rig.cache.request()
    rig.cache.ended(was_lost=True)
    assert rig.gives()
    rig.cache.receive(told("r1", serial=asked.serial, lease=1.0, time=NOW))  # of the old stream
    rig.clock.now += 0.5
    assert not rig.gives()


def test_what_was_held_when_a_lease_ended_is_given_as_stale_for_as_long_as_was_asked_for(
    kind: Any,
) -> None:
    rig = Rig(kind, stale=2.0)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.cache.put(OTHER, answer("r1", "other", expires=NOW + 1.5))
    assert rig.cache.get_stale(KEY) is None, "it is leased"
    rig.cache.ended(was_lost=True)
    rig.clock.now += 1
    assert not rig.gives()
    assert rig.cache.get_stale(KEY) == answer("r1", "k")
    assert rig.cache.get_stale(OTHER) is not None
    rig.clock.now += 0.5
    assert rig.cache.get_stale(OTHER) is None, "it has expired"
    rig.cache.receive(told("r2", ("k", "r2")))
    assert rig.cache.get_stale(KEY) is None, "it is known to have changed"
    rig.cache.put(KEY, answer("r2", "k"))
    assert rig.cache.get_stale(KEY) is not None
    rig.clock.now += 1.5
    assert rig.cache.get_stale(KEY) is None


def test_nothing_is_stale_after_a_refusal_nor_unless_it_was_asked_for(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.clock.now += 1
    assert rig.cache.get_stale(KEY) is None
    rig = Rig(kind, stale=2.0)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.cache.ended()
    assert rig.cache.get_stale(KEY) is None


def test_an_answer_that_is_used_for_long_is_asked_for_again_now_and_then() -> None:
    rig = Rig(LeasedCache, lease=3600, stale=3600)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.clock.now += 599
    assert rig.gives()
    rig.clock.now += 1
    assert not rig.gives(), "the server would think that the key is not used any more"
    rig.cache.put(KEY, answer("r1", "k"))
    assert rig.gives()
    rig.clock.now += 3000
    assert rig.cache.get_stale(KEY) is not None


def test_what_was_abandoned_gives_nothing(kind: Any) -> None:
    rig = Rig(kind, stale=2.0)
    rig.cache.put(KEY, answer("r1", "k"))
    rig.cache._lock.acquire()  # by a thread that a child does not have
    rig.cache.abandon()
    assert not rig.gives()
    assert rig.cache.get_stale(KEY) is None


def test_a_reset_drops_all_and_the_lease_and_answers_that_are_on_their_way(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k"))
    assert rig.cache.receive(told("r7", reset=True))
    assert not rig.cache.leased
    rig.lease()
    rig.cache.put(OTHER, answer("r1", "k"))
    assert len(rig.cache) == 0
    rig.cache.put(KEY, answer("r7", "k"))
    assert rig.gives()


def test_a_credential_expires_by_the_server_s_clock_whatever_the_client_s_shows(kind: Any) -> None:
    for own in (-900.0, 0.0, 1e6):
        rig = Rig(kind, lease=None)
        rig.clock.now += own
        rig.lease(10)
        rig.cache.put(KEY, answer("r1", "k", expires=NOW + 0.5))
        rig.cache.put(OTHER, answer("r1", "k"))
        rig.clock.now += 0.499
        assert rig.gives()
        rig.clock.now += 0.001
        assert not rig.gives()
        assert rig.gives(OTHER)


def test_a_credential_is_taken_as_expired_early_rather_than_late(kind: Any) -> None:
    rig = Rig(kind)
    rig.cache.put(KEY, answer("r1", "k", expires=NOW + 0.5))
    rig.lease(10, way=0.4)  # who knows when on this way the server said so
    assert rig.gives()
    rig.clock.now += 0.1
    assert not rig.gives()


def test_what_has_expired_stays_so_when_the_server_s_clock_is_set_back(kind: Any) -> None:
    rig = Rig(kind, lease=10)
    rig.cache.put(KEY, answer("r1", "k", expires=NOW + 0.5))
    rig.clock.now += 0.5
    assert not rig.gives()
    rig.lease(10, time=NOW - 100)
    assert not rig.gives()


def test_a_lease_that_came_too_late_tells_no_time_either(kind: Any) -> None:
    rig = Rig(kind)
    rig.lease(1.0, way=3600, time=NOW + 3600)  # one of us was stopped; an hour off, at most
    rig.lease(1.0, time=NOW + 3600)
    rig.cache.put(KEY, answer("r1", "k", expires=NOW + 3601))
    assert rig.gives()


def test_the_server_hears_at_once_that_a_change_is_applied_and_nothing_without_one() -> None:
    rig = Rig(LeasedCache)
    assert not rig.lease()
    assert not rig.lease(None), "a server without a lease is not asked again at once"
    assert rig.cache.receive(told("r2", ("k", "r2")))
    assert rig.cache.receive(told("r3", serial=rig.cache.request().serial))
    assert rig.cache.receive(told("r3", reset=True))
    assert not rig.cache.receive(told("r3"))


def test_the_longest_unused_answer_makes_room_and_leaves_no_trace() -> None:
    rig = Rig(LeasedCache, max_count=2)
    for key in (b"a", b"b"):
        rig.cache.put(key, answer("r1", key.decode(), "user"))
    assert rig.gives(b"a")
    rig.cache.put(b"c", answer("r1", "c", "user"))
    assert [rig.gives(key) for key in (b"a", b"b", b"c")] == [True, False, True]
    assert rig.cache._answers._by_mark == {"a": {b"a"}, "c": {b"c"}, "user": {b"a", b"c"}}
    rig.cache.put(b"a", answer("r1", "moved"))
    assert rig.cache._answers._by_mark == {"moved": {b"a"}, "c": {b"c"}, "user": {b"c"}}


def test_what_is_remembered_of_changes_and_requests_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TOLD_MAX_COUNT", "SENT_MAX_COUNT"):
        monkeypatch.setattr(leased_cache, name, 3)
    rig = Rig(LeasedCache)
    for number in range(2, 10):
        rig.cache.receive(told(f"r{number}", (f"k{number}", f"r{number}")))
        rig.cache.request()
    assert len(rig.cache._sent) == len(rig.cache._told._revisions) == 3
    assert list(rig.cache._told._changed) == ["k7", "k8", "k9"]


def test_an_answer_from_before_more_changes_than_are_remembered_does_not_enter(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kind.__init__.__globals__, "TOLD_MAX_COUNT", 3)
    rig = Rig(kind)
    many = [(f"k{number}", "r2") for number in range(5)]
    rig.cache.receive(told("r2", *many))  # one mass revocation
    rig.cache.put(KEY, answer("r1", "k0"))
    rig.cache.put(OTHER, answer("r2", "k0"))
    assert (rig.gives(), rig.gives(OTHER)) == (False, True)


def test_serials_go_up_and_begin_anew_before_they_are_too_long_for_their_field() -> None:
    rig = Rig(LeasedCache)
    assert [rig.cache.request().serial for _ in range(2)] == [3, 4]
    rig.cache._serial = 2**31 - 2
    assert [rig.cache.request().serial for _ in range(2)] == [2**31 - 1, 1]


def test_a_key_has_all_that_an_answer_rests_on_and_shows_nothing_of_the_token() -> None:
    cache, other = LeasedCache(), LeasedCache()
    asked: dict[str, Any] = {"token": "kw_secret", "resource": "a", "require": ["b", "c"]}
    key = cache.key_of(**asked)
    assert key == cache.key_of("kw_secret", "a", ("b", "c"), "")
    assert key != other.key_of(**asked), "it takes a secret to make it"
    assert "kw_secret" not in repr(key)
    for name, value in (
        ("token", "kw_secreu"),
        ("resource", ""),
        ("require", ["b"]),
        ("require", ["bc"]),
        ("environment", "live"),
    ):
        assert cache.key_of(**{**asked, name: value}) != key


def test_the_clock_goes_on() -> None:
    assert leased_cache.steady_seconds() <= leased_cache.steady_seconds()

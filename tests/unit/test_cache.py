"""The cache of the hot path: bounded by bytes, and washed out by nobody."""

import gc
import hashlib
import itertools
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keywright.security import cache as module
from keywright.security.cache import MAX_VISITS, MIN_BYTES, Cache

MEBIBYTE = 1024 * 1024
SIZE = 700


class Value:
    """As large as what the hot path keeps: a reply, and a record about it."""

    __slots__ = ("lasting", "reply", "size", "visits")

    def __init__(self, number: int = 0, *, size: int = SIZE, lasting: bool = True) -> None:
        self.size = size
        self.visits = 0
        self.lasting = lasting
        self.reply = number


def keys(name: str, count: int) -> list[bytes]:
    return [hashlib.blake2b(f"{name}{i}".encode(), digest_size=16).digest() for i in range(count)]


def put_all(cache: Cache[Value], places: list[bytes], *, lasting: bool = True) -> None:
    for place in places:
        cache.put(place, Value(lasting=lasting))


def kept(cache: Cache[Value], places: list[bytes]) -> int:
    """How many of them are there still, without a visit."""
    return sum(place in cache.values for place in places)


def hot_set(cache: Cache[Value]) -> list[bytes]:
    """Half a cache of keys in use."""
    hot = keys("hot", cache_count(cache) // 2)
    for _ in range(3):
        use(cache, hot)
    assert kept(cache, hot) == len(hot)
    return hot


def use(cache: Cache[Value], places: list[bytes]) -> int:
    """Authenticate each; returns how many were not there."""
    misses = 0
    for place in places:
        if cache.get(place) is None:
            cache.put(place, Value())
            misses += 1
    return misses


def cache_count(cache: Cache[Value]) -> int:
    """About how many values of the usual size have room in an empty cache."""
    probe: Cache[Value] = Cache(4 * MEBIBYTE)
    numbers = itertools.count()
    while not probe.evicted:
        probe.put(str(next(numbers)), Value())
    return len(probe)


@pytest.fixture(name="cache")
def _cache() -> Cache[Value]:
    return Cache(4 * MEBIBYTE)


def test_what_was_put_last_is_there_until_it_is_dropped(cache: Cache[Value]) -> None:
    assert cache.get("a") is None
    first, second = Value(1), Value(2)
    cache.put("a", first)
    assert cache.get("a") is first
    cache.put("a", second)
    assert cache.get("a") is second
    assert len(cache) == 1
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None
    assert (len(cache), cache.evicted, cache.refused) == (0, 0, 0)


def test_a_hit_counts_to_three_and_moves_nothing(cache: Cache[Value]) -> None:
    value = Value()
    cache.put("a", value)
    for visits in (1, 2, 3, 3):
        assert cache.get("a") is value
        assert value.visits == visits
    assert visits == MAX_VISITS


def test_a_replacement_inherits_the_visits(cache: Cache[Value]) -> None:
    cache.put("a", Value())
    cache.get("a")
    cache.get("a")
    cache.put("a", Value(1))
    assert cache.values["a"].visits == 2


def test_clearing_gives_everything_back(cache: Cache[Value]) -> None:
    values, empty = cache.values, cache.bytes
    put_all(cache, keys("k", 10_000))
    cache.drop(next(iter(cache.values)))
    cache.clear()
    assert (len(cache), cache.bytes) == (0, empty)
    assert cache.values is values  # who looks up there directly goes on doing so
    put_all(cache, keys("k", 100))
    assert len(cache) == 100


def test_a_scan_of_cold_keys_washes_nothing_out(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    cold = keys("cold", 10 * len(hot))
    # Traffic goes on: each hot key is used once while as many cold ones pass.
    misses = 0
    for start in range(0, len(cold), len(hot)):
        put_all(cache, cold[start : start + len(hot)])
        misses += use(cache, hot)
    assert misses == 0
    assert kept(cache, hot) == len(hot)


def test_keys_in_use_survive_a_scan_without_being_used_meanwhile(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    put_all(cache, keys("cold", 10 * len(hot)))
    assert kept(cache, hot) == len(hot)


def test_of_the_keys_that_last_those_go_that_are_not_in_use(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    put_all(cache, keys("filler", 2 * cache_count(cache)))
    new = keys("new", len(hot) // 2)
    for _ in range(3):
        use(cache, new)
        put_all(cache, keys("flood", cache_count(cache)), lasting=False)
    assert kept(cache, new) > 0.9 * len(new)  # a ghost may have taken another's place
    assert kept(cache, hot) > 0.99 * len(hot)  # one walk gives so many another round, and no more


def test_what_strangers_bring_about_displaces_nothing_that_lasts(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    put_all(cache, keys("filler", 2 * cache_count(cache)))  # the main queue is full, too
    lasting = [place for place in cache.values if place not in cache._small]
    put_all(cache, keys("flood", 100 * len(hot)), lasting=False)
    assert [place for place in cache.values if place not in cache._small] == lasting
    assert kept(cache, hot) == len(hot)


def test_what_strangers_bring_about_never_lasts_however_often_it_is_asked_for(
    cache: Cache[Value],
) -> None:
    flood = keys("flood", 10 * cache_count(cache))
    for place in flood:
        cache.put(place, Value(lasting=False))
        for _ in range(5):
            cache.get(place)
    assert not cache._main
    assert not any(cache._ghosts)
    assert cache.bytes < 4 * MEBIBYTE / 8


def test_a_new_key_lasts_in_a_flood_from_its_second_use_on(cache: Cache[Value]) -> None:
    put_all(cache, keys("filler", 2 * cache_count(cache)))
    flood = keys("flood", 10_000)
    cache.put("new", Value())
    put_all(cache, flood, lasting=False)
    assert cache.get("new") is None
    cache.put("new", Value())
    put_all(cache, flood, lasting=False)
    assert cache.get("new") is not None


def test_a_key_that_changed_comes_back_to_where_it_was(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    put_all(cache, keys("filler", 2 * cache_count(cache)))
    for place in hot:
        cache.drop(place)
    put_all(cache, hot)
    put_all(cache, keys("flood", 10_000), lasting=False)
    assert kept(cache, hot) == len(hot)


def test_what_no_longer_lasts_leaves_the_main_queue(cache: Cache[Value]) -> None:
    hot = hot_set(cache)
    for place in hot:
        cache.put(place, Value(lasting=False))
    put_all(cache, keys("flood", 10_000), lasting=False)
    assert kept(cache, hot) == 0
    put_all(cache, hot)
    assert kept(cache, hot) == len(hot)


def test_one_eviction_walks_over_a_bounded_number_of_keys_in_use(cache: Cache[Value]) -> None:
    in_use = keys("k", cache_count(cache) - 100)
    for _ in range(1 + MAX_VISITS):
        use(cache, in_use)
    assert (cache.evicted, all_visits(cache)) == (0, MAX_VISITS * len(in_use))
    for place in keys("late", 200):
        evicted, visits = cache.evicted, all_visits(cache)
        cache.put(place, Value())
        most = (cache.evicted - evicted) * (module._MAX_ROUNDS + MAX_VISITS)
        assert visits - all_visits(cache) <= most
        cache.get(place)
        cache.get(place)
    assert cache.evicted > 0


def all_visits(cache: Cache[Value]) -> int:
    return sum(value.visits for value in cache.values.values())


def test_a_value_that_is_too_large_is_not_kept_nor_the_one_before_it(cache: Cache[Value]) -> None:
    large = 4 * MEBIBYTE // 10 // 16
    cache.put("a", Value())
    cache.put("b", Value())
    cache.put("a", Value(size=large))
    assert cache.get("a") is None
    assert cache.get("b") is not None
    assert cache.refused == 1
    cache.put("c", Value(size=large - 1000))
    assert cache.get("c") is not None


def test_fewer_bytes_than_a_mebibyte_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1048576 bytes"):
        Cache[Value](MIN_BYTES - 1)
    assert Cache[Value](MIN_BYTES).bytes < MIN_BYTES / 40


@pytest.mark.parametrize(
    ("guard", "instead", "scenario"),
    [
        (
            "value.lasting and (value.visits > 1",
            "(value.visits > 1",
            test_what_strangers_bring_about_never_lasts_however_often_it_is_asked_for,
        ),
        (
            "        if value.lasting:\n            self._ghosts",
            "        if True:\n            self._ghosts",
            test_what_strangers_bring_about_never_lasts_however_often_it_is_asked_for,
        ),
        (
            "(value.visits > 1 or has_room)",
            "True",
            test_keys_in_use_survive_a_scan_without_being_used_meanwhile,
        ),
        (
            "value.lasting and self._is_ghost(place)",
            "False",
            test_a_new_key_lasts_in_a_flood_from_its_second_use_on,
        ),
        (
            "if not value.visits or",
            "if True or",
            test_of_the_keys_that_last_those_go_that_are_not_in_use,
        ),
        (
            " or rounds == _MAX_ROUNDS",
            "",
            test_one_eviction_walks_over_a_bounded_number_of_keys_in_use,
        ),
        (
            "(value.lasting or place in self._small)",
            "True",
            test_what_no_longer_lasts_leaves_the_main_queue,
        ),
        (
            "            self._vacant.add(place)\n",
            "            self._main.remove(place)\n",
            test_a_key_that_changed_comes_back_to_where_it_was,
        ),
    ],
)
def test_a_planted_bug_is_noticed(
    guard: str, instead: str, scenario: Callable[[Cache[Value]], None]
) -> None:
    source = Path(module.__file__).read_text()
    assert guard in source, "the module has changed: where is its guard now?"
    planted: dict[str, Any] = {"__name__": "planted"}
    exec(source.replace(guard, instead), planted)
    with pytest.raises(AssertionError):
        scenario(planted["Cache"](4 * MEBIBYTE))


class Real:
    """A value that knows what it takes: itself, a reply, and a tuple of what it depends on."""

    __slots__ = ("depends_on", "lasting", "reply", "size", "visits")

    def __init__(self, number: int, *, lasting: bool) -> None:
        self.lasting = lasting
        self.visits = 0
        self.reply = number.to_bytes(8, "big") * (30 + number % 20)
        self.depends_on = tuple(b"%016d" % (number + i) for i in range(4))
        self.size = sum(
            map(sys.getsizeof, (self, self.reply, self.depends_on, 10**9, *self.depends_on))
        )


@pytest.fixture(name="traced")
def _traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("mebibytes", [64, 8])
def test_it_takes_no_more_memory_than_it_says_and_says_little_more_than_it_takes(
    mebibytes: int,
) -> None:
    before = tracemalloc.get_traced_memory()[0]
    cache: Cache[Real] = Cache(mebibytes * MEBIBYTE)
    for number in range(20_000):
        # One in ten is a stranger's, and some are changed, dropped and used again.
        cache.put(number.to_bytes(16, "big"), Real(number, lasting=number % 10 > 0))
        if number % 7 == 0:
            cache.put((number // 2).to_bytes(16, "big"), Real(number, lasting=True))
        if number % 11 == 0:
            cache.drop((number // 3).to_bytes(16, "big"))
        cache.get((number // 5).to_bytes(16, "big"))
    gc.collect()
    real = tracemalloc.get_traced_memory()[0] - before
    assert real <= cache.bytes <= mebibytes * MEBIBYTE
    assert cache.bytes <= 1.3 * real
    assert (cache.evicted > 10_000) == (mebibytes == 8)


@pytest.mark.usefixtures("traced")
def test_at_no_number_of_values_it_takes_more_than_it_says() -> None:
    """Tables grow in steps: right after one there is the most room that is not used."""
    before = tracemalloc.get_traced_memory()[0]
    cache: Cache[Real] = Cache(64 * MEBIBYTE)
    value = Real(0, lasting=True)
    value.size = 0  # one for all: what the cache adds is all there is
    for number in range(50_000):
        cache.put(number.to_bytes(16, "big"), value)
        if number % 100 == 0:
            assert tracemalloc.get_traced_memory()[0] - before <= cache.bytes

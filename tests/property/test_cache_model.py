"""Any sequence of puts, looks, drops and clearings, beside a plain dict of what was put last."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from keywright.security.cache import _SMALL_ENTRY_BYTES as SMALL_ENTRY_BYTES
from keywright.security.cache import MAX_VISITS, MIN_BYTES, Cache, Place, _cost, _vacant_cost

pytestmark = pytest.mark.slow

# Large, so that few fill a cache: the small queue has room for some twenty, the main one for more.
SIZES = st.sampled_from([200, 3000, 5000, 6000, 7000])
PLACES = st.one_of(st.integers(0, 40), st.integers(0, 400)).map(str)


class Value:
    def __init__(self, size: int, *, lasting: bool) -> None:
        self.size = size
        self.visits = 99  # what its maker leaves there does not matter
        self.lasting = lasting


class Model(RuleBasedStateMachine):
    """A cache of the least size, and all that was ever put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: Cache[Value] = Cache(MIN_BYTES)
        self.last: dict[str, Value] = {}

    @rule(place=PLACES, size=SIZES, lasting=st.booleans())
    def put(self, place: str, size: int, *, lasting: bool) -> None:
        """One value; too large ones are refused."""
        self.last[place] = Value(size, lasting=lasting)
        refused = self.cache.refused
        self.cache.put(place, self.last[place])
        # What was put last is what goes last: only its size can keep it out.
        assert (self.cache.values.get(place) is None) == (self.cache.refused > refused)
        assert (self.cache.refused > refused) == (size > 6200)

    @rule(start=st.integers(0, 400), count=st.integers(1, 300), lasting=st.booleans())
    def scan(self, start: int, count: int, *, lasting: bool) -> None:
        """Many in a row, none of which is used; not lasting, they push nothing lasting out."""
        before = self.in_main()
        for number in range(start, start + count):
            self.put(f"scanned-{number}", 3000, lasting=lasting)
        if not lasting:
            fell = {f"scanned-{number}" for number in range(start, start + count)}
            assert before - fell <= self.in_main()

    @rule(place=PLACES, times=st.integers(1, 5))
    def get(self, place: str, times: int) -> None:
        """What is there is what was put last."""
        for _ in range(times):
            value = self.cache.get(place)
            assert value is None or value is self.last[place]

    @rule(start=st.integers(0, 40), count=st.integers(1, 20))
    def use(self, start: int, count: int) -> None:
        """Some neighbours are asked for."""
        for number in range(start, start + count):
            self.get(str(number), 2)

    @rule(place=PLACES)
    def drop(self, place: str) -> None:
        """Gone is gone."""
        self.cache.drop(place)
        self.last.pop(place, None)
        assert self.cache.get(place) is None

    @rule()
    def clear(self) -> None:
        """All is gone."""
        self.cache.clear()
        self.last.clear()
        assert len(self.cache) == 0

    def in_main(self) -> set[Place]:
        return set(self.cache.values) - set(self.cache._small)

    @invariant()
    def its_bytes_are_bounded(self) -> None:
        """In all, and for what strangers bring about."""
        assert self.cache.bytes <= MIN_BYTES
        assert self.cache._small_bytes <= MIN_BYTES / 10

    @invariant()
    def its_books_are_right(self) -> None:
        """Each value has one slot in one queue, and the bytes are those of the slots."""
        cache = self.cache
        assert set(cache._small) <= set(cache.values)
        assert len(cache._main) == len(set(cache._main))
        assert set(cache._main) == self.in_main() | cache._vacant
        assert not self.in_main() & cache._vacant
        assert cache._small_bytes == sum(
            _cost(place, cache.values[place]) + SMALL_ENTRY_BYTES for place in cache._small
        )
        assert cache._main_bytes == sum(
            _cost(place, cache.values[place]) if place not in cache._vacant else _vacant_cost(place)
            for place in cache._main
        )

    @invariant()
    def nothing_is_there_but_what_was_put_last(self) -> None:
        """With its visits in two bits, and nothing of strangers' in the main queue."""
        for place, value in self.cache.values.items():
            assert value is self.last[str(place)]
            assert 0 <= value.visits <= MAX_VISITS
        assert all(self.cache.values[place].lasting for place in self.in_main())


def test_a_cache_keeps_its_books_whatever_happens() -> None:
    run_state_machine_as_test(
        Model, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )

"""Values kept in memory within a bound of bytes, which no flood and no scan washes out.

S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): what is new
waits in a small queue, and only what is asked for again enters the main one. Nothing moves on a
hit; a queue gives a visited value another round when its turn to go has come.

- The small queue has a tenth of the bytes. What strangers can cause to be kept (`lasting` is False)
  lives there only, so a flood of it costs others at most one more miss each.
- The main queue has the rest. While it has room, what lasts enters it unvisited.
- A ghost is the hash of what had to leave the small queue: who comes back enters the main queue at
  once. Ghosts are a table of fixed size; a newer one takes an older one's place.
"""

import sys
from array import array
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

MIN_BYTES = 1024 * 1024
MAX_VISITS = 3
_SMALL_SHARE = 10
_LARGEST_SHARE = 16
_GHOST_BYTES = 8
_BYTES_PER_GHOST = 512  # about as many ghosts as values, or more, for 1/64 of the bytes
# The most rounds that one eviction gives to visited values; the next one goes. Where all are in
# use, walking over all of them would hold every call up for long.
_MAX_ROUNDS = 1000

_EMPTY_BYTES = 4096  # a cache without values, but for its ghosts
# What a value takes beside itself, at worst. Right after it grew, a dict has six places in its
# index (4 bytes) and room for four entries (24 bytes) for each that is used.
_DICT_BYTES = 6 * 4 + 4 * 24
_PLACE_BYTES = 49 + 15  # of a str but its text, and what it is rounded up by
_SLOT_BYTES = 9  # a deque has blocks of 64
_ENTRY_BYTES = _DICT_BYTES + _PLACE_BYTES + _SLOT_BYTES
# And in the small queue: an OrderedDict is a dict, nodes (32 bytes) and an index of nodes.
_SMALL_ENTRY_BYTES = _DICT_BYTES + 32 + 6 * 8
# A slot of the main queue whose value was dropped: it is in a set, too (16 bytes, 1/7 full).
_VACANT_BYTES = _PLACE_BYTES + _SLOT_BYTES + 7 * 16

# Text is ASCII: its bytes are counted by its length.
Place = str | bytes


class Cached(Protocol):
    """What can be kept.

    Attributes:
        visits: the cache's own: how often it was asked for, to `MAX_VISITS`.
        lasting: whether it may enter the main queue. False for what strangers can bring about.
    """

    visits: int
    lasting: bool

    @property
    def size(self) -> int:
        """Bytes that it takes, with all that is kept for it alone; it must not change."""


V = TypeVar("V", bound=Cached)


class Cache(Generic[V]):
    """At most `max_bytes` of values, each at its place, all in.

    Attributes:
        values: all that is kept. Look up here where a call is too much, then count the visit:
            `value.visits = MAX_VISITS` will do. The dict is the same for the cache's life.
        evicted: how many values had to go for others.
        refused: how many were too large to be kept.
    """

    def __init__(self, max_bytes: int) -> None:
        """Raises ValueError: `max_bytes` is less than `MIN_BYTES`."""
        if max_bytes < MIN_BYTES:
            raise ValueError(f"a cache has at least {MIN_BYTES} bytes, not {max_bytes}")
        self.values: dict[Place, V] = {}
        self.evicted = 0
        self.refused = 0
        self._ghosts = array("q", bytes(max_bytes // _BYTES_PER_GHOST * _GHOST_BYTES))
        self._fixed_bytes = sys.getsizeof(self._ghosts) + _EMPTY_BYTES
        self._small: OrderedDict[Place, None] = OrderedDict()
        self._small_bytes = 0
        self._small_max_bytes = max_bytes // _SMALL_SHARE
        # What is in `values` and not in `_small` is here, at one slot; so is what is `_vacant`.
        self._main: deque[Place] = deque()
        self._main_bytes = 0
        self._main_max_bytes = max_bytes - self._small_max_bytes - self._fixed_bytes
        self._vacant: set[Place] = set()
        self._largest_bytes = self._small_max_bytes // _LARGEST_SHARE

    def get(self, place: Place) -> V | None:
        """The value that was last put there, if it is still kept."""
        value = self.values.get(place)
        if value is not None and value.visits < MAX_VISITS:
            value.visits += 1
        return value

    def put(self, place: Place, value: V) -> None:
        """Keep `value`, in the place of an older one if there is one; others may have to go."""
        before = self.values.get(place)
        cost = _cost(place, value)
        if cost > self._largest_bytes:
            self.refused += 1
            self.drop(place)
        elif before is not None and (value.lasting or place in self._small):
            value.visits = before.visits
            self.values[place] = value
            if place in self._small:
                self._small_bytes += value.size - before.size
            else:
                self._main_bytes += value.size - before.size
        else:
            self.drop(place)
            value.visits = 0
            self._enter(place, value, cost)
        self._trim()

    def drop(self, place: Place) -> None:
        """Keep nothing there."""
        value = self.values.pop(place, None)
        if value is None:
            return
        if place in self._small:
            del self._small[place]
            self._small_bytes -= _cost(place, value) + _SMALL_ENTRY_BYTES
        else:  # its slot waits for its turn, or for a new value
            self._vacant.add(place)
            self._main_bytes -= _cost(place, value) - _vacant_cost(place)

    def clear(self) -> None:
        """Keep nothing."""
        for each in (self.values, self._small, self._main, self._vacant):
            each.clear()
        self._small_bytes = self._main_bytes = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def bytes(self) -> int:
        """How many bytes are used; at most so many, because tables are counted at their worst."""
        return self._fixed_bytes + self._small_bytes + self._main_bytes

    def _enter(self, place: Place, value: V, cost: int) -> None:
        self.values[place] = value
        if value.lasting and place in self._vacant:
            value.visits = 1  # it came back, and its old slot may be the next one to go
            self._enter_main(place, cost)
        elif value.lasting and self._is_ghost(place):
            self._enter_main(place, cost)
        else:
            self._small[place] = None
            self._small_bytes += cost + _SMALL_ENTRY_BYTES

    def _enter_main(self, place: Place, cost: int) -> None:
        if place in self._vacant:
            self._vacant.remove(place)
            self._main_bytes -= _vacant_cost(place)
        else:
            self._main.append(place)
        self._main_bytes += cost

    def _trim(self) -> None:
        while self._small_bytes > self._small_max_bytes:
            self._leave_small()
        while self._main_bytes > self._main_max_bytes:
            self._evict_from_main()

    def _leave_small(self) -> None:
        place, _ = self._small.popitem(last=False)
        value = self.values[place]
        cost = _cost(place, value)
        self._small_bytes -= cost + _SMALL_ENTRY_BYTES
        has_room = self._main_bytes + cost <= self._main_max_bytes
        if value.lasting and (value.visits > 1 or has_room):
            self._enter_main(place, cost)
            return
        del self.values[place]
        self.evicted += 1
        if value.lasting:
            self._ghosts[hash(place) % len(self._ghosts)] = hash(place)

    def _evict_from_main(self) -> None:
        rounds = 0
        while True:
            place = self._main.popleft()
            if place in self._vacant:
                self._vacant.remove(place)
                self._main_bytes -= _vacant_cost(place)
                return
            value = self.values[place]
            if not value.visits or rounds == _MAX_ROUNDS:
                del self.values[place]
                self._main_bytes -= _cost(place, value)
                self.evicted += 1
                return
            value.visits -= 1
            self._main.append(place)
            rounds += 1

    def _is_ghost(self, place: Place) -> bool:
        return self._ghosts[hash(place) % len(self._ghosts)] == hash(place)


def _cost(place: Place, value: Cached) -> int:
    return value.size + len(place) + _ENTRY_BYTES


def _vacant_cost(place: Place) -> int:
    return len(place) + _VACANT_BYTES

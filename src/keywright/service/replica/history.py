"""What has changed, as far as this process has applied it: what makes a cached answer stale.

Revisions of the database may be used twice, if a failover loses the tail of the history. So caches
count in steps of this process's own, which only rise.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from keywright.domain.position import Position, Revision

STEPS_MAX_COUNT = 65_536
CHANGES_MAX_COUNT = 262_144
"""What is remembered: about 40 MiB at the very most, after mass revocations; hardly any at rest."""


NOWHERE = Position(-1, UUID(int=0))
"""Where a process is that has not registered yet."""


@dataclass(slots=True)
class History:
    """The history of authority up to `applied`.

    `step` is the number of the last step: what is true now is true as of that.
    """

    applied: Position
    step: int = 0
    _steps: deque[Revision] = field(default_factory=deque)
    _base: Position = field(init=False)
    _changed: dict[int, int] = field(default_factory=dict)
    _count: int = 0
    _oldest: int = 0

    def __post_init__(self) -> None:
        """Nothing is remembered of what was before `applied`."""
        self._base = self.applied

    def apply(self, steps: Iterable[Revision]) -> None:
        """Go on by `steps`, which follow upon `applied` without a gap."""
        for each in steps:
            self.step += 1
            self.applied = each.position
            self._steps.append(each)
            self._count += len(each.changed)
            self._changed.update(dict.fromkeys(each.changed, self.step))
        while self._count > CHANGES_MAX_COUNT or len(self._steps) > STEPS_MAX_COUNT:
            self._forget_oldest()

    def reset(self, position: Position) -> None:
        """Begin anew at `position`: nothing that was true before is known to be true there."""
        self.step += 1
        self.applied = self._base = position
        self._oldest = self.step
        self._steps.clear()
        self._changed.clear()
        self._count = 0

    def step_at(self, position: Position) -> int | None:
        """The step that led to `position`; None if that is ahead, forgotten, or of another history.

        A revision without its tag tells nothing: a failover may make another of its number.
        """
        step = self.step - (self.applied.revision - position.revision)
        return step if self.position_at(step) == position else None

    def position_at(self, step: int) -> Position | None:
        """The position that a step led to; None if that is forgotten, or yet to come."""
        if not self._oldest <= step <= self.step:
            return None
        return self._base if step == self._oldest else self._steps[step - self.step - 1].position

    def unchanged(self, rests_on: Iterable[int], since: int) -> bool:
        """Whether none of `rests_on` has changed after the step `since`."""
        if since < self._oldest:
            return False
        changed = self._changed
        return all(changed.get(each, 0) <= since for each in rests_on)

    def after(self, step: int) -> Sequence[Revision] | None:
        """The steps after `step`, in order; None if some of them are forgotten."""
        if step < self._oldest:
            return None
        newest_first = islice(reversed(self._steps), self.step - step)
        return list(newest_first)[::-1]

    def _forget_oldest(self) -> None:
        forgotten = self._steps.popleft()
        self._base = forgotten.position
        self._oldest += 1
        self._count -= len(forgotten.changed)
        for each in forgotten.changed:
            if self._changed.get(each) == self._oldest:
                del self._changed[each]

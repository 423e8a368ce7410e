"""Who runs where: what is measured has one core for itself, whoever loads it has the others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = sorted(os.sched_getaffinity(0))
SERVER = _ALL[0]
LOAD = _ALL[-1]


@contextmanager
def only(core: int | None) -> Iterator[None]:
    """What is started in the block runs on that core only; on any without one."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # of this thread, which children inherit
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

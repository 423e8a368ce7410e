"""Wall clocks of server processes, in the test's hand.

A directory for PYTHONPATH whose `sitecustomize` moves what Python tells of the time of day by as
much as a file says; clocks that nobody can set are left alone. The database's clock stays right.
"""

from pathlib import Path

_SITE = """
import datetime
import time
import types
from pathlib import Path

from grpc._cython import cygrpc

_file = Path({file!r})
_time, _now = time.time, datetime.datetime.now
_clock_gettime = time.clock_gettime


def _offset():
    return float(_file.read_text())


class _Kind(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _datetime)


_datetime = datetime.datetime


class _Moved(_datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return _now(tz) + datetime.timedelta(seconds=_offset())

    @classmethod
    def utcnow(cls):
        return _now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=_offset())


def _moved_clock(which):
    return _clock_gettime(which) + (_offset() if which == time.CLOCK_REALTIME else 0)


# gRPC compares deadlines, which it has from the C library, with what Python tells: both stay right.
cygrpc.time = types.SimpleNamespace(time=_time)
time.time = lambda: _time() + _offset()
time.time_ns = lambda: int(time.time() * 1_000_000_000)
time.clock_gettime = _moved_clock
datetime.datetime = _Moved
"""


class WallClock:
    """The wall clock of whichever processes have `path` first in their PYTHONPATH."""

    def __init__(self, path: Path, ahead_seconds: float = 0.0) -> None:
        self.path = path
        self._file = path / "offset"
        path.mkdir()
        self.step(ahead_seconds)
        (path / "sitecustomize.py").write_text(_SITE.format(file=str(self._file)))

    def step(self, ahead_seconds: float) -> None:
        """Set it to so much ahead of the right time, at once."""
        new = self._file.with_suffix(".new")
        new.write_text(str(ahead_seconds))
        new.rename(self._file)  # read in whole, always

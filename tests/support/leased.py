"""Builds of the client's cache with a bug planted, and answers and messages for it."""

from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk.authenticating import leased_cache
from keywright.v1 import auth_service_pb2 as pb


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def planted(guard: str, instead: str) -> Any:
    """A `LeasedCache` whose source has `instead` where the guard was."""
    source = Path(leased_cache.__file__).read_text()
    assert guard in source, "leased_cache.py has changed: where is its guard now?"
    build = ModuleType("planted")
    exec(compile(source.replace(guard, instead), "planted", "exec"), build.__dict__)
    return build.LeasedCache


def timestamp(seconds: float) -> Timestamp:
    """A moment, as seconds since 1970."""
    return Timestamp(seconds=int(seconds // 1), nanos=round(seconds % 1 * 1e9))


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def answer(
    revision: str, *depends_on: str, expires: float | None = None
) -> pb.AuthenticateResponse:
    """An answer of `Authenticate`; `expires`: seconds since 1970."""
    return pb.AuthenticateResponse(
        revision=revision,
        depends_on=depends_on,
        expire_time=None if expires is None else timestamp(expires),
    )


def told(
    revision: str,
    *changes: tuple[str, str],
    serial: int = 0,
    reset: bool = False,
    lease: float | None = None,
    time: float | None = 0,
) -> pb.WatchResponse:
    """A message of `Watch`; `changes`: mark and revision of each; times in seconds."""
    return pb.WatchResponse(
        serial=serial,
        revision=revision,
        reset=reset,
        changes=[
            pb.AuthorityChange(dependency=mark, revision=changed_by) for mark, changed_by in changes
        ],
        lease=None if lease is None else duration(lease),
        time=None if lease is None or time is None else timestamp(time),
    )

"""What a fork leaves of gRPC: nothing that works where grpc.aio ran.

Its blocking half survives. But where a channel of grpc.aio is there as a process is forked, the
first call in the child hangs or ends it, and may end the parent with it: both have the same epoll
instance. So no call is made there any more.
"""

import os
from weakref import WeakSet

import grpc

from keywright.sdk.errors import ConfigurationError

_running: WeakSet[grpc.aio.Channel] = WeakSet()
_left: list[str] = []  # says so in a child where nothing works, and in its own children


def runs(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """A channel that must not be there when this process is forked, or else is noted."""
    _running.add(channel)
    return channel


def check() -> None:
    """Do nothing if calls can be made.

    Raises:
        ConfigurationError: `FORKED`.
    """
    if _left:
        raise forked()


def forked() -> ConfigurationError:
    """What is told to the child of a fork."""
    return ConfigurationError(
        "this process was forked from one that had an Authenticator or an AsyncClient in use, and "
        "gRPC does not survive that: fork before, or start processes anew (multiprocessing: spawn)",
        reason="FORKED",
    )


def _in_child() -> None:
    if len(_running):
        _left.append("forked")


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_in_child)

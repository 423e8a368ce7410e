"""File descriptors: each connection takes one.

A process that has none left cannot reach its database either, and loses its lease. So connections
get no more than is left when everything else has its share.
"""

import resource

import structlog

from keywright.app.config import Config

_log = structlog.get_logger("keywright.descriptors")
# What a process has open besides, some 25 at rest: epoll, files, connections beside the pool, and
# those to `metrics_listen`.
_OTHERS = 100


def connections(config: Config) -> int:
    """How many connections this process can hold: `max_connections`, or as many as it may.

    The soft limit of descriptors (RLIMIT_NOFILE) is raised to the hard one first. It is low, 1024
    as a rule, for the sake of programs that use select(2), which this is none of (systemd.exec(5)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    left = hard - config.database_pool_size - _OTHERS
    if hard == resource.RLIM_INFINITY or left >= config.max_connections:
        return config.max_connections
    _log.warning(
        "too few file descriptors (ulimit -Hn) for so many connections: fewer are taken",
        setting="max_connections",
        count=max(left, 1),
    )
    return max(left, 1)

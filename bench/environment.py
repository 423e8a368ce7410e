"""On what and when: a figure without it says nothing."""

import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path

import asyncpg

_PACKAGES = ("keywright", "grpcio", "protobuf", "asyncpg", "argon2-cffi", "uvloop")


async def describe(dsn: str) -> str:
    """One paragraph: date, machine, versions, and how busy the machine was already."""
    connection = await asyncpg.connect(dsn)
    try:
        postgresql = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today = dt.datetime.now(tz=dt.UTC).date()
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{today}; {len(os.sched_getaffinity(0))} cores ({_processor()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}; Python {platform.python_version()}, "
        f"{packages}, PostgreSQL {postgresql}; load average before the run "
        f"{os.getloadavg()[0]:.2f}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"

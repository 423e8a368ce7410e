"""`python -m bench`: measure, each figure beside its baseline, and write docs/performance.md."""

import argparse
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from bench import (
    attacks,
    audit_event,
    audit_trail,
    authenticator,
    batch,
    connections,
    console,
    create_key,
    denials,
    environment,
    flood,
    front,
    growth,
    herd,
    import_keys,
    list_keys,
    memory,
    microseconds,
    misses,
    observing,
    replicas,
    revocation,
    server,
    sidecar,
    soak,
    stream,
    warm,
    workers,
)
from bench.effort import QUICK, THOROUGH, Effort
from bench.report.parts import PartMissingError
from bench.report.shown import collecting
from bench.report.writing import DOCS, Report
from bench.server import Postgres

BENCHMARKS: dict[str, Callable[[Postgres, Effort], Awaitable[None]]] = {
    "warm": warm.run,
    "denials": denials.run,
    "batch": batch.run,
    "stream": stream.run,
    "authenticator": authenticator.run,
    "sidecar": sidecar.run,
    "microseconds": microseconds.run,
    "misses": misses.run,
    "revocation": revocation.run,
    "replicas": replicas.run,
    "memory": memory.run,
    "growth": growth.run,
    "create-key": create_key.run,
    "import-keys": import_keys.run,
    "list-keys": list_keys.run,
    "console": console.run,
    "audit-event": audit_event.run,
    "audit-trail": audit_trail.run,
    "attacks": attacks.run,
    "workers": workers.run,
    "herd": herd.run,
    "flood": flood.run,
    "front": front.run,
    "connections": connections.run,
    "observing": observing.run,
    "flood-envoy": partial(flood.run, front="envoy"),
    "soak": soak.run,
}
ONLY_WHEN_NAMED = {"flood-envoy", "soak"}


async def measure(names: list[str], effort: Effort, report: Report | None) -> None:
    """Run the named benchmarks, one after another, on one PostgreSQL.

    Each is written into the report as soon as it has ended: what fails later takes nothing away.
    """
    began, taken = time.monotonic(), {}
    async with server.postgres() as postgres:
        circumstances = await environment.describe(postgres.dsn)
        print(circumstances, flush=True)
        for name in names:
            start = time.monotonic()
            with collecting() as shown:
                await BENCHMARKS[name](postgres, effort)
            taken[name] = time.monotonic() - start
            if report is not None:
                report.write(name, circumstances, shown)
    each = ", ".join(f"{name} {seconds:.0f}" for name, seconds in taken.items())
    print(f"\nMeasured in {time.monotonic() - began:.0f} s: {each}.")
    if report is not None:
        print(f"Written into {report.document}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which: {', '.join(BENCHMARKS)} (default: all but {', '.join(ONLY_WHEN_NAMED)})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke run: its figures mean nothing, and are written only where --into says",
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="the directory whose performance.md is written (default: docs)",
    )
    parser.add_argument("--keys", type=int, help="how many keys many are, for what depends on it")
    parser.add_argument("--calls", type=int, help="how many calls `soak` makes")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    effort = QUICK if given.quick else THOROUGH
    effort = replace(effort, many=given.keys or effort.many, soaked=given.calls or effort.soaked)
    names = given.names or [name for name in BENCHMARKS if name not in ONLY_WHEN_NAMED]
    into = given.into or (None if given.quick else DOCS)
    report = None if into is None else Report(into)
    if report is not None:
        try:
            report.check(names)
        except (PartMissingError, OSError) as error:
            parser.error(f"{report.document} cannot be written: {error}")
    uvloop.run(measure(names, effort, report))


if __name__ == "__main__":
    main()

"""`python -m bench`: measure, each figure beside its baseline."""

import argparse
import time
from collections.abc import Awaitable, Callable

import uvloop

from bench import (
    authenticate,
    breakdown,
    create_key,
    environment,
    import_keys,
    list_keys,
    look_up,
    server,
)
from bench.effort import QUICK, THOROUGH, Effort
from bench.server import Postgres

BENCHMARKS: dict[str, Callable[[Postgres, Effort], Awaitable[None]]] = {
    "authenticate": authenticate.run,
    "breakdown": breakdown.run,
    "look-up": look_up.run,
    "create-key": create_key.run,
    "import-keys": import_keys.run,
    "list-keys": list_keys.run,
}


async def measure(names: list[str], effort: Effort) -> None:
    """Run the named benchmarks, one after another, on one PostgreSQL."""
    began = time.monotonic()
    async with server.postgres() as postgres:
        print(await environment.describe(postgres.dsn), flush=True)
        for name in names:
            await BENCHMARKS[name](postgres, effort)
    print(f"\nMeasured in {time.monotonic() - began:.0f} s.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: its figures mean nothing"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    uvloop.run(measure(given.names or list(BENCHMARKS), QUICK if given.quick else THOROUGH))


if __name__ == "__main__":
    main()

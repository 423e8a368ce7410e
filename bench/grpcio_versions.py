"""The no-op echo, and `Authenticate`, under several versions of grpcio.

    python -m bench.grpcio_versions 1.78.2 1.85.3

For docs/decisions/0002-grpcio-version.md. Each version is installed from PyPI into a virtual
environment of its own, with this checkout, and thrown away. Measured are calls a second and their
latency, one at a time and 32 at a time: of the no-op, whose load generator runs under the same
version, as clients in Python do; and of `Authenticate` of what the server remembers, which h2load
loads from another core.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.hot_call import HotCall
from bench.keys import Admin, bearer
from bench.load import Summary
from bench.table import milliseconds, show

# About what `Authenticate` sends and receives.
REQUEST_BYTES = 71
REPLY_BYTES = 266
IN_FLIGHT = (1, 32)
_NO_OP, _AUTHENTICATE = "no-op", "Authenticate"
_CHECKOUT = Path(__file__).parents[1]
_BESIDE_GRPCIO = ("grpcio-health-checking", "grpcio-reflection", "grpcio-status")


@dataclass(frozen=True, slots=True)
class Installation:
    """A database, a token to ask for, and who asks."""

    dsn: str
    token: str
    caller: str


@dataclass(slots=True)
class Candidate:
    """A version, and what was seen of it by what was called and by number of calls in flight."""

    grpcio: str
    python: Path
    seen: dict[tuple[str, int], list[Summary]] = field(default_factory=dict)

    @classmethod
    def install(cls, grpcio: str, directory: Path) -> "Candidate":
        """Make a virtual environment with this version, and keywright."""
        home = directory / grpcio
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, home], check=True)
        python = home / "bin" / "python"
        minor = grpcio.rpartition(".")[0]  # what goes with it is not released as often
        packages = [f"grpcio=={grpcio}", *(f"{each}=={minor}.*" for each in _BESIDE_GRPCIO)]
        packages += [f"{each}=={version(each)}" for each in ("uvloop", "asyncpg")]
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, f"{_CHECKOUT}[server]", *packages], check=True)
        return cls(grpcio, python)

    async def measure(self, on: Installation, seconds: float) -> None:
        """One slice of load of each kind."""
        for in_flight in IN_FLIGHT:
            no_op = await asyncio.to_thread(self._no_op, in_flight, seconds)
            self.seen.setdefault((_NO_OP, in_flight), []).append(no_op)
        async with server.keywright(on.dsn, python=self.python, core=cores.SERVER) as at:
            body, caller = request(on.token), bearer(on.caller)
            call = HotCall(f"under {self.grpcio}", at, AUTHENTICATE, [body], caller)
            await call.load(max(IN_FLIGHT), min(1, seconds))
            for in_flight in IN_FLIGHT:
                seen = Summary.of([await call.load(in_flight, seconds)])
                self.seen.setdefault((_AUTHENTICATE, in_flight), []).append(seen)

    def _no_op(self, in_flight: int, seconds: float) -> Summary:
        with self._server() as address:
            load = [*self._echo("call"), address, "--request-bytes", str(REQUEST_BYTES)]
            load += ["--in-flight", str(in_flight), "--seconds", str(seconds)]
            done = subprocess.run(load, check=True, stdout=subprocess.PIPE)
            return Summary(**json.loads(done.stdout))

    @contextmanager
    def _server(self) -> Iterator[str]:
        argv = [*self._echo("serve"), "--reply-bytes", str(REPLY_BYTES)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as echo:
            assert echo.stdout is not None
            try:
                yield echo.stdout.readline().strip()
            finally:
                echo.terminate()

    def _echo(self, role: str) -> list[str]:
        return [str(self.python), "-m", "bench.echo", role]


async def measure(candidates: Sequence[Candidate], rounds: int, seconds: float) -> None:
    """Measure all in turn, on one PostgreSQL."""
    async with server.postgres() as postgres:
        dsn, admin_token = await postgres.database("grpcio_versions")
        async with server.keywright(dsn) as at:
            admin = Admin(at.channel, admin_token)
            (token,) = await admin.tokens(1)
            caller = await admin.key(await admin.service_user("sidecar", "authenticator"))
        on = Installation(dsn, token, caller)
        for _ in range(rounds):
            for candidate in candidates:
                await candidate.measure(on, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.grpcio_versions", description=__doc__)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="the first is the baseline")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each slice of load")
    given = parser.parse_args()
    # `uv` lies beside the interpreter of the development environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="keywright-grpcio-") as directory:
        candidates = [Candidate.install(each, Path(directory)) for each in given.versions]
        asyncio.run(measure(candidates, given.rounds, given.seconds))
    show(
        "A no-op under grpc.aio, and Authenticate, by version of grpcio",
        f"Medians of {given.rounds} rounds of {given.seconds:g} s, in which the versions take "
        f"turns. The no-op: requests of {REQUEST_BYTES} bytes, replies of {REPLY_BYTES}, from a "
        "client under the same version. Authenticate: warm, from h2load.",
        (
            "grpcio",
            "",
            "in flight",
            "calls/s",
            "lowest",
            "highest",
            "of baseline",
            "p50 ms",
            "p99 ms",
        ),
        [
            _row(each, candidates[0], what, in_flight)
            for what in (_NO_OP, _AUTHENTICATE)
            for in_flight in IN_FLIGHT
            for each in candidates
        ],
    )


def _row(candidate: Candidate, baseline: Candidate, what: str, in_flight: int) -> Sequence[str]:
    seen = candidate.seen[what, in_flight]
    rates = [each.rate for each in seen]
    base = statistics.median(each.rate for each in baseline.seen[what, in_flight])
    rate = statistics.median(rates)
    return (
        candidate.grpcio,
        what,
        str(in_flight),
        f"{rate:,.0f}",
        f"{min(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{rate / base:.2f}",
        milliseconds(statistics.median(each.p50 for each in seen)),
        milliseconds(statistics.median(each.p99 for each in seen)),
    )


if __name__ == "__main__":
    main()

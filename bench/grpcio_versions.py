"""The no-op echo under several versions of grpcio, for docs/decisions/0002-grpcio-version.md.

    python -m bench.grpcio_versions 1.78.2 1.85.1

Each version is installed from PyPI into a virtual environment of its own, which is thrown away.
Server and load generator are processes under the same version.
"""

import argparse
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

from bench.load import Summary
from bench.table import milliseconds, show

# About what `Authenticate` sends and receives.
REQUEST_BYTES = 71
REPLY_BYTES = 266
IN_FLIGHT = (1, 32)


@dataclass(slots=True)
class Candidate:
    """A version, and what was seen of it by number of calls in flight."""

    grpcio: str
    python: Path
    seen: dict[int, list[Summary]] = field(default_factory=lambda: {each: [] for each in IN_FLIGHT})

    @classmethod
    def install(cls, grpcio: str, directory: Path) -> "Candidate":
        """Make a virtual environment with this version."""
        home = directory / grpcio
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, home], check=True)
        python = home / "bin" / "python"
        packages = [f"grpcio=={grpcio}", f"uvloop=={version('uvloop')}"]
        subprocess.run(
            ["uv", "pip", "install", "--quiet", "--python", python, *packages], check=True
        )
        return cls(grpcio, python)

    def measure(self, seconds: float) -> None:
        """One slice of load for each number of calls in flight."""
        with self._server() as address:
            for in_flight, summaries in self.seen.items():
                load = [*self._echo("call"), address, "--request-bytes", str(REQUEST_BYTES)]
                load += ["--in-flight", str(in_flight), "--seconds", str(seconds)]
                done = subprocess.run(load, check=True, stdout=subprocess.PIPE)
                summaries.append(Summary(**json.loads(done.stdout)))

    @contextmanager
    def _server(self) -> Iterator[str]:
        argv = [*self._echo("serve"), "--reply-bytes", str(REPLY_BYTES)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                yield server.stdout.readline().strip()
            finally:
                server.terminate()

    def _echo(self, role: str) -> list[str]:
        return [str(self.python), "-m", "bench.echo", role]


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
        for _ in range(given.rounds):
            for candidate in candidates:
                candidate.measure(given.seconds)
    show(
        "A no-op under grpc.aio, by version of grpcio",
        f"Medians of {given.rounds} rounds of {given.seconds:g} s, in which the versions take "
        f"turns. Requests of {REQUEST_BYTES} bytes, replies of {REPLY_BYTES}.",
        ("grpcio", "in flight", "calls/s", "lowest", "highest", "of baseline", "p50 ms", "p99 ms"),
        [_row(each, candidates[0], in_flight) for in_flight in IN_FLIGHT for each in candidates],
    )


def _row(candidate: Candidate, baseline: Candidate, in_flight: int) -> Sequence[str]:
    seen = candidate.seen[in_flight]
    rates = [each.rate for each in seen]
    rate = statistics.median(rates)
    return (
        candidate.grpcio,
        str(in_flight),
        f"{rate:,.0f}",
        f"{min(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{rate / statistics.median(each.rate for each in baseline.seen[in_flight]):.2f}",
        milliseconds(statistics.median(each.p50 for each in seen)),
        milliseconds(statistics.median(each.p99 for each in seen)),
    )


if __name__ == "__main__":
    main()

"""Load from `h2load`, which is not the bottleneck (Debian's `nghttp2-client`).

It sends one prepared body over and over and sees HTTP only: an error of gRPC is HTTP 200 as well,
so whoever uses it has to look at the answers some other way (`bench.hot_call`).
"""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence

from bench import cores, program
from bench.load import Metadata, Slice

_STREAMS_PER_CONNECTION = 32
_MICROSECOND = 1e-6
_HTTP_OK = "200"
_PATIENCE = (1, 4, 16)


def is_installed() -> bool:
    """Whether there is a `h2load`."""
    return shutil.which("h2load") is not None


async def load(
    address: str,
    path: str,
    messages: Sequence[bytes],
    metadata: Metadata,
    *,
    in_flight: int,
    seconds: float,
    per_second: int | None = None,
    connections: int | None = None,
    core: int | None = cores.LOAD,
) -> Slice:
    """Keep so many calls under way, each with the same `messages`, over a connection for 32 each.

    Or over so many `connections`. `per_second` are begun at most, over each connection. `core` is
    the only one that it uses; None: whichever is free.

    Raises:
        RuntimeError: not every call was answered.
    """
    connections = connections or max(1, in_flight // _STREAMS_PER_CONNECTION)
    headers = {"content-type": "application/grpc", "te": "trailers", **dict(metadata)}
    with tempfile.NamedTemporaryFile(prefix="keywright-h2load-") as body:
        body.write(b"".join(map(_framed, messages)))
        body.flush()
        argv = [f"--clients={connections}", f"--data={body.name}"]
        argv += [f"--max-concurrent-streams={in_flight // connections}"]
        argv += [f"--header={key}: {value}" for key, value in headers.items()]
        argv += [f"--rps={per_second}"] if per_second else []
        return await _loaded([*argv, f"http://{address}{path}"], seconds, core)


async def get(
    address: str, target: str, headers: Metadata, *, in_flight: int, seconds: float
) -> Slice:
    """Keep so many GETs of HTTP/1.1 under way, each over a connection of its own.

    Raises:
        RuntimeError: not every one was answered with 200.
    """
    argv = ["--h1", f"--clients={in_flight}", "--max-concurrent-streams=1"]
    argv += [f"--header={name}: {value}" for name, value in headers]
    return await _loaded([*argv, f"http://{address}{target}"], seconds, cores.LOAD)


async def _loaded(argv: Sequence[str], seconds: float, core: int | None) -> Slice:
    with tempfile.NamedTemporaryFile("r", prefix="keywright-h2load-") as log:
        for patience in _PATIENCE:  # a machine may be too busy to answer even one call
            said = await _run([f"--log-file={log.name}", *argv], seconds * patience, core)
            if lines := log.read().splitlines():
                return _slice(lines, said)
        raise RuntimeError(f"no call was answered: {said}")


async def _run(argv: Sequence[str], seconds: float, core: int | None) -> str:
    with cores.only(core):
        process = program.start(
            "h2load",
            *argv,
            f"--duration={round(seconds * 1000)}ms",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    try:
        said = await process.output()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"h2load failed: {said}")
    return said


def _slice(lines: Sequence[str], said: str) -> Slice:
    """From lines of a beginning in microseconds since 1970, an HTTP status, and microseconds."""
    calls = [line.split("\t") for line in lines]
    if any(status != _HTTP_OK for _, status, *_ in calls):
        raise RuntimeError(f"not every call was answered: {said}")
    began = [int(begin) * _MICROSECOND for begin, *_ in calls]
    latencies = [int(elapsed) * _MICROSECOND for _, _, elapsed, *_ in calls]
    ended = max(map(sum, zip(began, latencies, strict=True)))
    return Slice(latencies, ended - min(began))


def _framed(message: bytes) -> bytes:
    """As gRPC sends it over HTTP/2: not compressed, the length, and the message."""
    return struct.pack(">?I", False, len(message)) + message

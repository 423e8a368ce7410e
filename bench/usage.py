"""What it costs a call that its key's usage is counted, beside the call itself."""

import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from bench import server
from bench.authenticate import authenticate_call, requests
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.load import in_turn, time_in_turn
from bench.server import Postgres
from bench.table import microseconds, show
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.decision import Asked, decide
from keywright.domain.errors import Reason
from keywright.domain.keys import parse_address

_NOTE = (
    "Counting happens in the process that answers, between the decision and the reply; writing "
    "what was counted does not, and is not in these figures. The calls go through gRPC, one at a "
    "time, and take turns; a count is the mean of many in a row, the median of several rows. The "
    "server asks no credential of its callers (`any`), so one key is counted a call."
)
_IN_A_ROW = 10_000
_ROWS = 15
_TARGET = 0.02


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, token = await postgres.database("usage")
    async with AsyncExitStack() as open_:
        at = await open_.enter_async_context(server.keywright(dsn, authenticate_callers="any"))
        authenticate = authenticate_call(at, [token])
        echo = await open_.enter_async_context(server.echo(len(await authenticate())))
        no_op = in_turn(echo.channel, ECHO, requests([token]))
        timings = await time_in_turn([no_op, authenticate], samples=effort.samples)
    base, whole = map(statistics.median, timings)
    counts = await _counting(dsn, token)
    show(
        "What counting costs",
        _NOTE,
        ("", "p50 us", "of Authenticate", "of a no-op"),
        [
            (name, microseconds(seconds), f"{seconds / whole:.2%}", f"{seconds / base:.2%}")
            for name, seconds in {
                "no-op through gRPC": base,
                "Authenticate through gRPC": whole,
                **counts,
            }.items()
        ],
    )
    most = max(counts.values()) / whole
    print(f"\nA count may take {_TARGET:.0%} of a call; it takes {most:.2%}.")


async def _counting(dsn: str, text: str) -> dict[str, float]:
    """Seconds that a count takes, by what is counted."""
    parts = await Parts.open(Config(), dsn)
    try:
        async with parts.database.reading() as reads:
            prefix = parts.token_format.parse(text).prefix
            seen = await reads.credentials.look_up([prefix])
    finally:
        await parts.close()
    credential = seen.found[prefix].credential
    principal, address = decide(credential, Asked(), seen.now), parse_address("192.0.2.1")
    usage, notices = parts.usage, parts.notices
    return {
        "- count one that is allowed": _mean(lambda: usage.allowed(principal, address)),
        "- count one that is denied": _mean(
            lambda: usage.denied(credential, Reason.PERMISSION_MISSING, seen.now)
        ),
        "- notice a revoked token": _mean(
            lambda: notices.token_denied(credential, Reason.KEY_REVOKED, seen.now, address)
        ),
    }


def _mean(count: Callable[[], None]) -> float:
    rows = []
    for _ in range(_ROWS):
        began = time.perf_counter()
        for _ in range(_IN_A_ROW):
            count()
        rows.append((time.perf_counter() - began) / _IN_A_ROW)
    return statistics.median(rows)

"""A herd: every server is restarted, and all keys that are in use are asked for at once.

Measured with many keys in the database, some of which are hot: they were used in this hour, as the
database knows. Two workers are started, and as soon as both serve, each hot key is presented once,
all at the same time, over many connections; then the same again, when they are remembered, which is
the baseline. It is done a second time with fewer calls in flight, after another restart. Errors are
counted by their status: who presents a good token is to get none, though it may have to wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from bench import http2, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import Metadata, quantile
from bench.loader import Loaded, give_secrets
from bench.server import Postgres
from bench.table import milliseconds, show

_WORKERS = 2
_CONNECTIONS = 128  # of which each may have 100 calls at a time (`max_concurrent_streams`)
_FEWER = 256
_USE = """
WITH hot AS (
    UPDATE keywright.key AS k SET last_used_time = now()
    FROM keywright.key_secret s
    WHERE s.key = k.id AND s.prefix = ANY($1::text[])
    RETURNING k.id, k.workspace, k.key_id
)
INSERT INTO keywright.key_usage (key, hour, outcome, count, workspace, key_id)
SELECT id, date_trunc('hour', now(), 'UTC'), 'ALLOWED', 1000, workspace, key_id FROM hot
"""


@dataclass(frozen=True, slots=True)
class Rush:
    """All hot keys, asked for with so many calls in flight."""

    name: str
    in_flight: int
    answers: http2.Answers
    database_cpu: float


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    loaded = await Loaded.shared(postgres, effort.many)
    tokens = await give_secrets(loaded.dsn, effort.hot)
    async with server.keywright(loaded.dsn) as at:
        admin = Admin(at.channel, loaded.admin_token)
        sidecar = bearer(await admin.key(await admin.service_user("herder", "authenticator")))
    connection = await asyncpg.connect(loaded.dsn)
    try:
        await connection.execute(_USE, [token[-61:-49] for token in tokens])
    finally:
        await connection.close()
    rushes: list[Rush] = []
    for in_flight in (effort.hot, min(_FEWER, effort.hot)):
        rushes += await _restarted(postgres, loaded, tokens, sidecar, in_flight)
    _table(rushes, loaded, effort)


async def _restarted(
    postgres: Postgres, loaded: Loaded, tokens: Sequence[str], caller: Metadata, in_flight: int
) -> Sequence[Rush]:
    messages = list(map(request, tokens))
    seen = []
    async with server.keywright(loaded.dsn, workers=str(_WORKERS)) as at:
        # A connection stays with its worker, so that only the last time is certainly warm.
        for name in ("after the restart", "again", "warm"):
            cpu = server.cpu_seconds(postgres.pid)
            answers = await http2.calls(
                at.address,
                AUTHENTICATE,
                messages,
                caller,
                in_flight=in_flight,
                connections=_CONNECTIONS,
            )
            cpu = server.cpu_seconds(postgres.pid) - cpu
            seen.append(Rush(f"{name}, {in_flight:,} at a time", in_flight, answers, cpu))
    return seen


def _table(rushes: Sequence[Rush], loaded: Loaded, effort: Effort) -> None:
    warm = {each.in_flight: each for each in rushes if each.name.startswith("warm")}

    def cells(rush: Rush) -> Sequence[str]:
        seen, base = rush.answers.slice, warm[rush.in_flight].answers.slice
        return (
            rush.name,
            f"{rush.answers.codes[0]:,}",
            http2.refusals(rush.answers.codes, rush.answers.said),
            f"{seen.seconds:.2f}",
            f"{seen.seconds / base.seconds:.2f}",
            milliseconds(quantile(seen.latencies, 0.5)),
            milliseconds(quantile(seen.latencies, 0.99)),
            f"{rush.database_cpu:.2f}",
        )

    show(
        "After a restart of all servers",
        f"{effort.hot:,} hot keys of {loaded.keys:,}, each presented once; {_WORKERS} workers, "
        f"{_CONNECTIONS} connections. *Again*: the same keys, some of which come to the other "
        "worker. The aim is no error. Workers, PostgreSQL and the generator share the cores.",
        (
            *("", "allowed", "errors", "all answered in s", "/ warm"),
            *("p50 ms", "p99 ms", "database CPU s"),
        ),
        list(map(cells, rushes)),
    )

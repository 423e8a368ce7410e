"""Where the time of one call that goes to the database is spent, step by step."""

import os
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench import server
from bench.authenticate import AUTHENTICATE, authenticate_call, requests
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.load import Call, in_turn, time_in_turn
from bench.server import Postgres
from bench.table import microseconds, show
from keywright.app import log
from keywright.app.composition import Parts
from keywright.app.config import Config
from keywright.domain.decision import Asked, decide
from keywright.domain.keys import parse_address
from keywright.security.hashing import verify_secret
from keywright.storage.credentials import BY_PREFIX, CredentialReader
from keywright.wire.interceptors import chain
from keywright.wire.methods import methods
from keywright.wire.rpc import Backend, Rpc, Services, Settings

_NOTE = (
    "One call at a time. The server asks no credential of its callers (`any`): one look-up, and a "
    "secret that was proven before. The first line and the whole go through gRPC; the steps "
    "between them run in the benchmark's own process, and all take turns. A line with a dash is "
    "part of the nearest line above it that has one dash less."
)


_WHOLE = "Authenticate through gRPC"


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, token = await postgres.database("breakdown")
    body = requests([token])[0]
    async with AsyncExitStack() as open_:
        at = await open_.enter_async_context(server.keywright(dsn, authenticate_callers="any"))
        whole = authenticate_call(at, [token])
        echo = await open_.enter_async_context(server.echo(len(await whole())))
        steps, once = await open_.enter_async_context(_in_process(dsn, token))
        steps = {
            "no-op through gRPC": in_turn(echo.channel, ECHO, [body]),
            **steps,
            _WHOLE: whole,
            **once,
        }
        timings = await time_in_turn(list(steps.values()), samples=effort.samples)
    medians = [statistics.median(times) for times in timings]
    all_of_it = medians[list(steps).index(_WHOLE)]
    show(
        "Where the time of a call goes",
        _NOTE,
        ("", "p50 us", "of the whole"),
        [
            (name, microseconds(median), f"{median / all_of_it:.1%}")
            for name, median in zip(steps, medians, strict=True)
        ],
    )


@asynccontextmanager
async def _in_process(
    dsn: str, text: str
) -> AsyncIterator[tuple[dict[str, Call], dict[str, Call]]]:
    """The steps on the server's side, by name, on the parts that a server has.

    And those that a server takes once for each token.
    """
    parts = await Parts.open(Config(), dsn)
    try:
        async with parts.database.reading() as reads:
            services = parts.services(await reads.installation.signing_key())
        async with parts.database.pool.acquire() as connection:
            credentials = CredentialReader(connection)
            token = parts.token_format.parse(text)
            seen = await credentials.look_up([token.prefix])
            found = seen.found[token.prefix]

            async def parse() -> None:
                parts.token_format.parse(text)

            async def take_a_connection() -> None:
                async with parts.database.reading():
                    pass

            async def verify_inline() -> None:
                verify_secret(found.hashed.phc, token.secret)

            async def decide_alone() -> None:
                decide(found.credential, Asked(), seen.now)

            steps = {
                "interceptors, handler and use case": _call_of_interceptors(services, text),
                "- use case": lambda: services.authenticate(text, Asked()),
                "-- parse": parse,
                "-- take and give back a connection": take_a_connection,
                "-- look up": lambda: credentials.look_up([token.prefix]),
                "--- query": lambda: connection.fetch(BY_PREFIX, [token.prefix]),
                "---- a query for nothing": lambda: connection.fetch("SELECT"),
                "-- prove, as before": lambda: parts.hasher.verify(token.secret, found.hashed),
                "-- decide": decide_alone,
            }
            yield (
                steps,
                {
                    "once a token: prove, in the pool": lambda: parts.hasher.pool.verify(
                        found.hashed.phc, token.secret
                    ),
                    "- Argon2": verify_inline,
                },
            )
    finally:
        await parts.close()


def _call_of_interceptors(services: Services, text: str) -> Call:
    """What the transport calls with a request, which is logged as in a server."""
    log.configure("info", "json", Path(os.devnull).open("w"))  # noqa: SIM115  open to the end
    backend = Backend(Settings(authenticate_callers="any"), services)
    method = next(each for each in methods() if each.path == AUTHENTICATE)
    proceed = chain(method)
    body = requests([text])[0]

    async def call() -> None:
        rpc = Rpc(
            backend=backend,
            method=method,
            metadata=(),
            peer=parse_address("127.0.0.1"),
            certified=False,
            time_remaining=lambda: None,
            body=body,
        )
        (await proceed(rpc)).SerializeToString()

    return call

"""Where the time of one cold call goes, step by step."""

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
    "One call at a time. The server asks no credential of its callers (`any`): one look-up, one "
    "verify. The first and the last line go through gRPC; the steps between them run in the "
    "benchmark's own process, and all take turns. A line with a dash is part of the nearest line "
    "above it that has one dash less."
)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, token = await postgres.database("breakdown")
    body = requests([token])[0]
    async with AsyncExitStack() as open_:
        at = await open_.enter_async_context(server.keywright(dsn, authenticate_callers="any"))
        whole = authenticate_call(at, [token])
        echo = await open_.enter_async_context(server.echo(len(await whole())))
        steps = await open_.enter_async_context(_in_process(dsn, token))
        steps = {
            "no-op through gRPC": in_turn(echo.channel, ECHO, [body]),
            **steps,
            "Authenticate through gRPC": whole,
        }
        timings = await time_in_turn(list(steps.values()), samples=effort.samples)
    medians = [statistics.median(times) for times in timings]
    show(
        "Where the time of a cold call goes",
        _NOTE,
        ("", "p50 us", "of the whole"),
        [
            (name, microseconds(median), f"{median / medians[-1]:.1%}")
            for name, median in zip(steps, medians, strict=True)
        ],
    )


@asynccontextmanager
async def _in_process(dsn: str, text: str) -> AsyncIterator[dict[str, Call]]:
    """The steps on the server's side, by name, on the parts that a server has."""
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

            yield {
                "interceptors, handler and use case": _call_of_interceptors(services, text),
                "- use case": lambda: services.authenticate(text, Asked()),
                "-- parse": parse,
                "-- take and give back a connection": take_a_connection,
                "-- look up": lambda: credentials.look_up([token.prefix]),
                "--- query": lambda: connection.fetch(BY_PREFIX, [token.prefix]),
                "---- a query for nothing": lambda: connection.fetch("SELECT"),
                "-- verify, in the pool": lambda: parts.hasher.verify(token.secret, found.hashed),
                "--- Argon2": verify_inline,
                "-- decide": decide_alone,
            }
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

"""`BatchAuthenticate` of what the server remembers, beside as many calls of `Authenticate`."""

import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc

from bench import cores, plot, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall, Row, how_loaded, take_turns
from bench.keys import Admin, bearer
from bench.load import Summary
from bench.loader import load_tokens
from bench.server import Postgres
from bench.table import microseconds, milliseconds, show
from keywright.v1 import auth_service_pb2 as pb

_BATCH = "/keywright.v1.AuthService/BatchAuthenticate"
_SIZES = (100, 1000)
_IN_FLIGHT = 4  # enough that the server never waits for the next one
_BESIDE = 64


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("batch")
    tokens = await load_tokens(dsn, min(max(_SIZES), effort.cached))
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        one = HotCall("Authenticate", at, AUTHENTICATE, [request(tokens[0])], sidecar)
        rows = [Row(one, _BESIDE)]
        for size in _SIZES:
            asked = list(itertools.islice(itertools.cycle(tokens), size))
            call = HotCall(f"batch of {size:,}", at, _BATCH, [_batch(asked)], sidecar)
            answer = await call.answer()
            if answer.code is grpc.StatusCode.UNIMPLEMENTED:
                print("\nBatchAuthenticate is not implemented.")
                return
            results = pb.BatchAuthenticateResponse.FromString(answer.replies[0]).results
            assert all(each.HasField("allowed") for each in results), "all of them stand"
            assert len(results) == size, "one for each"
            rows.append(Row(call, _IN_FLIGHT, weight=size))
        await take_turns(rows, effort)
    show(
        "BatchAuthenticate, warm",
        f"{len(tokens):,} keys, each in use. {how_loaded()}",
        ("", "in flight", "tokens/s", "of single ones", "p50 ms", "p99 ms", "CPU us/token"),
        [_cells(row, rows[0]) for row in rows],
    )
    plot.bars(
        "batch-cpu",
        "BatchAuthenticate, warm: what a token costs the server",
        "processor time, us/token",
        {row.call.name: row.cpu_each * 1e6 for row in rows},
    )


def _batch(tokens: Sequence[str]) -> bytes:
    requests = [pb.AuthenticateRequest(token=token) for token in tokens]
    return pb.BatchAuthenticateRequest(requests=requests).SerializeToString()


def _cells(row: Row, base: Row) -> Sequence[str]:
    seen = Summary.of(row.slices)
    return (
        row.call.name,
        str(row.in_flight),
        f"{row.rate:,.0f}",
        f"{row.rate / base.rate:.1f}",
        milliseconds(seen.p50),
        milliseconds(seen.p99),
        microseconds(row.cpu_each),
    )

"""`--front envoy` beside `--front grpc`, and each beside a no-op of its own."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.hot_call import HotCall, Row, compare, how_loaded, take_turns
from bench.keys import Admin, bearer
from bench.load import Metadata, Summary
from bench.loader import load_tokens
from bench.server import Postgres, Server
from bench.table import microseconds, milliseconds, show
from keywright.v1 import auth_service_pb2 as pb

_BATCH = "/keywright.v1.AuthService/BatchAuthenticate"
_BATCH_SIZE = 100
_BATCHES = 4  # in flight: enough that the server never waits for the next one
_MANY = 64
_FRONTS = ("grpc", "envoy")


async def run(postgres: Postgres, effort: Effort) -> None:
    """Show the tables."""
    dsn, admin_token = await postgres.database("front")
    tokens = await load_tokens(dsn, _BATCH_SIZE)
    async with AsyncExitStack() as running:
        at = {
            front: await running.enter_async_context(
                server.keywright(dsn, core=cores.SERVER, front=front)
            )
            for front in _FRONTS
        }
        admin = Admin(at["grpc"].channel, admin_token)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        calls = await _calls(running, at, request(tokens[0]), sidecar)
        rows = await _authenticate(calls, effort)
        await _half_loaded(calls, rows, effort)
        await _batches(at, tokens, sidecar, effort)


@dataclass(frozen=True, slots=True)
class _Calls:
    """Authenticate by each front, and what does nothing there."""

    grpc_no_op: HotCall
    grpc: HotCall
    envoy_no_op: HotCall
    envoy: HotCall


async def _calls(
    running: AsyncExitStack, at: Mapping[str, Server], body: bytes, sidecar: Metadata
) -> _Calls:
    grpc, envoy = (
        HotCall(f"Authenticate, {front}", at[front], AUTHENTICATE, [body], sidecar)
        for front in _FRONTS
    )
    (reply,) = (await grpc.answer()).replies
    of_grpc = await running.enter_async_context(server.echo(len(reply), core=cores.SERVER))
    of_envoy = await running.enter_async_context(server.front_no_op(len(reply), core=cores.SERVER))
    return _Calls(
        HotCall("no-op, grpc", of_grpc, ECHO, [body], sidecar),
        grpc,
        HotCall("no-op, envoy", of_envoy, AUTHENTICATE, [body], sidecar),
        envoy,
    )


async def _authenticate(calls: _Calls, effort: Effort) -> Sequence[Row]:
    return await compare(
        "Authenticate, warm, by each front",
        "Another's token, as shipped. `no-op, grpc` is a method of grpc.aio that does nothing, "
        "`no-op, envoy` an ASGI application that does nothing in the same Envoy. 64 in flight are "
        "two connections of 32.",
        [(calls.grpc_no_op, [calls.grpc, calls.envoy_no_op, calls.envoy])],
        effort,
    )


async def _half_loaded(calls: _Calls, rows: Sequence[Row], effort: Effort) -> None:
    """Show how long calls take at half of the rate that each front has at most."""
    halves = []
    for call in (calls.grpc_no_op, calls.grpc, calls.envoy):
        most = max(row.rate for row in rows if row.call is call)
        # h2load counts by connection, of which there are two.
        halves.append(Row(replace(call, per_second=round(most / 4)), _MANY))
    await take_turns(halves, effort)
    summaries = [Summary.of(row.slices) for row in halves]
    show(
        "Authenticate at half of each front's rate",
        f"Over two connections. {how_loaded()}",
        ("", "calls/s", "p50 ms", "p99 ms", "server CPU us/call"),
        [
            (
                row.call.name,
                f"{seen.rate:,.0f}",
                milliseconds(seen.p50),
                milliseconds(seen.p99),
                microseconds(row.cpu_each),
            )
            for row, seen in zip(halves, summaries, strict=True)
        ],
    )


async def _batches(
    at: Mapping[str, Server], tokens: Sequence[str], sidecar: Metadata, effort: Effort
) -> None:
    requests = [pb.AuthenticateRequest(token=token) for token in tokens]
    body = pb.BatchAuthenticateRequest(requests=requests).SerializeToString()
    rows = [
        Row(HotCall(front, at[front], _BATCH, [body], sidecar), _BATCHES, weight=len(tokens))
        for front in _FRONTS
    ]
    await take_turns(rows, effort)
    show(
        f"BatchAuthenticate of {len(tokens)}, warm, by each front",
        how_loaded(),
        ("", "in flight", "tokens/s", "p50 ms", "p99 ms", "server CPU us/token"),
        [_of_batch(row) for row in rows],
    )


def _of_batch(row: Row) -> Sequence[str]:
    seen = Summary.of(row.slices)
    return (
        row.call.name,
        str(row.in_flight),
        f"{row.rate:,.0f}",
        milliseconds(seen.p50),
        milliseconds(seen.p99),
        microseconds(row.cpu_each),
    )

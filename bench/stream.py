"""`AuthenticateStream` of what the server remembers, beside single calls."""

from contextlib import AsyncExitStack

import grpc

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall, Row, how_loaded, take_turns
from bench.keys import Admin, bearer
from bench.server import Postgres
from bench.table import microseconds, show
from keywright.v1 import auth_service_pb2 as pb

_STREAM = "/keywright.v1.AuthService/AuthenticateStream"
_ITEMS = 250  # few enough that the ones cut off at the end of a slice do not count
_STREAMS = (1, 4)
_BESIDE = 64


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("stream")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        (token,) = await admin.tokens(1)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        one = HotCall("Authenticate", at, AUTHENTICATE, [request(token)], sidecar)
        item = pb.AuthenticateStreamRequest(request=pb.AuthenticateRequest(token=token))
        items = [item.SerializeToString()] * _ITEMS
        call = HotCall("AuthenticateStream", at, _STREAM, items, sidecar)
        answer = await call.answer()
        if answer.code is grpc.StatusCode.UNIMPLEMENTED:
            print("\nAuthenticateStream is not implemented.")
            return
        results = map(pb.AuthenticateStreamResponse.FromString, answer.replies)
        assert all(each.result.HasField("allowed") for each in results), "the key stands"
        base = Row(one, _BESIDE)
        rows = [base, *(Row(call, streams, weight=_ITEMS) for streams in _STREAMS)]
        await take_turns(rows, effort)
    show(
        "AuthenticateStream, warm, beside single calls",
        f"Streams of {_ITEMS:,} requests, which are sent without waiting for results. "
        f"{how_loaded()}",
        ("", "in flight", "tokens/s", "of single ones", "CPU us/token"),
        [
            (
                row.call.name,
                str(row.in_flight),
                f"{row.rate:,.0f}",
                f"{row.rate / base.rate:.1f}",
                microseconds(row.cpu_each),
            )
            for row in rows
        ],
    )

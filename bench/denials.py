"""Denials of `Authenticate`, beside a method that does nothing but end with such an error."""

import os
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc

from bench import cores, plot, server
from bench.authenticate import AUTHENTICATE, request
from bench.echo import DENY
from bench.effort import Effort
from bench.hot_call import HotCall, by_in_flight, compare
from bench.keys import Admin, bearer
from bench.server import Postgres
from keywright.domain.token import TokenFormat

_FORMAT = TokenFormat()


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("denials")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn, core=cores.SERVER))
        no_op = await running.enter_async_context(server.echo(0, core=cores.SERVER))
        admin = Admin(at.channel, admin_token)
        known, revoked = await admin.tokens(2)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        await HotCall("a key", at, AUTHENTICATE, [request(known)], sidecar).check()
        await admin.revoke(await admin.name_of(revoked))
        invented = _FORMAT.mint("live", os.urandom)
        wrong = replace(invented, prefix=_FORMAT.parse(known).prefix)
        presented = {
            "unknown token": _FORMAT.render(invented).reveal(),
            "wrong secret": _FORMAT.render(wrong).reveal(),
            "revoked key": revoked,
        }
        groups: dict[str, tuple[HotCall, list[HotCall]]] = {}
        for name, token in presented.items():
            body, code = request(token), grpc.StatusCode.UNAUTHENTICATED
            denied = HotCall(name, at, AUTHENTICATE, [body], sidecar, code)
            answer = await denied.answer()
            message_bytes, details_bytes = len(answer.message.encode()), len(answer.details)
            path = f"{DENY}{message_bytes}/{details_bytes}"
            title = f"no-op error, {details_bytes} bytes of details"
            base = HotCall(title, no_op, path, [body], sidecar, code)
            groups.setdefault(path, (base, []))[1].append(denied)
        rows = await compare(
            "Denials, beside a no-op that ends with an error",
            "As shipped; each denial below the no-op with the same text and as many details. The "
            "same token again and again.",
            list(groups.values()),
            effort,
        )
        plot.bars(
            "denials-cpu",
            "Denials, beside no-ops with as long an error: what a call costs the server",
            "processor time, us/call",
            by_in_flight(rows, lambda row: row.cpu_each * 1e6),
        )

"""The sidecar beside no-ops, Envoy with it beside Envoy alone, and revocations through Envoy.

What is asked is as the proxies ask it, and as they do with the configurations that are shipped.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc.aio

from bench import cores, server
from bench.authenticate import AUTHENTICATE
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.envoy import envoy
from bench.hot_call import HotCall, Row, compare, how_loaded, take_turns
from bench.hot_get import HotGet
from bench.keys import Admin, bearer
from bench.load import Metadata, Summary
from bench.revocation import spread
from bench.server import Postgres, Process, Sidecar
from bench.table import milliseconds, show
from keywright.sidecar.envoy_api.envoy.service.auth.v3.external_auth_pb2 import (
    CheckResponse,
    OkHttpResponse,
)
from tests.support.proxies import DEPLOY

_SERVICE = "envoy.service.auth.v3.Authorization"
_CHECK = f"/{_SERVICE}/Check"
_TARGET = "/projects/abc/files?page=2"
_CLIENT = "192.0.2.7"
_SENT = (("user-agent", "python-httpx/0.28.1"), ("accept", "*/*"), ("accept-encoding", "gzip"))
_AIM = 0.85
_IN_FLIGHT = 64
_THROUGH_ENVOY = (1, 16)
_SIDECARS = 2
_REVOKED_AIM_SECONDS = 0.060
_PAUSE_SECONDS = 0.001
_LEAD_SECONDS = (0.01, 0.05)  # that a key is asked for before it is revoked


async def run(postgres: Postgres, effort: Effort) -> None:
    """Show the tables."""
    dsn, admin_token = await postgres.database("sidecar")
    async with AsyncExitStack() as running:
        at = await running.enter_async_context(server.keywright(dsn))
        admin = Admin(at.channel, admin_token)
        (token,) = await admin.tokens(1)
        own = await admin.key(await admin.service_user("sidecar", "authenticator"))
        sidecars = [
            await running.enter_async_context(_sidecar(at.address, own)) for _ in range(_SIDECARS)
        ]
        by_envoy = await running.enter_async_context(_sidecar(at.address, own, "envoy"))
        # Others use the machine by fits and starts: more turns, of less time.
        shorter = replace(effort, slice_seconds=effort.slice_seconds / 2)
        often = replace(shorter, rounds=2 * effort.rounds)
        await _check(sidecars[0], by_envoy, token, often)
        await _forward_authentication(sidecars[0], by_envoy, token, often)
        await _through_envoy(sidecars[0], by_envoy, token, shorter)
        await _revocations(sidecars, admin, effort)


@asynccontextmanager
async def _sidecar(uri: str, api_key: str, front: str = "grpc") -> AsyncIterator[Sidecar]:
    """One for Envoy and for nginx, on any free ports."""
    listen = '\n[listen]\nhttp = "127.0.0.1:0"\nenvoy = "127.0.0.1:0"\n'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        shipped = (DEPLOY / "nginx" / "sidecar.toml").read_text()
        config.write(f'front = "{front}"\n{shipped}{listen}')
        config.flush()
        async with server.sidecar(Path(config.name), uri, api_key, core=cores.SERVER) as started:
            yield started


async def _check(sidecar: Sidecar, by_envoy: Sidecar, token: str, effort: Effort) -> None:
    asked = await _check_of_envoy(token)
    call = HotCall("Check, grpc", sidecar.envoy, _CHECK, [asked])
    the_same = HotCall("Check, envoy", by_envoy.envoy, _CHECK, [asked])
    (reply,) = (await call.answer()).replies
    async with (
        server.echo(len(reply), core=cores.SERVER) as no_op,
        server.front_no_op(len(reply), core=cores.SERVER) as envoy_no_op,
    ):
        await compare(
            "Check by each front, beside no-ops",
            f"A key that the sidecar remembers. Requests of {len(asked)} bytes, replies of "
            f"{len(reply)}; the access log has every one, as by default. The aim is {_AIM} of the "
            "no-op's calls/s. `no-op, grpc` is a method of grpc.aio that does nothing, `no-op, "
            "envoy` an ASGI application that does nothing inside an Envoy.",
            [
                (
                    HotCall("no-op, grpc", no_op, ECHO, [asked]),
                    [call, HotCall("no-op, envoy", envoy_no_op, AUTHENTICATE, [asked]), the_same],
                )
            ],
            effort,
            [1, _IN_FLIGHT],
        )


async def _check_of_envoy(token: str) -> bytes:
    """The message that Envoy asks with."""
    asked: list[bytes] = []
    allowed = CheckResponse(ok_response=OkHttpResponse()).SerializeToString()

    async def answer(message: bytes, _context: object) -> bytes:
        asked.append(message)
        return allowed

    recorder = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    recorder.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {"Check": handler}),)
    )
    port = recorder.add_insecure_port("127.0.0.1:0")
    await recorder.start()
    try:
        async with envoy(f"127.0.0.1:{port}") as at:
            with closing(HotGet("Envoy", at, _TARGET, (*_SENT, *bearer(token)))) as call:
                await call.check()
    finally:
        await recorder.stop(None)
    return asked[-1]


async def _forward_authentication(
    sidecar: Sidecar, by_envoy: Sidecar, token: str, effort: Effort
) -> None:
    # As nginx does with `deploy/nginx`.
    headers: Metadata = (
        *(("x-original-method", "GET"), ("x-original-uri", _TARGET), ("x-forwarded-for", _CLIENT)),
        *(*_SENT, *bearer(token)),
    )
    async with AsyncExitStack() as running:

        def get(name: str, of: Process) -> HotGet:
            return running.enter_context(closing(HotGet(name, of, "/authorize", headers)))

        call = get("forward authentication", sidecar.http)
        beside = get("the same, beside --front envoy", by_envoy.http)
        _, told = await call.answer()
        identity = [each for each in told if each[0].startswith("x-keywright-")]
        no_ops = {
            name: await running.enter_async_context(server.http_no_op(sent, core=cores.SERVER))
            for name, sent in (("no-op", identity), ("no-op without headers", []))
        }
        same, without = (get(name, of) for name, of in no_ops.items())
        await compare(
            "Forward authentication, beside a no-op on the same HTTP server",
            f"The same requests, as of nginx, over {_IN_FLIGHT} connections. The no-op answers "
            f"with the same {len(identity)} headers; the other one with none but those of every "
            f"answer. The access log has every request, as by default. The aim is {_AIM}.",
            [(same, [call, beside, without])],
            effort,
            [_IN_FLIGHT],
        )


async def _through_envoy(sidecar: Sidecar, by_envoy: Sidecar, token: str, effort: Effort) -> None:
    async with (
        envoy() as alone,
        envoy(sidecar.envoy.address) as asking,
        envoy(by_envoy.envoy.address) as asking_envoy,
    ):
        kinds = (
            ("Envoy", alone),
            ("Envoy and sidecar", asking),
            ("Envoy and sidecar by envoy", asking_envoy),
        )
        rows = []
        for in_flight in _THROUGH_ENVOY:
            for name, at in kinds:
                call = HotGet(name, at, _TARGET, (*_SENT, *bearer(token)))
                rows.append(Row(call, in_flight))
        await take_turns(rows, effort)
    seen = [Summary.of(row.slices) for row in rows]
    alone_beside = [seen[index - index % len(kinds)] for index in range(len(seen))]
    show(
        "Through Envoy",
        "With the configuration that is shipped (`deploy/envoy`), but that Envoy answers by itself "
        f"what it lets through. One thread of Envoy shares core {cores.LOAD} with the load. "
        f"{how_loaded()}",
        ("", "in flight", "requests/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms"),
        [
            (
                row.call.name,
                str(row.in_flight),
                f"{each.rate:,.0f}",
                milliseconds(each.p50),
                milliseconds(each.p99),
                milliseconds(each.p50 - base.p50),
                milliseconds(each.p99 - base.p99),
            )
            for row, each, base in zip(rows, seen, alone_beside, strict=True)
        ],
    )


@dataclass(slots=True)
class _Revoked:
    """What was seen of revocations.

    Attributes:
        took: seconds of each call.
        denied_after: seconds from its beginning until every Envoy had denied the key.
        denied_since: the same from its end; less than nothing if that was before.
        allowed_later: how many requests were let through that began after it had returned.
    """

    took: list[float] = field(default_factory=list)
    denied_after: list[float] = field(default_factory=list)
    denied_since: list[float] = field(default_factory=list)
    allowed_later: int = 0


async def _revocations(sidecars: Sequence[Sidecar], admin: Admin, effort: Effort) -> None:
    member = await admin.service_user("revoked", "member")
    seen = _Revoked()
    async with AsyncExitStack() as running:
        envoys = [await running.enter_async_context(envoy(each.envoy.address)) for each in sidecars]
        for _ in range(effort.revoked):
            await _revoke(await admin.key(member), envoys, admin, seen)
    show(
        f"RevokeKey, until {len(envoys)} Envoys deny, each with a sidecar of its own",
        f"{effort.revoked} keys, one after the other. Each Envoy is asked about the key at hand, "
        "again and again, and what counts is the later one's first denial. Less than nothing: "
        f"before RevokeKey had returned. The aim is a p99 of {milliseconds(_REVOKED_AIM_SECONDS)} "
        "ms. The server, PostgreSQL, sidecars, Envoys and load share the cores.",
        ("", "p50 ms", "p99 ms", "most ms", "let through after the reply"),
        [
            ("RevokeKey", *spread(seen.took), ""),
            ("from its sending to the denial", *spread(seen.denied_after), ""),
            ("from its return to the denial", *spread(seen.denied_since), str(seen.allowed_later)),
        ],
    )


async def _revoke(token: str, envoys: Sequence[Process], admin: Admin, seen: _Revoked) -> None:
    key = await admin.name_of(token)
    with ExitStack() as connections:
        asked = [
            connections.enter_context(closing(HotGet("Envoy", at, _TARGET, bearer(token))))
            for at in envoys
        ]
        await asyncio.gather(*(each.check() for each in asked))
        asking = [asyncio.create_task(_ask(each)) for each in asked]
        await asyncio.sleep(random.uniform(*_LEAD_SECONDS))
        began = time.perf_counter()
        await admin.revoke(key)
        ended = time.perf_counter()
        answers = await asyncio.gather(*asking)
    denied = max(denied_at for denied_at, _ in answers)
    seen.took.append(ended - began)
    seen.denied_after.append(denied - began)
    seen.denied_since.append(denied - ended)
    seen.allowed_later += sum(each > ended for _, allowed in answers for each in allowed)


async def _ask(asked: HotGet) -> tuple[float, list[float]]:
    """Ask until it is denied: when that was, and when those began that were let through.

    Raises:
        RuntimeError: it is answered anything else.
    """
    allowed: list[float] = []
    while True:
        began = time.perf_counter()
        status = await asked.status()
        if status == HTTPStatus.UNAUTHORIZED:
            return time.perf_counter(), allowed
        if status != HTTPStatus.OK:
            raise RuntimeError(f"{asked.name}: {status}")
        allowed.append(began)
        await asyncio.sleep(_PAUSE_SECONDS)

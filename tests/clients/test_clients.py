"""Clients of other makes and languages, generated from the contract, find it kept on the wire.

Every case is asked by each of the programs in `programs`: grpcio's blocking and asynchronous
stubs, grpc-go and grpc-js.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from grpc import StatusCode

from keywright.domain.token import TokenFormat
from tests.clients.cases import (
    ADMIN,
    AUTHENTICATE,
    CASES,
    HEALTH_WATCH,
    NARROW,
    REFLECTION,
    STREAM,
    WATCH,
    WORDS,
    Case,
    covers,
)
from tests.clients.client import Client
from tests.clients.conftest import OPEN_AT_ONCE
from tests.clients.fronts import Front
from tests.support.service import Service
from tests.support.waiting import call_logged, locked_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # the first builds the programs

FORMAT = TokenFormat("kw")
AT_ONCE = 4 * OPEN_AT_ONCE


@pytest.fixture(scope="module", name="tokens")
async def _tokens(service: Service) -> dict[str, str]:
    narrow = await service.admin.create_key(scopes=["projects.read"])
    revoked = await service.admin.create_key()
    await service.admin.revoke_key(revoked.key.name)
    return {"admin": service.admin_token, "narrow": narrow.token, "revoked": revoked.token}


def filled(request: Mapping[str, Any], tokens: Mapping[str, str]) -> Any:
    """The request, with the tokens that it names."""
    text = json.dumps(request)
    for name, token in tokens.items():
        text = text.replace(f"<{name}>", token)
    return json.loads(text)


def unknown(token: str) -> str:
    """A token that has to be looked up, and is not found."""
    return FORMAT.render(replace(FORMAT.parse(token), prefix="000000000000")).reveal()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_client_gets_what_the_contract_says(
    client: Client, tokens: dict[str, str], case: Case
) -> None:
    requests = [filled(each, tokens) for each in case.requests]
    ended = await client.call(case.path, *requests, **{"token": tokens["admin"], **case.given})
    assert ended.code is case.code, ended
    assert covers(ended.replies, list(case.replies))
    for expected in case.details:
        assert any(covers(found, expected) for found in ended.details), ended.details
    assert {*case.trailers} <= {tuple(each) for each in ended.trailers}
    if case.code is StatusCode.NOT_FOUND and case.details:
        assert WORDS in ended.message


async def test_a_compressed_request_is_read_or_the_client_told_that_it_may_not_be(
    client: Client, front: Front, tokens: dict[str, str]
) -> None:
    ended = await client.call(AUTHENTICATE, {"token": "x" * 1000}, token=tokens["admin"], gzip=True)
    assert ended.code is front.gzip
    assert ("gzip" in ended.message) == (front.gzip is StatusCode.UNIMPLEMENTED)


async def test_calls_over_one_connection_are_each_given_their_own_answer(
    client: Client, front: Front, tokens: dict[str, str]
) -> None:
    """Many more than a connection may have open, which the clients know, and hold back."""

    async def one(number: int) -> bool:
        whose, given = ("admin", "narrow", "revoked")[number % 3], f"one-of-many-{number}"
        request = {"token": tokens[whose]}
        identity = [("x-request-id", given)]
        ended = await client.call(AUTHENTICATE, request, token=tokens["admin"], metadata=identity)
        while front.refuses_some and ended.code is StatusCode.UNAVAILABLE:
            ended = await client.call(
                AUTHENTICATE, request, token=tokens["admin"], metadata=identity
            )
        assert ["x-request-id", given] in ended.trailers, ended
        return {
            "admin": covers(ended.replies, [ADMIN]),
            "narrow": covers(ended.replies, [NARROW]),
            "revoked": ended.code is StatusCode.UNAUTHENTICATED,
        }[whose]

    assert all(await asyncio.gather(*map(one, range(AT_ONCE))))


async def test_a_call_that_is_cancelled_ends_at_the_server_too(
    client: Client, service: Service, tokens: dict[str, str]
) -> None:
    request_id = f"cancelled-{uuid4().hex}"
    async with locked_table(service.dsn, "keywright.key_secret") as table:
        call = await client.begin(
            AUTHENTICATE,
            {"token": unknown(tokens["admin"])},
            token=tokens["admin"],
            metadata=[("x-request-id", request_id)],
        )
        await table.waited_for()
        await call.cancel()
        assert (await call.end()).code is StatusCode.CANCELLED
        assert (await call_logged(service.process, request_id))["code"] == "CANCELLED"


async def test_a_call_ends_at_its_deadline_on_both_sides(
    client: Client, service: Service, tokens: dict[str, str]
) -> None:
    request_id = f"late-{uuid4().hex}"
    async with locked_table(service.dsn, "keywright.key_secret"):
        ended = await client.call(
            AUTHENTICATE,
            {"token": unknown(tokens["admin"])},
            token=tokens["admin"],
            metadata=[("x-request-id", request_id)],
            deadline=1,
        )
        assert ended.code is StatusCode.DEADLINE_EXCEEDED
        logged = await call_logged(service.process, request_id)
        # Whichever of the two comes first: its own clock, or word from a client that gave up.
        assert logged["code"] in {"DEADLINE_EXCEEDED", "CANCELLED"}


STREAMS = {
    "answers": (STREAM, {"request": {"token": "<admin>"}}, {"result": {"allowed": ADMIN}}),
    "a watch": (WATCH, {"serial": 1}, {"serial": 1}),
    "health": (HEALTH_WATCH, {}, {"status": "SERVING"}),
    "reflection": (REFLECTION, {"listServices": ""}, {"listServicesResponse": {}}),
}
every_stream = pytest.mark.parametrize(("path", "request_", "reply"), STREAMS.values(), ids=STREAMS)


@every_stream
async def test_a_stream_is_answered_while_it_is_open_and_may_be_cancelled(
    client: Client,
    tokens: dict[str, str],
    path: str,
    request_: dict[str, Any],
    reply: dict[str, Any],
) -> None:
    stream = await client.begin(
        path, filled(request_, tokens), token=tokens["admin"], stays_open=True
    )
    assert covers(await stream.reply(), reply)
    await stream.cancel()
    assert (await stream.end()).code is StatusCode.CANCELLED


@every_stream
async def test_a_stream_ends_at_its_deadline(
    client: Client,
    tokens: dict[str, str],
    path: str,
    request_: dict[str, Any],
    reply: dict[str, Any],
) -> None:
    stream = await client.begin(
        path, filled(request_, tokens), token=tokens["admin"], stays_open=True, deadline=1
    )
    ended = await stream.end()
    assert ended.code is StatusCode.DEADLINE_EXCEEDED
    assert all(covers(each, reply) for each in ended.replies[:1])


async def test_cancelled_streams_leave_nothing_behind(
    client: Client, front: Front, service: Service, tokens: dict[str, str]
) -> None:
    """Many more than a connection may have open, one after the other."""
    for each in range(0, AT_ONCE, OPEN_AT_ONCE):
        streams = [
            await client.begin(
                STREAM, {"request": {"token": "none"}}, token=tokens["admin"], stays_open=True
            )
            for _ in range(each, each + OPEN_AT_ONCE)
        ]
        for stream in streams:
            if await stream.is_answered() or not front.refuses_some:
                await stream.cancel()
                assert (await stream.end()).code is StatusCode.CANCELLED
            else:
                assert (await stream.end()).code is StatusCode.UNAVAILABLE
    good = await client.call(AUTHENTICATE, {"token": tokens["admin"]}, token=tokens["admin"])
    while front.refuses_some and good.code is StatusCode.UNAVAILABLE:
        good = await client.call(AUTHENTICATE, {"token": tokens["admin"]}, token=tokens["admin"])
    assert covers(good.replies, [ADMIN])

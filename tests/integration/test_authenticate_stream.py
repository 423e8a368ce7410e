"""AuthenticateStream: answers in order, read no further than they are taken, to a caller that
stands.
"""

import asyncio
from typing import Any

import grpc
import pytest

from keywright.v1 import auth_service_pb2 as pb
from tests.integration.test_batch import outcome
from tests.support.database import Cluster
from tests.support.proxy import proxy
from tests.support.service import Caller, RefusedError, Service, service

TIMEOUT = 20


async def ask(stream: Any, token: str, **asked: Any) -> None:
    request = pb.AuthenticateRequest(token=token, **asked)
    await stream.write(pb.AuthenticateStreamRequest(request=request))


async def answer(stream: Any) -> str:
    async with asyncio.timeout(TIMEOUT):
        reply = await stream.read()
    return "the end" if reply is grpc.aio.EOF else outcome(reply.result)


async def ended(stream: Any) -> RefusedError:
    """How the stream ends, once everything it still says was read."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while await stream.read() is not grpc.aio.EOF:
                pass
    except grpc.aio.AioRpcError as error:
        return RefusedError(error)
    except TimeoutError:
        raise AssertionError("the stream goes on") from None
    raise AssertionError("the stream ended well")


async def sidecar(running: Service, user_id: str) -> tuple[Caller, str]:
    """A caller that may authenticate others, and its key's name."""
    user = await running.admin.create_user(user_id, "authenticator")
    created = await running.admin.create_key(user=user.name)
    return running.as_caller(created.token), created.key.name


async def test_answers_come_in_the_order_of_the_requests(service: Service) -> None:
    """Known tokens do not overtake those that have to be looked up."""
    created = [await service.admin.create_key() for _ in range(20)]
    known = await service.admin.create_key()
    await service.admin.authenticate(known.token)
    stream = service.admin.open("AuthenticateStream")
    expected = []
    for each in created:
        await ask(stream, each.token)
        await ask(stream, known.token)
        await ask(stream, "correct-horse")
        expected += [each.key.name, known.key.name, "TOKEN_MALFORMED"]
    await stream.done_writing()
    assert [await answer(stream) for _ in expected] == expected
    assert await answer(stream) == "the end"
    assert await stream.code() is grpc.StatusCode.OK


async def test_an_item_that_is_denied_or_not_well_formed_ends_nothing(service: Service) -> None:
    stream = service.admin.open("AuthenticateStream")
    for asked, expected in (
        ({"token": ""}, "TOKEN_MALFORMED"),
        ({"token": "x" * 2**20}, "TOKEN_MALFORMED"),
        ({"token": service.admin_token, "client_address": "nowhere"}, "FIELD_INVALID"),
        ({"token": service.admin_token, "min_revision": "forged"}, "FIELD_INVALID"),
        ({"token": "", "signed_request": {"signature": b"x"}}, "FIELD_UNIMPLEMENTED"),
        ({"token": service.admin_token, "required_environment": "test"}, "ENVIRONMENT_MISMATCH"),
    ):
        await ask(stream, **asked)
        assert await answer(stream) == expected
    await ask(stream, service.admin_token)
    assert "keys/" in await answer(stream)
    stream.cancel()


@pytest.mark.parametrize(
    ("body", "reason"), [(b"\x0a\x05abc", "REQUEST_MALFORMED"), (b"\0", "REQUEST_MALFORMED"),
                         (b"\x0a" * (4 * 2**20 + 1), "REQUEST_TOO_LARGE")]
)  # fmt: skip
async def test_what_is_no_message_ends_the_stream(
    service: Service, body: bytes, reason: str
) -> None:
    path = "/keywright.v1.AuthService/AuthenticateStream"
    assert (await ended(service.admin.stream(path, body))).reason == reason


async def test_a_stream_lasts_longer_than_a_call_may(cluster: Cluster) -> None:
    async with service(
        await cluster.migrated(), default_deadline="100ms", max_deadline="200ms"
    ) as running:
        stream = running.admin.open("AuthenticateStream")
        await ask(stream, running.admin_token)
        assert "keys/" in await answer(stream)
        await asyncio.sleep(0.5)  # what has to pass without anything happening
        await ask(stream, running.admin_token)
        assert "keys/" in await answer(stream)
        stream.cancel()


async def test_a_stream_without_the_permission_is_for_ones_own_token(service: Service) -> None:
    plain = await service.person("plain")
    stream = plain.open("AuthenticateStream")
    await ask(stream, plain.token or "")
    assert "keys/" in await answer(stream)
    await ask(stream, service.admin_token)
    refused = await ended(stream)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "CALLER_PERMISSION_MISSING"


async def a_stream_whose_caller_falls(running: Service) -> None:
    """Idle, or asked once more: it does not go on."""
    caller, key = await sidecar(running, "falling")
    idle, busy = caller.open("AuthenticateStream"), caller.open("AuthenticateStream")
    for stream in (idle, busy):
        await ask(stream, running.admin_token)
        assert "keys/" in await answer(stream)
    await running.admin.revoke_key(key)
    for stream in (idle, busy):
        refused = await ended(stream)
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "CALLER_CREDENTIAL_INVALID"
        assert refused.info.metadata["caller_reason"] == "KEY_REVOKED"
        assert refused.denial is None


async def test_a_stream_whose_caller_falls_is_ended(service: Service) -> None:
    await a_stream_whose_caller_falls(service)


async def test_a_stream_whose_callers_user_is_disabled_is_ended(service: Service) -> None:
    caller, _ = await sidecar(service, "disabled")
    stream = caller.open("AuthenticateStream")
    await ask(stream, service.admin_token)
    await answer(stream)
    await service.admin.disable_user("workspaces/default/users/disabled")
    assert (await ended(stream)).info.metadata["caller_reason"] == "USER_DISABLED"


async def test_being_open_is_no_use_of_the_callers_key(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), usage_interval="1s") as running:
        caller, key = await sidecar(running, "idle")
        stream = caller.open("AuthenticateStream")
        await ask(stream, running.admin_token)
        await answer(stream)
        await asyncio.sleep(1.5)  # looked at several times meanwhile
        await ask(stream, running.admin_token)
        await answer(stream)
        stream.cancel()
        assert await running.process.stop() == 0
        [used] = await running.sql(
            "SELECT sum(u.count)::int AS count FROM keywright.key_usage u "
            "WHERE u.key_id = $1 AND u.outcome = 'ALLOWED'",
            key.rpartition("/")[2],
        )
        assert used["count"] == 3  # as it was opened, and for each request


async def test_a_stream_ends_when_its_caller_cannot_be_checked_any_more(cluster: Cluster) -> None:
    async with proxy(await cluster.migrated()) as door:
        await door.accept()
        async with service(door.direct, database_url=door.dsn) as running:
            stream = running.admin.open("AuthenticateStream")
            await ask(stream, running.admin_token)
            await answer(stream)
            door.refuse()
            refused = await ended(stream)
            assert refused.code is grpc.StatusCode.UNAVAILABLE
            await door.accept()


async def test_a_stream_that_never_reads_is_held_up_and_others_are_not(service: Service) -> None:
    deaf = service.admin.open("AuthenticateStream")
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await ask(deaf, service.admin_token, resource="projects/" + "x" * 200)
            written += 1

    writing = asyncio.create_task(write())
    before = -1
    async with asyncio.timeout(60):
        while before != written:  # until it is held up
            before = written
            await asyncio.sleep(1)
    assert not writing.done()
    await service.admin.authenticate(service.admin_token)
    writing.cancel()
    deaf.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_server_that_stops_ends_streams_at_once(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), shutdown_grace="1h") as running:
        stream = running.admin.open("AuthenticateStream")
        await ask(stream, running.admin_token)
        await answer(stream)
        stopping = asyncio.create_task(running.process.stop())
        refused = await ended(stream)
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SERVER_UNAVAILABLE"
        assert await stopping == 0

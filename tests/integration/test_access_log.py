"""The access log: one line a call, these fields and no others, and never a token."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime

import grpc
import pytest
from google.rpc import error_details_pb2

from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2, user_pb2, user_service_pb2
from tests.support.database import Cluster
from tests.support.service import PARENT, Caller, RefusedError, Service, refusal, serve
from tests.support.service import service as served
from tests.support.waiting import call_logged

FIELDS = {
    "timestamp",
    "level",
    "event",
    "request_id",
    "method",
    "code",
    "reason",
    "duration_ms",
    "peer",
    "caller",
}


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster) -> AsyncIterator[Service]:
    """A server whose operator wants a line for verdicts about tokens, too."""
    async with served(await cluster.migrated(), access_log="all") as running:
        yield running


async def test_verdicts_about_tokens_have_no_line_unless_it_is_wanted(cluster: Cluster) -> None:
    async with served(await cluster.migrated()) as running:
        await running.admin.authenticate(running.admin_token)
        await refusal(running.admin.authenticate("no token"))
        await refusal(running.as_caller("no token").authenticate(running.admin_token))
        caller = running.as_caller(running.admin_token, ("x-request-id", "of-management"))
        await caller.list_keys()
        await call_logged(running.process, "of-management")
        lines = [line["method"] for line in running.process.log if line["event"] == "call"]
    assert lines == ["/keywright.v1.KeyService/ListKeys"]


async def test_a_call_is_one_line_with_exactly_the_fields_that_are_allowed(
    service: Service,
) -> None:
    caller = service.as_caller(service.admin_token, ("x-request-id", "well-done"))
    principal = await caller.authenticate(service.admin_token)
    line = await call_logged(service.process, "well-done")
    assert set(line) == FIELDS
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
    assert 0 < line["duration_ms"] < 20_000
    del line["timestamp"], line["duration_ms"]
    assert line == {
        "level": "info",
        "event": "call",
        "request_id": "well-done",
        "method": "/keywright.v1.AuthService/Authenticate",
        "code": "OK",
        "reason": "",
        "peer": "127.0.0.1",
        "caller": principal.credential.name,
    }


async def test_a_verdict_from_memory_is_logged_as_one_that_was_looked_up(service: Service) -> None:
    fell = await service.admin.create_key()
    await service.admin.revoke_key(fell.key.name)
    expected = {
        "of-one-allowed": ("OK", ""),
        "of-one-denied": ("UNAUTHENTICATED", "KEY_REVOKED"),
    }
    for name, token in zip(expected, (service.admin_token, fell.token), strict=True):
        for times in ("first", "again"):
            caller = service.as_caller(service.admin_token, ("x-request-id", f"{name}-{times}"))
            with suppress(RefusedError):
                await caller.authenticate(token)
    for name, told in expected.items():
        first, again = [
            await call_logged(service.process, f"{name}-{times}") for times in ("first", "again")
        ]
        assert (again["code"], again["reason"]) == told
        assert list(again) == list(first)
        same = FIELDS - {"timestamp", "duration_ms", "request_id"}
        assert {name: again[name] for name in same} == {name: first[name] for name in same}


async def test_a_denial_has_the_id_that_the_log_has(service: Service) -> None:
    fell = await service.admin.create_key()
    await service.admin.revoke_key(fell.key.name)
    for _ in range(2):  # looked up, and from memory
        refused = await refusal(service.admin.authenticate(fell.token))
        told = refused.detail(error_details_pb2.RequestInfo)
        assert told is not None
        line = await call_logged(service.process, told.request_id)
        assert line["reason"] == refused.reason == "KEY_REVOKED"


async def test_the_lines_of_the_last_calls_are_written_before_a_server_ends(
    cluster: Cluster,
) -> None:
    names = [f"one-of-the-last-{number}" for number in range(64)]
    async with served(await cluster.migrated(), access_log="all") as running:
        calls = [
            running.as_caller(running.admin_token, ("x-request-id", name)).authenticate(
                running.admin_token
            )
            for name in names
        ]
        await asyncio.gather(*calls)
        running.process.process.terminate()
        await running.process.ended()
    logged = [line.get("request_id") for line in running.process.log if line["event"] == "call"]
    assert sorted(filter(None, logged)) == sorted(names)
    assert running.process.log[-1]["event"] == "stopped"


async def some_of_a_token_as_the_id_of_a_call(running: Service) -> None:
    token = (await running.admin.create_key()).token
    caller = running.as_caller(running.admin_token, ("x-request-id", token[:40]))
    await caller.authenticate(token)
    await caller.get_key((await caller.authenticate(token)).credential.name)
    shown = token[: len("kw_live_") + 12]
    await running.process.told("GetKey")  # at once, and after the others
    written = "\n".join(running.process.raw)
    assert written.count(f'"request_id": "{shown}..."') == 3
    assert token[len(shown) : len(shown) + 8] not in written


async def test_some_of_a_token_as_the_id_of_a_call_is_cut(service: Service) -> None:
    await some_of_a_token_as_the_id_of_a_call(service)


async def test_lines_for_people_have_the_calls_too(cluster: Cluster) -> None:
    settings = {"access_log": "all", "log_format": "console"}
    dsn = await cluster.migrated()
    async with serve(dsn, **settings) as process:
        listening = await process.told("listening")
        (target,) = re.findall(r"listen=(\S+)", listening)
        async with grpc.aio.insecure_channel(target) as channel:
            stranger = Caller(channel, None, (("x-request-id", "for-people"),))
            await refusal(stranger.authenticate("no token"))
        line = await process.told("for-people")
    assert "code=" in line
    assert "Authenticate" in line


async def test_a_refused_call_is_logged_with_its_code_and_reason(service: Service) -> None:
    stranger = service.as_caller(None, ("x-request-id", "no-credential"))
    await refusal(stranger.list_keys())
    line = await call_logged(service.process, "no-credential")
    assert set(line) == FIELDS
    assert line["code"] == "UNAUTHENTICATED"
    assert line["reason"] == "CALLER_CREDENTIAL_MISSING"
    assert line["caller"] == ""


async def test_a_method_that_is_not_implemented_is_logged_too(service: Service) -> None:
    caller = service.as_caller(service.admin_token, ("x-request-id", "not-yet-there"))
    await refusal(caller.auth("GetJwks", auth_service_pb2.GetJwksRequest()))
    line = await call_logged(service.process, "not-yet-there")
    assert line["reason"] == "METHOD_UNIMPLEMENTED"


async def test_each_call_has_one_line(service: Service) -> None:
    names = [f"one-line-each-{number}" for number in range(10)]
    for name in names:
        caller = service.as_caller(service.admin_token, ("x-request-id", name))
        await caller.authenticate(service.admin_token)
    await call_logged(service.process, names[-1])
    logged = [line["request_id"] for line in service.process.log if line["event"] == "call"]
    assert [each for each in logged if each in names] == names


async def test_a_token_in_any_field_is_not_in_the_log(service: Service) -> None:
    """By mistake or on purpose: as a name, an id, a label, metadata, the call's id."""
    first = service.as_caller(service.admin_token, ("x-request-id", "before-the-tokens"))
    token = (await first.create_key()).token
    secret = token.rpartition("_")[2]
    await call_logged(service.process, "before-the-tokens")
    before = len(service.process.raw)
    key = key_pb2.Key(
        display_name=token,
        user=token,
        role=token,
        scopes=[token],
        resource=token,
        environment=token,
        labels={"token": token, secret[:60].lower(): "x"},
        allowed_networks=[token],
    )
    admin = service.as_caller(service.admin_token, ("x-request-id", secret), ("x-note", token))
    calls = [
        admin.authenticate(token, resource=token, required_permissions=[token]),
        admin.authenticate(token, client_address=token, min_revision=token),
        admin.keys(
            "CreateKey",
            key_service_pb2.CreateKeyRequest(parent=token, key=key, key_id=token, request_id=token),
        ),
        admin.get_key(token),
        admin.get_key(f"{PARENT}/keys/{token}"),
        admin.list_keys(page_token=token),
        admin.revoke_key(f"{PARENT}/keys/{token}"),
        admin.users(
            "CreateUser",
            user_service_pb2.CreateUserRequest(
                parent=PARENT, user_id=token, user=user_pb2.User(email=token, display_name=token)
            ),
        ),
        admin.disable_user(f"{PARENT}/users/{token}"),
        service.as_caller(f"{token} {token}").list_keys(),
        service.as_caller(token[:-1]).list_keys(),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefusedError)]
    assert len(refused) == len(calls) - 1  # an admin may do anything with any resource
    last = service.as_caller(token, ("x-request-id", "after-the-tokens"))
    await last.authenticate(token)
    await call_logged(service.process, "after-the-tokens")
    written = "\n".join(service.process.raw[before:])
    assert written.count('"event": "call"') == len(calls) + 1
    assert token not in written
    assert secret not in written
    assert secret[12:40] not in written

"""The access log: one line a call, these fields and no others, and never a token."""

import asyncio
from datetime import datetime

from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2, user_pb2, user_service_pb2
from tests.support.service import PARENT, RefusedError, Service, refusal
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
    token = (await service.admin.create_key()).token
    secret = token.rpartition("_")[2]
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

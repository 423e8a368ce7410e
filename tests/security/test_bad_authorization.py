"""The caller's own credential: only ever `authorization: Bearer <token>`, once.

In AuthService its failure is never taken for a verdict on the presented token: FAILED_PRECONDITION,
and no Denial. In management it is UNAUTHENTICATED.
"""

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from keywright.v1 import auth_service_pb2, auth_service_pb2_grpc, user_service_pb2
from keywright.wire.rpc import Rpc
from tests.security.patched import in_process
from tests.support.service import (
    ADMIN,
    FRONT,
    TOO_LONG_METADATA,
    Caller,
    RefusedError,
    Service,
)

MANAGEMENT = grpc.StatusCode.UNAUTHENTICATED
AUTHENTICATION = grpc.StatusCode.FAILED_PRECONDITION

MALFORMED = {
    "empty": [""],
    "a space": [" "],
    "the scheme alone": ["Bearer"],
    "the scheme and a space": ["Bearer "],
    "the token alone": ["{token}"],
    "another scheme": ["Basic {token}"],
    "basic authentication": ["Basic YWRtaW46Y29ycmVjdC1ob3JzZQ=="],
    "a scheme that begins alike": ["Bearers {token}"],
    "no space after the scheme": ["Bearer{token}"],
    "quotation marks": ['"Bearer {token}"'],
    "twice the same": ["Bearer {token}", "Bearer {token}"],
    "a bad one first": ["Bearer correct-horse", "Bearer {token}"],
    "a bad one last": ["Bearer {token}", "Bearer correct-horse"],
    "two joined by a comma": ["Bearer {token}, Bearer {token}"],
    "two tokens": ["Bearer {token},{token}"],
}


def calling(service: Service, values: list[str], token: str = "") -> Caller:
    """A caller with these values of `authorization`."""
    token = token or service.admin_token
    metadata = [("authorization", value.replace("{token}", token)) for value in values]
    return service.as_caller(None, *metadata)


async def refused_by_both(caller: Caller, presented: str) -> list[RefusedError]:
    """How a call of each kind is refused; asserts what all have in common."""
    get = user_service_pb2.GetUserRequest(name=ADMIN)
    authenticate = auth_service_pb2.AuthenticateRequest(token=presented)
    errors = []
    for send, method, request, code in (
        (caller.users, "GetUser", get, MANAGEMENT),
        (caller.auth, "Authenticate", authenticate, AUTHENTICATION),
    ):
        with pytest.raises(RefusedError) as refused:
            await send(method, request)
        assert refused.value.code is code
        assert refused.value.reason.startswith("CALLER_")
        assert refused.value.denial is None
        errors.append(refused.value)
    return errors


async def test_a_call_without_a_credential_is_told_so(service: Service) -> None:
    for error in await refused_by_both(service.as_caller(None), service.admin_token):
        assert error.reason == "CALLER_CREDENTIAL_MISSING"


async def assert_malformed(service: Service, values: list[str]) -> None:
    for error in await refused_by_both(calling(service, values), service.admin_token):
        assert error.reason == "CALLER_CREDENTIAL_MALFORMED"


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED)
async def test_anything_but_one_bearer_token_is_malformed(
    service: Service, values: list[str]
) -> None:
    await assert_malformed(service, values)


@pytest.mark.parametrize("values", [["Bearer {token}", ""], ["", "Bearer {token}"]])
async def test_an_empty_one_beside_a_credential_is_malformed_or_none(
    service: Service, values: list[str]
) -> None:
    """Envoy leaves it out before anybody sees it: whoever has the one credential calls."""
    if FRONT == "envoy":
        caller = calling(service, values)
        assert (await caller.authenticate(service.admin_token)).user.name == ADMIN
        assert (await caller.get_user(ADMIN)).name == ADMIN
    else:
        await assert_malformed(service, values)


async def test_a_server_that_overlooks_a_second_credential_is_found_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: only the first `authorization` is looked at."""
    monkeypatch.setattr(
        Rpc, "values", lambda rpc, key: [value for name, value in rpc.metadata if name == key][:1]
    )
    async with in_process(service) as patched:
        await assert_malformed(patched, MALFORMED["empty"])
        with pytest.raises(pytest.fail.Exception):
            await assert_malformed(patched, MALFORMED["twice the same"])


@pytest.mark.parametrize(
    "value",
    ["bearer {token}", "BEARER {token}", "Bearer  {token}", "Bearer {token}  "],
)
async def test_the_case_of_the_scheme_and_spaces_do_not_matter(
    service: Service, value: str
) -> None:
    caller = calling(service, [value])
    assert (await caller.authenticate(service.admin_token)).user.name == ADMIN


async def test_a_credential_that_does_not_stand_says_why(service: Service) -> None:
    admin = service.admin
    for user in ("off", "demoted"):
        await admin.create_user(user)
    expired, revoked, deleted, of_disabled, of_guest, bound = [
        await admin.create_key(**attributes)
        for attributes in (
            {"ttl": Duration(seconds=3600)},
            {},
            {},
            {"user": "workspaces/default/users/off"},
            {"user": "workspaces/default/users/demoted"},
            {"allowed_networks": ["192.0.2.0/24"]},
        )
    ]
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() - $1::interval WHERE key_id = $2",
        timedelta(seconds=1),
        expired.key.name.rpartition("/")[2],
    )
    await service.sql(
        "UPDATE keywright.user SET (role, role_scope) ="
        " (SELECT id, scope FROM keywright.role WHERE role_id = 'guest')"
        " WHERE user_id = 'demoted'"
    )
    await admin.revoke_key(revoked.key.name)
    await admin.delete_key(deleted.key.name)
    await admin.disable_user("workspaces/default/users/off")

    for token, why in (
        (expired.token, "KEY_EXPIRED"),
        (revoked.token, "KEY_REVOKED"),
        (deleted.token, "TOKEN_UNKNOWN"),
        (of_disabled.token, "USER_DISABLED"),
        (of_guest.token, "KEYS_NOT_ALLOWED"),
        (bound.token, "ADDRESS_NOT_ALLOWED"),
        (f"{revoked.token}0", "TOKEN_MALFORMED"),
        ("correct-horse", "TOKEN_MALFORMED"),
        (f"{service.admin_token} {service.admin_token}", "TOKEN_MALFORMED"),
        ("x" * 2**13, "TOKEN_MALFORMED"),
    ):
        caller = service.as_caller(token)
        # Also where it presents itself: then the caller's is the one that is judged.
        for presented in (service.admin_token, token[:100], "kw_live_correct-horse"):
            for error in await refused_by_both(caller, presented):
                assert error.reason == "CALLER_CREDENTIAL_INVALID"
                assert error.info.metadata["caller_reason"] == why


async def test_a_credential_longer_than_any_header_may_be_is_refused(service: Service) -> None:
    """The transport itself does so, without a word of ours."""
    stub: Any = auth_service_pb2_grpc.AuthServiceStub(service.channel)
    request = auth_service_pb2.AuthenticateRequest(token=service.admin_token)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Authenticate(request, metadata=[("authorization", "x" * 50_000)], timeout=20)
    assert refused.value.code() is TOO_LONG_METADATA
    assert (await service.admin.authenticate(service.admin_token)).user.name == ADMIN


async def test_a_caller_without_the_permission_authenticates_nobody_but_itself(
    service: Service,
) -> None:
    caller = await service.person("plain")
    assert caller.token
    principal = await caller.authenticate(caller.token)
    assert principal.user.name == "workspaces/default/users/plain"

    other = await service.admin.create_key()
    for presented in (other.token, service.admin_token, "correct-horse", "", f"{caller.token}0"):
        with pytest.raises(RefusedError) as refused:
            await caller.authenticate(presented)
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.reason == "CALLER_PERMISSION_MISSING"
        assert refused.value.info.metadata["permission"] == "auth.authenticate"
        assert refused.value.denial is None


async def test_what_else_is_in_the_metadata_makes_nobody_an_admin(service: Service) -> None:
    """The actor is only who the credential proves (promise G7)."""
    caller = await service.person("pretender")
    pretending = service.as_caller(
        caller.token,
        ("x-keywright-user", ADMIN),
        ("x-forwarded-user", "admin"),
        ("user", ADMIN),
        ("proxy-authorization", f"Bearer {service.admin_token}"),
        ("x-request-id", "'; DROP TABLE keywright.user; --"),
    )
    with pytest.raises(RefusedError) as refused:
        await pretending.create_user("made-by-pretender")
    assert refused.value.reason == "CALLER_PERMISSION_MISSING"

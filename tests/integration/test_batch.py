"""BatchAuthenticate: each item is answered as by Authenticate, and only for itself."""

from dataclasses import replace
from typing import Any

import grpc
import pytest

from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from keywright.v1 import auth_service_pb2 as pb
from keywright.v1 import error_reason_pb2
from tests.support.database import Cluster
from tests.support.service import Service, another, refusal, service

LIMIT = 4 * 2**20


async def batch(running: Service, *items: dict[str, Any]) -> list[pb.AuthenticateResult]:
    reply = await running.admin.do("BatchAuthenticate", requests=items)
    assert len(reply.results) == len(items)
    return list(reply.results)


def outcome(result: pb.AuthenticateResult) -> str:
    """The key that was allowed, or the reason for which it was not."""
    if result.HasField("allowed"):
        return result.allowed.credential.name
    reason = error_reason_pb2.ErrorReason.Name(result.denied.reason)
    return reason.removeprefix("ERROR_REASON_")


async def test_each_item_is_answered_as_by_authenticate_and_in_its_place(service: Service) -> None:
    admin = service.admin
    good, revoked, bound = [await admin.create_key(), await admin.create_key(),
                            await admin.create_key(resource="projects/a")]  # fmt: skip
    await admin.revoke_key(revoked.key.name)
    items: dict[str, dict[str, Any]] = {
        good.key.name: {"token": good.token},
        "KEY_REVOKED": {"token": revoked.token},
        "TOKEN_MALFORMED": {"token": "correct-horse"},
        "TOKEN_UNKNOWN": {"token": another_secret(good.token)},
        "RESOURCE_REQUIRED": {"token": bound.token},
        bound.key.name: {"token": bound.token, "resource": "projects/a"},
        "ENVIRONMENT_MISMATCH": {"token": good.token, "required_environment": "test"},
        "PERMISSION_MISSING": {"token": bound.token, "resource": "projects/a"}
        | {"required_permissions": ["workspaces.manage"]},
        "FIELD_INVALID": {"token": good.token, "client_address": "nowhere"},
        "FIELD_UNIMPLEMENTED": {"signed_request": {"signature": b"x"}},
    }
    for _ in range(2):  # looked up, and from memory
        results = await batch(service, *items.values())
        assert [outcome(each) for each in results] == list(items)


def another_secret(token: str) -> str:
    """A well-formed token with the same prefix."""
    parsed = replace(TokenFormat().parse(token), secret=Secret(b"\1" * 32))
    return TokenFormat().render(parsed).reveal()


async def test_an_allowed_item_is_what_authenticate_replies(service: Service) -> None:
    created = await service.admin.create_key(
        display_name="ci", scopes=["datasets.read"], allowed_networks=["192.0.2.0/24"]
    )
    asked = {"token": created.token, "client_address": "192.0.2.1"}
    alone = await service.admin.authenticate(**asked)
    [result] = await batch(service, asked)
    assert result.allowed == alone


async def test_a_denied_item_is_the_denial_that_authenticate_fails_with(service: Service) -> None:
    created = await service.admin.create_key()
    await service.admin.do("DisableKey", name=created.key.name)
    for asked in (
        {"token": created.token},
        {"token": "kw_live_correct-horse"},
        {"token": service.admin_token, "required_environment": "test"},
    ):
        alone = await refusal(service.admin.authenticate(**asked))
        [result] = await batch(service, asked)
        assert result.denied == alone.denial


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_of_none_or_of_too_many_is_refused(service: Service, count: int) -> None:
    items = [{"token": service.admin_token}] * count
    error = await refusal(service.admin.do("BatchAuthenticate", requests=items))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields == ["requests"]


async def test_the_same_token_a_thousand_times_is_answered_a_thousand_times(
    service: Service,
) -> None:
    created = await service.admin.create_key()
    results = await batch(service, *[{"token": created.token}] * 1000)
    assert {outcome(each) for each in results} == {created.key.name}


async def test_tokens_of_a_mebibyte_are_malformed_each_for_itself(service: Service) -> None:
    long = {"token": "x" * 2**20}
    good = {"token": service.admin_token}
    first, second, third = await batch(service, long, good, long)
    assert outcome(first) == outcome(third) == "TOKEN_MALFORMED"
    assert second.HasField("allowed")


async def test_a_batch_longer_than_a_request_may_be_is_refused(service: Service) -> None:
    items = [{"token": "x" * 2**20}] * 4
    error = await refusal(service.admin.do("BatchAuthenticate", requests=items))
    assert error.reason == "REQUEST_TOO_LARGE"
    assert error.info.metadata["limit_bytes"] == str(LIMIT)


async def test_a_revision_that_is_not_known_denies_the_items_that_ask_for_it(
    service: Service,
) -> None:
    token = service.admin_token
    known = (await service.admin.authenticate(token)).revision
    results = await batch(
        service,
        {"token": token, "min_revision": known},
        {"token": token, "min_revision": known[:-1] + ("A" if known[-1] != "A" else "B")},
        {"token": token, "min_revision": "forged"},
        {"token": token},
    )
    assert [each.HasField("allowed") for each in results] == [True, False, False, True]
    assert outcome(results[1]) == outcome(results[2]) == "FIELD_INVALID"
    assert "min_revision" in results[2].denied.message


async def test_who_may_ask_for_nobody_else_is_answered_for_itself_only(service: Service) -> None:
    plain = await service.person("plain")
    own, others = {"token": plain.token}, {"token": service.admin_token}
    reply = await plain.do("BatchAuthenticate", requests=[own, own])
    assert all(each.HasField("allowed") for each in reply.results)
    error = await refusal(plain.do("BatchAuthenticate", requests=[own, others]))
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "CALLER_PERMISSION_MISSING"


async def test_more_cold_tokens_than_hashes_may_wait_are_all_answered(cluster: Cluster) -> None:
    """One batch takes turns with itself, rather than fill the queue before Argon2."""
    async with service(await cluster.migrated()) as running:
        created = [await running.admin.create_key() for _ in range(100)]
        async with another(running, argon2_max_waiting="64") as cold:
            results = await batch(cold, *({"token": each.token} for each in created))
            assert [outcome(each) for each in results] == [each.key.name for each in created]


async def test_a_reply_that_would_be_too_long_is_refused_in_our_words(cluster: Cluster) -> None:
    async with service(await cluster.migrated(), max_response_bytes="64KiB") as small:
        token = {"token": small.admin_token}
        assert len(await batch(small, *[token] * 50)) == 50
        error = await refusal(small.admin.do("BatchAuthenticate", requests=[token] * 1000))
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.reason == "REQUEST_TOO_LARGE"
        assert error.info.metadata["limit_bytes"] == str(64 * 2**10)

"""What is presented as a token and is none, or not one that stands (promise G12)."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from keywright.v1 import key_pb2, key_service_pb2
from tests.security.leaks import essence
from tests.support.service import Caller, RefusedError, Service, first_admin

_VECTORS = Path(__file__).parents[2] / "docs" / "token-format" / "vectors.json"
VECTORS = json.loads(_VECTORS.read_text("utf-8"))
FORMAT = TokenFormat()

# Malformed for a server of the default brand; the file also has vectors of other brands' servers.
MALFORMED = {
    f"{each['reason']}: {each['comment']}": each["text"]
    for each in VECTORS["invalid"]
    if each["brand"] == "kw"
} | {
    f"valid of another brand: {each['comment']}": each["token"]
    for each in VECTORS["valid"]
    if each["brand"] != "kw"
}


async def denied(caller: Caller, token: str) -> RefusedError:
    """How the server denies `token`: as a verdict on the token, with a Denial."""
    with pytest.raises(RefusedError) as refused:
        await caller.authenticate(token)
    error = refused.value
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.denial is not None
    assert error.denial.message == error.message
    return error


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_token_is_malformed(service: Service, text: str) -> None:
    assert (await denied(service.admin, text)).reason == "TOKEN_MALFORMED"


async def test_a_token_that_was_damaged_on_the_way_is_malformed(service: Service) -> None:
    token = (await service.admin.create_key()).token
    damaged = {
        "truncated": token[:-1],
        "cut in the middle": token[: len(token) // 2],
        "extended": f"{token}0",
        "twice": token * 2,
        "wrong checksum": token[:-1] + ("0" if token[-1] != "0" else "1"),
        "another character in the secret": token[:30] + ("0" if token[30] != "0" else "1"),
        "other brand": f"acme{token[2:]}",
        "upper case": token.upper(),
        "a line break after it": f"{token}\n",
        "white space before it": f" {token}",
        "NUL after it": f"{token}\0",
        "NUL in it": f"{token[:20]}\0{token[21:]}",
        "with its scheme": f"Bearer {token}",
        "1 MiB": token + "0" * 2**20,
        "1 MiB of NUL": "\0" * 2**20,
    }
    for how, text in damaged.items():
        assert (await denied(service.admin, text)).reason == "TOKEN_MALFORMED", how


@pytest.mark.parametrize(
    "token", [each["token"] for each in VECTORS["valid"] if each["brand"] == "kw"]
)
async def test_a_published_example_authenticates_nobody(service: Service, token: str) -> None:
    assert (await denied(service.admin, token)).reason == "TOKEN_UNKNOWN"


def with_another_secret(token: str) -> str:
    """A token with the same prefix and a right checksum, whose secret is wrong."""
    return FORMAT.render(replace(FORMAT.parse(token), secret=Secret(bytes(32)))).reveal()


def with_another_environment(token: str) -> str:
    """A token with the same prefix and secret and a right checksum, of another environment."""
    return FORMAT.render(replace(FORMAT.parse(token), environment="test")).reveal()


async def test_whoever_lacks_the_secret_is_told_the_same_whatever_there_is(
    service: Service,
) -> None:
    admin = service.admin
    unknown = await denied(admin, VECTORS["valid"][0]["token"])
    assert unknown.reason == "TOKEN_UNKNOWN"

    await admin.create_user("gone")
    active, expired, revoked, deleted, of_disabled, bound = [
        await admin.create_key(**attributes)
        for attributes in (
            {},
            {"ttl": Duration(seconds=3600)},
            {},
            {},
            {"user": "workspaces/default/users/gone"},
            {"resource": "projects/a", "allowed_networks": ["192.0.2.0/24"]},
        )
    ]
    await service.sql(
        "UPDATE keywright.key SET expire_time = now() - $1::interval WHERE key_id = $2",
        timedelta(seconds=1),
        expired.key.name.rpartition("/")[2],
    )
    await admin.revoke_key(revoked.key.name)
    await admin.delete_key(deleted.key.name)
    await admin.disable_user("workspaces/default/users/gone")
    foreign = await first_admin(service.dsn, "other")

    without_the_secret = {
        "of an active key": with_another_secret(active.token),
        "of an expired key": with_another_secret(expired.token),
        "of a revoked key": with_another_secret(revoked.token),
        "of a deleted key": with_another_secret(deleted.token),
        "of a disabled user's key": with_another_secret(of_disabled.token),
        "of a key bound to a resource and networks": with_another_secret(bound.token),
        "of another workspace's key": with_another_secret(foreign),
        "the right secret of a deleted key": deleted.token,
        "the right secret, but of another workspace": foreign,
        "the right secret of an active key in another environment": with_another_environment(
            active.token
        ),
        "the right secret of a revoked key in another environment": with_another_environment(
            revoked.token
        ),
    }
    for which, token in without_the_secret.items():
        assert essence(await denied(admin, token)) == essence(unknown), which

    assert (await denied(admin, expired.token)).reason == "KEY_EXPIRED"
    assert (await denied(admin, revoked.token)).reason == "KEY_REVOKED"
    assert (await denied(admin, of_disabled.token)).reason == "USER_DISABLED"


async def test_asking_for_more_tells_nothing_to_whoever_lacks_the_secret(service: Service) -> None:
    """The token is judged before what is asked of it, and never where it is unknown."""
    created = await service.admin.create_key(resource="projects/a")
    asked = {
        "resource": "projects/b",
        "required_permissions": ["nothing.at.all"],
        "required_environment": "test",
        "client_address": "198.51.100.1",
    }
    errors = []
    for token in (VECTORS["valid"][0]["token"], with_another_secret(created.token)):
        with pytest.raises(RefusedError) as refused:
            await service.admin.authenticate(token, **asked)
        errors.append(essence(refused.value))
    assert errors[0] == errors[1]
    with pytest.raises(RefusedError) as refused:
        await service.admin.authenticate(created.token, **asked)
    assert refused.value.reason == "ENVIRONMENT_MISMATCH"


async def test_no_field_of_a_key_can_bring_a_token_of_ones_own_making(service: Service) -> None:
    """The prefix and the secret are the server's, whatever a request says."""
    prefix = FORMAT.parse(service.admin_token).prefix
    key = key_pb2.Key(
        prefix=prefix, name="workspaces/default/keys/mine", state=key_pb2.KEY_STATE_REVOKED
    )
    request = key_service_pb2.CreateKeyRequest(parent="workspaces/default", key=key)
    created = await service.admin.keys("CreateKey", request)
    assert created.key.prefix != prefix
    assert created.key.name != key.name
    assert created.key.state == key_pb2.KEY_STATE_ACTIVE
    assert FORMAT.parse(created.token).prefix == created.key.prefix

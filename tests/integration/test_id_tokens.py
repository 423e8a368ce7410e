"""Signing in by OpenID Connect: whom an id token lets in, and which ones let nobody in."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from joserfc.jwk import ECKey, RSAKey

from keywright.v1 import session_pb2
from tests.support.database import Cluster
from tests.support.provider import CLIENT, NONCE, Provider, provider
from tests.support.service import PARENT, RefusedError, Service, refusal, service


@pytest.fixture(scope="module", name="trusted")
async def _trusted(cluster: Cluster) -> AsyncIterator[tuple[Service, Provider]]:
    """A server, and the provider that it trusts; `ann` has its subject, `ben` an e-mail address."""
    with provider() as shown:
        async with service(await cluster.migrated(), **shown.settings) as running:
            await running.admin.create_user("ann", "guest", external_id="subject-1")
            await running.admin.create_user("ben", "guest")
            yield running, shown


async def enter(running: Service, id_token: str, nonce: str = NONCE, **more: Any) -> Any:
    proof = {"workspace": PARENT, "id_token": id_token, "nonce": nonce, **more}
    return await running.as_caller(None).do("CreateSession", openid_connect=proof)


async def refused(running: Service, id_token: str, **more: Any) -> RefusedError:
    error = await refusal(enter(running, id_token, **more))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    return error


async def refused_of(running: Service, id_token: str) -> str:
    """Why a token lets nobody in; "" if it does."""
    try:
        await enter(running, id_token)
    except RefusedError as refused:
        return refused.reason
    return ""


async def test_a_person_is_found_by_the_external_id(trusted: tuple[Service, Provider]) -> None:
    running, shown = trusted
    # Whose address it is does not matter: the external id goes first.
    token = shown.token(email="ben@example.com", email_verified=True)
    entered = await enter(running, token)
    assert entered.session.user == f"{PARENT}/users/ann"
    assert entered.session.method == session_pb2.SIGN_IN_METHOD_OPENID_CONNECT
    assert (await running.admin.authenticate(entered.token)).user.email == "ann@example.com"


async def test_else_by_an_address_that_the_provider_has_verified(
    trusted: tuple[Service, Provider],
) -> None:
    running, shown = trusted
    token = shown.token(sub="other", email="BEN@example.com", email_verified=True)
    assert (await enter(running, token)).session.user == f"{PARENT}/users/ben"


async def unverified_addresses(running: Service, shown: Provider) -> None:
    for verified in (None, False, "true", 1):
        token = shown.token(sub="other", email="admin@localhost", email_verified=verified)
        assert await refused_of(running, token) == "SESSION_USER_UNKNOWN", verified


async def test_an_address_that_is_not_verified_is_nobodys(
    trusted: tuple[Service, Provider],
) -> None:
    await unverified_addresses(*trusted)


async def test_who_is_not_there_or_no_person_or_disabled_is_not_let_in(
    trusted: tuple[Service, Provider],
) -> None:
    running, shown = trusted
    strangers = [
        shown.token(sub="nobody"),
        shown.token(sub="nobody", email="no@example.com", email_verified=True),
    ]
    service_user = {"kind": "USER_KIND_SERVICE", "external_id": "a-robot"}
    await running.admin.do("CreateUser", parent=PARENT, user_id="robot", user=service_user)
    strangers.append(shown.token(sub="a-robot"))
    for token in strangers:
        assert (await refused(running, token)).reason == "SESSION_USER_UNKNOWN"
    for workspace in ("workspaces/none", "workspaces/system"):
        error = await refused(running, shown.token(), workspace=workspace)
        assert error.reason == "SESSION_USER_UNKNOWN"
    asleep = await running.admin.create_user("asleep", "guest", external_id="sleeps")
    await running.admin.disable_user(asleep.name)
    assert (await refused(running, shown.token(sub="sleeps"))).reason == "USER_DISABLED"


def in_base64(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(shown: Provider) -> str:
    return f"{in_base64({'alg': 'none', 'kid': 'one'})}.{in_base64(shown.claims())}."


def signed_with_the_public_key(shown: Provider) -> str:
    signed = f"{in_base64({'alg': 'HS256', 'kid': 'one'})}.{in_base64(shown.claims())}"
    secret = shown.signing.as_pem(private=False)
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def of_another_signature(shown: Provider) -> str:
    head, _, signature = shown.token().rpartition(".")
    other = shown.token(sub="someone-else").rpartition(".")[2]
    assert other != signature
    return f"{head}.{other}"


def by_a_key_that_is_not_published(shown: Provider) -> str:
    return shown.token(RSAKey.generate_key(2048, {"kid": "one"}))


def about(**claims: Any) -> Callable[[Provider], str]:
    return lambda shown: shown.token(**claims)


NOW = int(time.time())
WRONG: dict[str, Callable[[Provider], str]] = {
    "another issuer": about(iss="https://evil.example.com"),
    "no issuer": about(iss=None),
    "another client": about(aud="another-client"),
    "several clients, issued to another": about(aud=[CLIENT, "other"], azp="other"),
    "several clients, issued to nobody says whom": about(aud=[CLIENT, "other"]),
    "issued to another": about(azp="other"),
    "no client": about(aud=None),
    "expired": about(exp=NOW - 60, iat=NOW - 120),
    "no end": about(exp=None),
    "from the future": about(iat=NOW + 3600, exp=NOW + 7200),
    "too old": about(iat=NOW - 3600, exp=NOW + 7200),
    "no time": about(iat=None),
    "a time that is none": about(iat="now"),
    "not yet": about(nbf=NOW + 3600),
    "another nonce": about(nonce="other"),
    "no nonce": about(nonce=None),
    "nobody": about(sub=None),
    "a subject that is no text": about(sub=7),
    "unsigned": unsigned,
    "the public key as a secret": signed_with_the_public_key,
    "another signature": of_another_signature,
    "a key that is not published": by_a_key_that_is_not_published,
    "no token": lambda _shown: "correct-horse",
    "dots": lambda _shown: "a.b.c",
    "five parts": lambda _shown: "a.b.c.d.e",
    "not base64": lambda _shown: "é.é.é",
}


async def no_good(running: Service, shown: Provider, wrong: str) -> None:
    error = await refused_of(running, WRONG[wrong](shown))
    assert error == "SESSION_ID_TOKEN_INVALID"


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_token_that_is_no_good_lets_nobody_in(
    trusted: tuple[Service, Provider], wrong: str
) -> None:
    await no_good(*trusted, wrong=wrong)


async def test_a_token_for_several_clients_is_good_if_issued_to_this_one(
    trusted: tuple[Service, Provider],
) -> None:
    running, shown = trusted
    assert (await enter(running, shown.token(aud=[CLIENT, "other"], azp=CLIENT))).token


async def test_a_workspace_that_cannot_be_is_told_as_such(
    trusted: tuple[Service, Provider],
) -> None:
    running, shown = trusted
    error = await refusal(enter(running, shown.token(), workspace="default"))
    assert (error.reason, error.fields) == ("FIELD_INVALID", ["openid_connect.workspace"])


async def test_a_repetition_is_told_and_shows_no_token(trusted: tuple[Service, Provider]) -> None:
    running, shown = trusted
    proof = {"workspace": PARENT, "id_token": shown.token(), "nonce": NONCE}
    again = {"openid_connect": proof, "request_id": "again"}
    first, second = [await running.as_caller(None).do("CreateSession", **again) for _ in "12"]
    assert second.session.name == first.session.name
    assert (bool(first.token), second.token, second.replayed) == (True, "", True)


async def is_let_in(running: Service, id_token: str) -> bool:
    try:
        return bool((await enter(running, id_token)).token)
    except RefusedError as refused:
        if refused.reason != "SESSION_ID_TOKEN_INVALID":
            raise
        return False


@pytest.mark.slow  # waits until the server may ask again
async def test_keys_are_fetched_once_and_anew_for_one_that_is_new(cluster: Cluster) -> None:
    """Not for each token that names a key which nobody has."""
    with provider() as shown:
        async with service(await cluster.migrated(), **shown.settings) as running:
            await running.admin.create_user("ann", "guest", external_id="subject-1")
            assert shown.asked == 0
            await asyncio.gather(*(enter(running, shown.token()) for _ in range(5)))
            assert shown.asked == 1
            stranger = RSAKey.generate_key(2048, {"kid": "nobody's"})
            for _ in range(5):
                error = await refused(running, shown.token(stranger))
                assert error.reason == "SESSION_ID_TOKEN_INVALID"
            assert shown.asked <= 2, "a flood of made-up ids does not become one of fetches"
            rotated = ECKey.generate_key("P-256", {"kid": "two"})
            shown.published = [rotated]
            async with asyncio.timeout(40):
                while not await is_let_in(running, shown.token(rotated, "ES256")):  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    "broken", [b"", b"[]", b'{"keys": 7}', b'{"keys": [{"kty": "oct", "k": "AA"}]}']
)
async def test_a_provider_without_keys_is_our_trouble_and_not_the_token_s(
    cluster: Cluster, broken: bytes
) -> None:
    with provider() as shown:
        shown.broken = broken
        async with service(await cluster.migrated(), **shown.settings) as running:
            error = await refusal(enter(running, shown.token()))
            assert error.code is grpc.StatusCode.UNAVAILABLE
            assert error.reason == "SERVER_UNAVAILABLE"


async def test_without_a_provider_there_are_no_id_tokens(service: Service) -> None:
    error = await refused(service, Provider().token())
    assert error.reason == "SESSION_ID_TOKEN_INVALID"

"""TLS at the front: the files of every server, renewed while it runs, and who is at the other end.

The front ends TLS, and two halves behind it answer: Authenticate in Python, the rest at grpc.aio.
"""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx2
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keywright.v1 import auth_service_pb2 as pb
from tests.integration.test_tls import CLIENTS, OTHERS, OURS, Listening, builder, listening
from tests.support.database import Cluster
from tests.support.front import ENVOY
from tests.support.planted import Bug, build
from tests.support.service import Caller, RefusedError, refusal

pytestmark = pytest.mark.slow

# What a client may claim of itself, in vain.
CLAIMS = (
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-client-cert", 'Hash=ab;Subject="CN=claimed"'),
    ("x-keywright-peer", "192.0.2.2"),
    ("x-keywright-certified", "false"),
    ("x-keywright-certified", "true"),
)


def nameless() -> tuple[bytes, bytes]:
    """A client certificate without a subject, as workloads have them (SPIFFE)."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://a.example/b")])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(CLIENTS.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=True)
        .sign(CLIENTS.key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), private(key)


async def both_halves(caller: Caller, token: str) -> None:
    """A token is authenticated by a call, in Python, and on a stream, at grpc.aio."""
    assert (await caller.authenticate(token)).user.email == "admin@localhost"
    stream = caller.open("AuthenticateStream")
    await ask(stream, token)
    await stream.done_writing()


async def ask(stream: Any, token: str) -> None:
    """One question on a stream, and its answer, which allows."""
    request = pb.AuthenticateRequest(token=token)
    await stream.write(pb.AuthenticateStreamRequest(request=request))
    try:
        async with asyncio.timeout(20):
            reply = await stream.read()
    except grpc.aio.AioRpcError as error:
        raise RefusedError(error) from None
    assert reply.result.allowed.user.email == "admin@localhost"


def trusting(
    certificate: tuple[bytes, bytes] | None = None, place: Path | None = None
) -> ssl.SSLContext:
    """What a client knows: our authority, and a certificate of its own."""
    context = ssl.create_default_context(cadata=OURS.pem.decode())
    if certificate and place:
        (place / "own.crt").write_bytes(certificate[0])
        (place / "own.key").write_bytes(certificate[1])
        context.load_cert_chain(place / "own.crt", place / "own.key")
    return context


async def served(running: Listening) -> int:
    """The serial number of the certificate that a new connection is given."""
    host, _, port = running.target.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting())
    tls = writer.get_extra_info("ssl_object")
    writer.close()
    await writer.wait_closed()
    return serial(tls.getpeercert(binary_form=True))


def serial(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


async def becomes(running: Listening, number: int) -> None:
    async with asyncio.timeout(30):
        while await served(running) != number:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


def renew(place: Path, *files: str) -> int:
    """Replace files by those of a new certificate, as `mv` does; its serial number."""
    certificate, key = OURS.issue("renewed")
    for name, pem in (("tls.crt", certificate), ("tls.key", key)):
        if name in files:
            (place / "new").write_bytes(pem)
            (place / "new").replace(place / name)
    return x509.load_pem_x509_certificate(certificate).serial_number


async def test_a_renewed_certificate_is_served_and_open_calls_go_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with (
        listening(cluster, tmp_path, **ENVOY) as running,
        running.caller(running.admin_token) as admin,
    ):
        before, stream = await served(running), admin.open("AuthenticateStream")
        await ask(stream, running.admin_token)
        for _ in range(2):
            number = renew(tmp_path, "tls.crt", "tls.key")
            assert number != before
            await becomes(running, number)
        await ask(stream, running.admin_token)
        await admin.authenticate(running.admin_token)
        await stream.done_writing()


async def test_a_file_that_is_written_in_its_place_is_served_too(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with listening(cluster, tmp_path, **ENVOY) as running:
        certificate, key = OURS.issue("renewed")
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)
        await becomes(running, x509.load_pem_x509_certificate(certificate).serial_number)


async def test_files_that_do_not_fit_together_are_not_served(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with listening(cluster, tmp_path, **ENVOY) as running:
        before = await served(running)
        renew(tmp_path, "tls.crt")
        await running.process.logged("tls files refused, the old ones go on")
        assert await served(running) == before
        number = renew(tmp_path, "tls.crt", "tls.key")
        await becomes(running, number)


async def test_files_that_envoy_refuses_are_not_served_and_no_worker_starts_with_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A key that is short: our own check takes it, and Envoy does not."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([])
    made = builder(name, name, key).sign(key, hashes.SHA256())
    async with listening(cluster, tmp_path, **ENVOY) as running:
        before = await served(running)
        (tmp_path / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (tmp_path / "tls.key").write_bytes(private(key))
        await running.process.told("2048-bit")
        assert await served(running) == before
        (worker,) = psutil.Process(running.process.process.pid).children()
        worker.kill()
        await running.process.told("KEYWRIGHT_TLS_CERTIFICATE_FILE")
        number = renew(tmp_path, "tls.crt", "tls.key")
        await running.process.logged("a worker serves", after=len(running.process.log))
        assert await served(running) == number


def private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


async def test_a_new_authority_of_clients_holds_for_new_connections(
    cluster: Cluster, tmp_path: Path
) -> None:
    ca = str(tmp_path / "clients.crt")
    async with listening(cluster, tmp_path, tls_client_ca_file=ca, **ENVOY) as running:
        (tmp_path / "new").write_bytes(OTHERS.pem)
        (tmp_path / "new").replace(ca)
        await running.process.logged("tls files renewed")
        async with asyncio.timeout(30):
            while not await _is_let_in(running, OTHERS.issue("new")):  # noqa: ASYNC110  the same
                await asyncio.sleep(0.05)
        assert not await _is_let_in(running, CLIENTS.issue("old"))


async def _is_let_in(running: Listening, certificate: tuple[bytes, bytes] | None) -> bool:
    async with running.caller(running.admin_token, certificate) as caller:
        try:
            await caller.list_keys()
        except RefusedError as refused:
            return refused.code is not grpc.StatusCode.UNAVAILABLE
    return True


async def test_a_certified_caller_is_known_to_both_halves_whatever_it_claims(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with certifying(cluster, tmp_path) as running:
        for certificate in (CLIENTS.issue("sidecar"), nameless()):
            for claims in ((), CLAIMS, *((claim,) for claim in CLAIMS)):
                async with running.caller(None, certificate) as caller:
                    await both_halves(Caller(caller.channel, None, claims), running.admin_token)
                    # It manages nothing all the same.
                    refused = await refusal(caller.list_keys())
                    assert refused.reason == "CALLER_CREDENTIAL_MISSING"


def certifying(cluster: Cluster, place: Path) -> AbstractAsyncContextManager[Listening]:
    ca = str(place / "clients.crt")
    settings = {"tls_client_ca_file": ca, "authenticate_callers": "mtls", "access_log": "all"}
    return listening(cluster, place, **settings, **ENVOY)


async def test_who_has_no_certificate_of_the_authority_gets_to_neither_half(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with certifying(cluster, tmp_path) as running:
        await strangers_are_turned_away(running)


async def strangers_are_turned_away(running: Listening) -> None:
    for certificate in (None, OTHERS.issue("stranger")):
        async with running.caller(None, certificate) as caller:
            claiming = Caller(caller.channel, None, CLAIMS)
            for method in (authenticates(running.admin_token), Caller.list_keys):
                assert (await refusal(method(claiming))).code is grpc.StatusCode.UNAVAILABLE


async def test_an_address_is_that_of_the_connection_whatever_is_claimed(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with (
        listening(cluster, tmp_path, access_log="all", **ENVOY) as running,
        running.caller(running.admin_token) as admin,
    ):
        await addresses_cannot_be_claimed(running, admin)


async def addresses_cannot_be_claimed(running: Listening, admin: Caller) -> None:
    ids = [uuid4().hex, uuid4().hex]
    for call_id, method in zip(ids, (authenticates(admin.token), Caller.list_keys), strict=True):
        claims = (("x-request-id", call_id), *CLAIMS)
        await method(Caller(admin.channel, admin.token, claims))
    await running.process.each_logged("call", "request_id", ids)
    lines = [line for line in running.process.log if line.get("request_id") in ids]
    assert [line["peer"] for line in lines] == ["127.0.0.1"] * 2


def authenticates(token: str | None) -> Callable[[Caller], Awaitable[object]]:
    return lambda caller: caller.authenticate(token or "")


async def test_json_is_served_with_tls_to_certified_clients(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with certifying(cluster, tmp_path) as running:
        context = trusting(CLIENTS.issue("curl"), tmp_path)
        url = f"https://{running.target}"
        async with httpx2.AsyncClient(base_url=url, verify=context) as client:
            answered = await client.post("/v1:authenticate", json={"token": running.admin_token})
            assert answered.json()["user"]["email"] == "admin@localhost"


async def test_a_build_that_asks_for_no_certificate_is_found_out(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = Bug(
        "app/front/certificates.py",
        guard="require_client_certificate=files.client_ca is not None",
        instead="require_client_certificate=False",
        scenario=lambda _service: asyncio.sleep(0),
    )
    build(bug, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with certifying(cluster, tmp_path) as running:
        with pytest.raises(AssertionError):
            await strangers_are_turned_away(running)

"""TLS and mutual TLS, with certificates from files."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.database import Cluster
from tests.support.service import Caller, Process, first_admin, refusal, serve


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ca = x509.BasicConstraints(ca=True, path_length=0)
        made = builder(subject, subject, key).add_extension(ca, critical=True)
        return cls(key, made.sign(key, hashes.SHA256()))

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A certificate for 127.0.0.1 and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = builder(subject, self.certificate.subject, key).add_extension(names, critical=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        signed = made.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), pem

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


OURS, CLIENTS, OTHERS = (Authority.new(name) for name in ("server", "clients", "others"))


@dataclass(frozen=True)
class Listening:
    process: Process
    target: str
    admin_token: str

    @asynccontextmanager
    async def caller(
        self, token: str | None, certificate: tuple[bytes, bytes] | None = None
    ) -> AsyncIterator[Caller]:
        """A client that trusts our authority, with a certificate or without."""
        chain, key = certificate or (None, None)
        credentials = grpc.ssl_channel_credentials(OURS.pem, key, chain)
        async with grpc.aio.secure_channel(self.target, credentials) as channel:
            yield Caller(channel, token)


@asynccontextmanager
async def listening(cluster: Cluster, place: Path, **settings: str) -> AsyncIterator[Listening]:
    certificate, key = OURS.issue("keywright")
    for name, pem in (("tls.crt", certificate), ("tls.key", key), ("clients.crt", CLIENTS.pem)):
        (place / name).write_bytes(pem)
    dsn = await cluster.migrated()
    token = await first_admin(dsn)
    files = {
        "tls_certificate_file": str(place / "tls.crt"),
        "tls_key_file": str(place / "tls.key"),
    }
    async with serve(dsn, **files, **settings) as process:
        target = (await process.logged("listening"))["listen"]
        running = Listening(process, target, token)
        async with running.caller(None, CLIENTS.issue("watcher")) as watcher:
            stub: Any = health_pb2_grpc.HealthStub(watcher.channel)
            async for update in stub.Watch(health_pb2.HealthCheckRequest()):
                if update.status == health_pb2.HealthCheckResponse.SERVING:
                    break
        yield running


async def test_tls_serves_who_trusts_the_server_and_nobody_in_plain_text(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with listening(cluster, tmp_path) as running:
        async with running.caller(running.admin_token) as admin:
            await admin.authenticate(running.admin_token)
        async with grpc.aio.insecure_channel(running.target) as channel:
            refused = await refusal(Caller(channel, None).list_keys())
            assert refused.code is grpc.StatusCode.UNAVAILABLE


async def test_a_client_without_a_certificate_of_the_client_authority_is_turned_away(
    cluster: Cluster, tmp_path: Path
) -> None:
    ca = str(tmp_path / "clients.crt")
    async with listening(cluster, tmp_path, tls_client_ca_file=ca) as running:
        for certificate in (None, OTHERS.issue("stranger")):
            async with running.caller(running.admin_token, certificate) as caller:
                refused = await refusal(caller.list_keys())
                assert refused.code is grpc.StatusCode.UNAVAILABLE
        # A certificate opens the door; who one is, only a credential says (`credentialed`).
        async with running.caller(None, CLIENTS.issue("sidecar")) as nobody:
            refused = await refusal(nobody.authenticate(running.admin_token))
            assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
            assert refused.reason == "CALLER_CREDENTIAL_MISSING"
        async with running.caller(running.admin_token, CLIENTS.issue("sidecar")) as admin:
            await admin.authenticate(running.admin_token)


async def test_a_certified_caller_may_authenticate_tokens_and_manage_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    ca = str(tmp_path / "clients.crt")
    async with (
        listening(cluster, tmp_path, tls_client_ca_file=ca, authenticate_callers="mtls") as running,
        running.caller(None, CLIENTS.issue("sidecar")) as sidecar,
    ):
        found = await sidecar.authenticate(running.admin_token)
        assert found.user.email == "admin@localhost"
        for call in (sidecar.create_key(), sidecar.list_keys()):
            refused = await refusal(call)
            assert refused.code is grpc.StatusCode.UNAUTHENTICATED
            assert refused.reason == "CALLER_CREDENTIAL_MISSING"


async def test_anybody_may_authenticate_tokens_where_the_operator_says_so(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with (
        listening(cluster, tmp_path, authenticate_callers="any") as running,
        running.caller(None) as anybody,
    ):
        await anybody.authenticate(running.admin_token)
        assert (await refusal(anybody.list_keys())).reason == "CALLER_CREDENTIAL_MISSING"

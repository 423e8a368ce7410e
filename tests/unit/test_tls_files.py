"""TLS from files: what is wrong with them is told, and what is renewed is used."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keywright.app.config import Config, load
from keywright.app.mistakes import ConfigurationError
from keywright.app.tls import TlsFiles, TlsFilesError


@dataclass(frozen=True)
class Identity:
    """A self-signed certificate for `localhost` and its key, as PEM."""

    certificate: bytes
    key: bytes
    encrypted_key: bytes


def identity() -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

    def key_pem(encryption: serialization.KeySerializationEncryption) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key_pem(serialization.NoEncryption()),
        key_pem(serialization.BestAvailableEncryption(b"hunter2")),
    )


ONE, OTHER = identity(), identity()


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    made = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")
    made.certificate.write_bytes(ONE.certificate)
    made.key.write_bytes(ONE.key)
    (tmp_path / "ca.crt").write_bytes(OTHER.certificate)
    return made


def without_client_ca(files: TlsFiles) -> TlsFiles:
    return TlsFiles(files.certificate, files.key)


def configured(files: TlsFiles) -> Config:
    return load(
        {
            "KEYWRIGHT_LISTEN": "0.0.0.0:7700",
            "KEYWRIGHT_TLS_CERTIFICATE_FILE": str(files.certificate),
            "KEYWRIGHT_TLS_KEY_FILE": str(files.key),
            "KEYWRIGHT_TLS_CLIENT_CA_FILE": str(files.client_ca),
            "KEYWRIGHT_AUTHENTICATE_CALLERS": "mtls",
        }
    )


def test_with_good_files_any_address_may_be_listened_on(files: TlsFiles) -> None:
    config = configured(files)
    config.verify(needs_database_url=False)
    assert config.tls == files


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("tls.crt", None, "CERTIFICATE_FILE .*: cannot be read: No such file or directory"),
        ("tls.crt", b"", "CERTIFICATE_FILE .*: must be a PEM file with one or more certificates"),
        ("tls.crt", ONE.key, "CERTIFICATE_FILE .*: must be a PEM file with one or more cert"),
        ("tls.key", None, "KEY_FILE .*: cannot be read: No such file or directory"),
        ("tls.key", ONE.certificate, "KEY_FILE .*: must be a PEM file with a private key"),
        ("tls.key", ONE.encrypted_key, "KEY_FILE .*: must be .* that is not encrypted"),
        ("tls.key", OTHER.key, "KEY_FILE .*: is not the key of the certificate"),
        ("ca.crt", None, "CLIENT_CA_FILE .*: cannot be read: No such file or directory"),
        ("ca.crt", b"\xff\0", "CLIENT_CA_FILE .*: must be a PEM file with one or more cert"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_would_be_right(
    files: TlsFiles, file: str, content: bytes | None, problem: str
) -> None:
    path = files.certificate.with_name(file)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"has a mistake:\n  KEYWRIGHT_TLS_{problem}"):
        configured(files).verify(needs_database_url=False)
    with pytest.raises(TlsFilesError):
        files.server_credentials()


def test_a_directory_and_a_path_with_a_nul_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError) as refused:
        TlsFiles(tmp_path, Path("tls\0.key")).read()
    assert refused.value.problems == {
        "certificate": "cannot be read: Is a directory",
        "key": "cannot be read: embedded null byte",
    }


async def echo(request: bytes, _context: object) -> bytes:
    return request


@asynccontextmanager
async def serving(files: TlsFiles) -> AsyncIterator[int]:
    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Echo", {"Echo": method}),)
    )
    port = server.add_secure_port("127.0.0.1:0", files.server_credentials())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def answers(port: int, trusted: Identity, client: Identity | None = None) -> bool:
    """Whether a new connection that trusts only `trusted` gets an answer."""
    credentials = grpc.ssl_channel_credentials(
        trusted.certificate,
        client.key if client else None,
        client.certificate if client else None,
    )
    options = (
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/test.Echo/Echo"
        )
        try:
            reply = await call(b"hello", timeout=10)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
            return False
        return reply == b"hello"


async def test_a_client_that_trusts_the_certificate_is_answered(files: TlsFiles) -> None:
    async with serving(without_client_ca(files)) as port:
        assert await answers(port, ONE)
        assert not await answers(port, OTHER)


async def test_with_a_client_ca_only_clients_with_its_certificate_are_answered(
    files: TlsFiles,
) -> None:
    async with serving(files) as port:
        assert await answers(port, ONE, client=OTHER)
        assert not await answers(port, ONE)
        assert not await answers(port, ONE, client=ONE)


async def test_a_renewed_certificate_is_used_without_a_restart(files: TlsFiles) -> None:
    async with serving(without_client_ca(files)) as port:
        assert await answers(port, ONE)
        files.certificate.write_bytes(OTHER.certificate)
        assert await answers(port, ONE), "half renewed: the old pair goes on"
        files.key.write_bytes(OTHER.key)
        assert await answers(port, OTHER)
        assert not await answers(port, ONE)


async def test_a_file_that_disappears_leaves_the_old_certificate_in_use(files: TlsFiles) -> None:
    async with serving(without_client_ca(files)) as port:
        files.key.unlink()
        assert await answers(port, ONE)


async def test_a_certificate_swapped_by_a_symbolic_link_is_used(
    files: TlsFiles, tmp_path: Path
) -> None:
    for name, made in (("one", ONE), ("other", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_bytes(made.certificate)
        (tmp_path / name / "tls.key").write_bytes(made.key)
    (tmp_path / "now").symlink_to("one")
    linked = TlsFiles(tmp_path / "now" / "tls.crt", tmp_path / "now" / "tls.key")
    async with serving(linked) as port:
        assert await answers(port, ONE)
        (tmp_path / "next").symlink_to("other")
        (tmp_path / "next").replace(tmp_path / "now")
        assert await answers(port, OTHER)


async def test_a_renewed_client_ca_decides_about_new_connections(files: TlsFiles) -> None:
    assert files.client_ca
    async with serving(files) as port:
        files.client_ca.write_bytes(ONE.certificate)
        assert await answers(port, ONE, client=ONE)
        assert not await answers(port, ONE, client=OTHER)

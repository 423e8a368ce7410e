"""The settings of the audit trail, and what an operator is told of mistakes in them."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from keywright.app.config import Config, load
from keywright.app.mistakes import ConfigurationError

KEY = ed25519.Ed25519PrivateKey.generate()


def pem(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def mistakes(**settings: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load({f"KEYWRIGHT_{name.upper()}": value for name, value in settings.items()}).verify(
            needs_database_url=False
        )
    return str(refused.value)


def test_a_key_file_signs(tmp_path: Path) -> None:
    file = tmp_path / "audit.pem"
    file.write_bytes(pem(KEY))
    config = load({"KEYWRIGHT_AUDIT_SIGNING_KEY_FILE": str(file)})
    config.verify(needs_database_url=False)
    signer = config.audit_signer()
    assert signer is not None
    assert signer.public_key == KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        KEY.public_key().public_bytes_raw(),
        pem(KEY, BestAvailableEncryption(b"secret")),
        pem(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["empty", "no PEM", "a public key", "encrypted", "of another kind"],
)
def test_a_file_without_such_a_key_is_told_at_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "audit.pem"
    file.write_bytes(content)
    told = mistakes(audit_signing_key_file=str(file))
    assert "KEYWRIGHT_AUDIT_SIGNING_KEY_FILE" in told
    assert "must be a PEM file with an Ed25519 private key" in told


def test_a_file_that_is_not_there_is_told_at_start(tmp_path: Path) -> None:
    told = mistakes(audit_signing_key_file=str(tmp_path / "nothing"))
    assert "cannot be read: No such file or directory" in told


def test_public_keys_are_listed_with_commas() -> None:
    keys = [bytes([number]) * 32 for number in range(2)]
    written = ", ".join(base64.b64encode(each).decode() for each in keys)
    config = load({"KEYWRIGHT_AUDIT_PUBLIC_KEYS": written})
    assert config.audit_public_keys.public_keys == set(keys)
    assert not Config().audit_public_keys.public_keys
    assert not load({"KEYWRIGHT_AUDIT_PUBLIC_KEYS": ""}).audit_public_keys.public_keys


@pytest.mark.parametrize("written", ["x", "AAAA", base64.b64encode(bytes(33)).decode()])
def test_what_is_no_public_key_is_told_at_start(written: str) -> None:
    assert "must be public keys of 32 bytes each in base64" in mistakes(audit_public_keys=written)


def test_everything_is_kept_unless_a_retention_is_set() -> None:
    assert Config().audit_retention is None
    assert load({"KEYWRIGHT_AUDIT_RETENTION": ""}).audit_retention is None
    kept = load({"KEYWRIGHT_AUDIT_RETENTION": "400d"}).audit_retention
    assert kept == timedelta(days=400)
    assert "from 31d to 36500d" in mistakes(audit_retention="30d")

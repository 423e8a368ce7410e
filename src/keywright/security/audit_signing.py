"""Signatures of the audit trail's seals: Ed25519 (RFC 8032)."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from keywright.domain.audit_trail import Seal

_PUBLIC_KEY_BYTES = 32


class AuditKeyError(ValueError):
    """The file has no key to sign with; the message follows a setting's name."""


@dataclass(frozen=True, slots=True)
class AuditSigner:
    """Signs digests of seals."""

    private_key: Ed25519PrivateKey

    @classmethod
    def read(cls, file: Path) -> Self:
        """The key in a PEM file (PKCS #8, not encrypted).

        Raises:
            AuditKeyError: there is none; says nothing of what is there.
        """
        try:
            key = load_pem_private_key(file.read_bytes(), password=None)
        except OSError as error:
            raise AuditKeyError(f"cannot be read: {error.strerror}") from None
        except (TypeError, ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise AuditKeyError(
                "must be a PEM file with an Ed25519 private key that is not encrypted"
                " (openssl genpkey -algorithm ed25519)"
            )
        return cls(key)

    @classmethod
    def of_seed(cls, seed: bytes) -> Self:
        """The key that 32 bytes make."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_key(self) -> bytes:
        """What verifies its signatures, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    def sign(self, digest: bytes) -> bytes:
        """A signature, 64 bytes."""
        return self.private_key.sign(digest)


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The public keys whose signatures count."""

    public_keys: frozenset[bytes] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Keys as an operator writes them: 32 bytes each in base64, with commas between.

        Raises:
            ValueError: it is written otherwise.
        """
        return cls(frozenset(map(_public_key, filter(None, text.split(",")))))

    def and_of(self, signer: AuditSigner) -> "TrustedKeys":
        """These, and the one that signs."""
        return TrustedKeys(self.public_keys | {signer.public_key})

    def have_signed(self, seal: Seal) -> bool:
        """Whether the digest of a seal has the signature of one of them."""
        if seal.public_key not in self.public_keys:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(seal.public_key).verify(seal.signature, seal.digest)
        except InvalidSignature:
            return False
        return True


def _public_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _PUBLIC_KEY_BYTES:
        raise ValueError("must be public keys of 32 bytes each in base64, with commas between")
    return key

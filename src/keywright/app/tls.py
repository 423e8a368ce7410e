"""TLS from files, read again when they change: a renewed certificate needs no restart."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import grpc
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

_Loaded = TypeVar("_Loaded")
_Fingerprint = tuple[tuple[int, int, int], ...]

_log = structlog.get_logger()


class TlsFilesError(ValueError):
    """The files cannot be used.

    Attributes:
        problems: what is wrong, by `TlsFiles` attribute; never a file's content.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {problem}" for name, problem in problems.items()))
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files lie.

    Attributes:
        certificate: the server's certificate, then the intermediate ones in order.
        key: its private key, not encrypted.
        client_ca: who signs client certificates (mTLS); if given, a client must present one.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files and check that they belong together.

        Raises:
            TlsFilesError: with every problem at once.
        """
        problems: dict[str, str] = {}

        def attempt(
            name: str, load: Callable[[bytes], _Loaded], path: Path
        ) -> tuple[bytes, _Loaded | None]:
            try:
                pem = path.read_bytes()
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                problems[name] = f"cannot be read: {getattr(error, 'strerror', None) or error}"
                return b"", None
            try:
                return pem, load(pem)
            except (TypeError, ValueError, UnsupportedAlgorithm):
                # OpenSSL's own words say little to an operator.
                problems[name] = f"must be {_MUST_BE[name]}"
                return b"", None

        certificate, certified = attempt("certificate", _certified_key, self.certificate)
        key, public = attempt("key", _public_key, self.key)
        client_ca = (
            attempt("client_ca", _certified_key, self.client_ca)[0] if self.client_ca else None
        )
        if certified is not None and public is not None and certified != public:
            problems["key"] = "is not the key of the certificate"
        if problems:
            raise TlsFilesError(problems)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)

    def server_credentials(self) -> grpc.ServerCredentials:
        """What a gRPC server listens with; each new connection sees the files as they are then.

        Connections that are open keep what they began with, until `max_connection_age` ends them.

        Raises:
            TlsFilesError: with every problem at once.
        """
        renewal = self.renewal()
        return grpc.dynamic_ssl_server_credentials(
            self.read(),
            # The stub does not know that None means "as before".
            cast("Callable[[], grpc.ServerCertificateConfiguration]", renewal),
            require_client_authentication=self.client_ca is not None,
        )

    def renewal(self) -> "Renewal":
        """What tells when the files are other ones than now."""
        return Renewal(self, self.fingerprint())

    def fingerprint(self) -> _Fingerprint | None:
        """What differs as soon as a file was written or replaced; None while one is missing."""
        paths = [path for path in (self.certificate, self.key, self.client_ca) if path]
        try:
            stats = [path.stat() for path in paths]
        except (OSError, ValueError):
            return None
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in stats)


@dataclass(slots=True)
class Renewal:
    """What the files have become, once; None as long as they are what they were.

    Called by gRPC at each new connection, on a thread of its own.

    Certificate and key are two files and cannot change at once: between the two writes they do not
    match, and the old ones go on until both are there.
    """

    files: TlsFiles
    known: _Fingerprint | None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        """What they are now, if they have changed and fit together."""
        with self.lock:
            # Taken before the files are read: what changes meanwhile is seen at the next call.
            now = self.files.fingerprint()
            if now == self.known:
                return None
            self.known = now
            try:
                renewed = self.files.read()
            except TlsFilesError as error:
                _log.warning("tls files refused, the old ones go on", error=str(error))
                return None
            _log.info("tls files renewed")
            return renewed


_MUST_BE = {
    "certificate": "a PEM file with one or more certificates",
    "key": "a PEM file with a private key that is not encrypted",
    "client_ca": "a PEM file with one or more certificates",
}


def _certified_key(pem: bytes) -> CertificatePublicKeyTypes:
    return load_pem_x509_certificates(pem)[0].public_key()


def _public_key(pem: bytes) -> object:
    return load_pem_private_key(pem, password=None).public_key()

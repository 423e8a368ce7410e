"""The way to a server: gRPC channels, with TLS or without."""

import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from keywright import __version__
from keywright.sdk.connection import forks
from keywright.sdk.connection.address import Address
from keywright.sdk.connection.argument_types import other
from keywright.sdk.connection.config_file import ConfigFile
from keywright.sdk.errors import ConfigurationError

Channel = TypeVar("Channel")

# Channel arguments of gRPC (grpc/impl/channel_arg_names.h). The server permits pings at any rate.
_OPTIONS: Sequence[tuple[str, int | str]] = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # How long a server that is out of reach is left alone: 0.1 s first, 10 s at most. gRPC's 120 s
    # are longer than a deployment takes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long it is waited for a connection
    # A name is resolved again when a connection is lost, but not more often than this.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_send_message_length", 16 * 2**20),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.primary_user_agent", f"keywright-python/{__version__}"),
]
# Calls go to all addresses in turn, but to those that do not answer (gRFC A2).
_IN_TURN = ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]}))


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for TLS: who may have signed the server's certificate, and who we are.

    `certificate` and `key` are for a server that asks its clients for certificates (mTLS).
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC takes.

        Raises:
            ConfigurationError: `TLS_FILE_INVALID`.
        """
        if (self.certificate is None) != (self.key is None):
            raise ConfigurationError(
                "a client certificate and its key are given together, or not at all",
                reason="TLS_FILE_INVALID",
            )
        ca = _pem("ca_file", self.ca, "CERTIFICATE")
        key = _pem("key_file", self.key, "PRIVATE KEY")
        chain = _pem("certificate_file", self.certificate, "CERTIFICATE")
        if ca is not None:
            _check_ca(ca, self.ca)
        if self.certificate is not None and self.key is not None:
            _check_pair(self.certificate, self.key)
        return grpc.ssl_channel_credentials(
            root_certificates=ca, private_key=key, certificate_chain=chain
        )


NO_TLS_FILES = TlsFiles()


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a server, from which channels are made; each connects with its first call."""

    uri: str
    address: Address
    credentials: grpc.ChannelCredentials | None

    @classmethod
    def find(
        cls,
        uri: str,
        given: TlsFiles,
        environ: Mapping[str, str],
        *,
        allow_plaintext: bool,
    ) -> "Way":
        """As `to`; files for TLS that are not given are those of the configuration file."""
        if not Address.parse(uri).tls:
            return cls.to(uri, given, allow_plaintext=allow_plaintext)
        config = ConfigFile.find(environ)
        certificate, key = given.certificate, given.key
        if certificate is None and key is None:
            certificate, key = config.get_file("certificate_file"), config.get_file("key_file")
        found = TlsFiles(given.ca or config.get_file("ca_file"), certificate, key)
        try:
            return cls.to(uri, found, allow_plaintext=allow_plaintext)
        except ConfigurationError as error:
            if found == given:
                raise
            told = f"{error.message} (what was not given is of {config.path})"
            raise ConfigurationError(told, reason=error.reason) from None

    @classmethod
    def to(cls, uri: str, tls_files: TlsFiles, *, allow_plaintext: bool) -> "Way":
        """The way to an address.

        Raises:
            ConfigurationError: `URI_MALFORMED`; `PLAINTEXT_REFUSED` where the key would cross a
                network readable; `TLS_FILE_INVALID`, also where there is no TLS that could use one.
        """
        address = Address.parse(uri)
        if address.tls:
            return cls(uri, address, tls_files.credentials())
        if tls_files != NO_TLS_FILES:
            raise ConfigurationError(
                f"certificates are of no use with {uri}: TLS takes grpcs://",
                reason="TLS_FILE_INVALID",
            )
        if not (address.stays_here or allow_plaintext):
            raise ConfigurationError(
                f"{uri} would be called in plain text, and the key be readable on the network: use "
                "grpcs:// for TLS, or allow plain text if something else protects this connection",
                reason="PLAINTEXT_REFUSED",
            )
        return cls(uri, address, None)

    def channel(self) -> grpc.Channel:
        """A channel for blocking calls."""
        return self._open(grpc.secure_channel, grpc.insecure_channel, ())

    def async_channel(self, options: Sequence[tuple[str, int | str]] = ()) -> grpc.aio.Channel:
        """A channel of grpc.aio, which belongs to the event loop that runs.

        Args:
            options: more channel arguments of gRPC.
        """
        return forks.runs(self._open(grpc.aio.secure_channel, grpc.aio.insecure_channel, options))

    def _open(
        self,
        secure: Callable[..., Channel],
        insecure: Callable[..., Channel],
        more: Sequence[tuple[str, int | str]],
    ) -> Channel:
        forks.check()
        options = [*_OPTIONS, *more]
        if self.address.authority is not None:
            options.append(("grpc.default_authority", self.address.authority))
        if self.address.authority is not None or not self.address.stays_here:
            options.append(_IN_TURN)
        if self.credentials is not None:
            return secure(self.address.target, self.credentials, options=options)
        # A proxy from the environment would carry the key in plain text to another machine.
        return insecure(self.address.target, options=[*options, ("grpc.enable_http_proxy", 0)])


def _pem(setting: str, file: Path | None, kind: str) -> bytes | None:
    if file is None:
        return None
    if not isinstance(file, Path | str):  # whoever checks no types may have given a text
        raise other(setting, "a Path", file)
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {file} cannot be read: {error.strerror}", reason="TLS_FILE_INVALID"
        ) from error
    if f"{kind}-----".encode() not in content:
        raise ConfigurationError(
            f"{setting}: {file} contains no {kind.lower()} in PEM form", reason="TLS_FILE_INVALID"
        )
    return content


# gRPC says of such files only that a handshaker failed, call by call, as if a server were away.
def _check_ca(content: bytes, file: Path | None) -> None:
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    except ssl.SSLError:
        raise ConfigurationError(
            f"ca_file: a certificate in {file} is damaged", reason="TLS_FILE_INVALID"
        ) from None


def _check_pair(certificate: Path, key: Path) -> None:
    if not (Path(certificate).is_file() and Path(key).is_file()):  # a pipe is read only once
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # how strong keys must be is for the server to say
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        raise ConfigurationError(
            f"{certificate} and {key} are no certificate and its key as PEM, not encrypted",
            reason="TLS_FILE_INVALID",
        ) from None

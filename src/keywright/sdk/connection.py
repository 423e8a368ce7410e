"""The way to a server: its address, and a gRPC channel to it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import grpc

from keywright import __version__
from keywright.sdk.errors import ConfigurationError

_DEFAULT_PORT = 7700
_PORT_MAX = 65535
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?/?"
)
_FORMS = (
    "an address is written 127.0.0.1:7700, grpc://host:7700 (plain text), grpcs://host:7700 (TLS) "
    "or unix:/path"
)

# Channel arguments of gRPC (grpc/impl/channel_arg_names.h). The server permits a ping each 10 s.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.max_send_message_length", 16 * 2**20),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.primary_user_agent", f"keywright-python/{__version__}"),
]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `target` is as gRPC takes it."""

    target: str
    tls: bool
    stays_here: bool
    """Whether what is sent crosses no network: loopback and UNIX sockets."""

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """The address that `127.0.0.1:7700`, `grpc://`, `grpcs://` or `unix:/path` says.

        Raises:
            ConfigurationError: `URI_MALFORMED`.
        """
        if uri.startswith("unix:"):
            # unix:/path and unix:///path are the same (gRPC name resolution).
            path = re.sub(r"\A//(?=/)", "", uri.removeprefix("unix:"))
            if not path.startswith("/") or path.startswith("//") or "\0" in path:
                raise _malformed(uri)
            return cls(f"unix:{quote(path)}", tls=False, stays_here=True)
        scheme = _SCHEME.match(uri)
        rest = uri[scheme.end() :] if scheme else uri
        kind = scheme["scheme"].lower() if scheme else "grpc"
        match = _HOST_PORT.fullmatch(rest)
        if match is None or kind not in {"grpc", "grpcs"}:
            raise _malformed(uri)
        port = int(match["port"] or _DEFAULT_PORT)
        if not 1 <= port <= _PORT_MAX:
            raise _malformed(uri)
        host = f"[{match['v6']}]" if match["v6"] else match["host"]
        # With its resolver named, no host can be taken for a scheme of gRPC's (`xds:7700`).
        return cls(
            f"dns:///{host}:{port}",
            tls=kind == "grpcs",
            stays_here=_is_loopback(match["v6"] or host),
        )


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
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.ca, "CERTIFICATE"),
            private_key=_pem(self.key, "PRIVATE KEY"),
            certificate_chain=_pem(self.certificate, "CERTIFICATE"),
        )


NO_TLS_FILES = TlsFiles()


def open_channel(
    uri: str, *, tls_files: TlsFiles = NO_TLS_FILES, allow_plaintext: bool
) -> grpc.Channel:
    """A channel to a server; it connects with the first call.

    Raises:
        ConfigurationError: `URI_MALFORMED`; `PLAINTEXT_REFUSED` where the key would cross a network
            readable; `TLS_FILE_INVALID`, also where there is no TLS that could use one.
    """
    address = Address.parse(uri)
    if address.tls:
        return grpc.secure_channel(address.target, tls_files.credentials(), options=_OPTIONS)
    if tls_files != NO_TLS_FILES:
        raise ConfigurationError(
            f"certificates are of no use with {uri}: TLS takes grpcs://", reason="TLS_FILE_INVALID"
        )
    if not (address.stays_here or allow_plaintext):
        raise ConfigurationError(
            f"{uri} would be called in plain text, and the key be readable on the network: use "
            "grpcs:// for TLS, or allow plain text if something else protects this connection",
            reason="PLAINTEXT_REFUSED",
        )
    # A proxy from the environment would carry the key in plain text to another machine.
    return grpc.insecure_channel(address.target, options=[*_OPTIONS, ("grpc.enable_http_proxy", 0)])


def _pem(file: Path | None, kind: str) -> bytes | None:
    if file is None:
        return None
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}", reason="TLS_FILE_INVALID"
        ) from error
    if f"{kind}-----".encode() not in content:
        raise ConfigurationError(
            f"{file} contains no {kind.lower()} in PEM form", reason="TLS_FILE_INVALID"
        )
    return content


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # any other name may come to mean any address
        return host.lower() == "localhost"


def _malformed(uri: str) -> ConfigurationError:
    return ConfigurationError(f"{uri!r} is no address: {_FORMS}", reason="URI_MALFORMED")

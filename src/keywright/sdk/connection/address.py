"""Addresses of servers: from what people write to what gRPC takes."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote

from keywright.sdk.errors import ConfigurationError

UNIX_PATH_MAX_BYTES = 107
"""`sun_path` of unix(7) on Linux, less the byte that ends it."""
_DEFAULT_PORT = 7700
_PORT_MAX = 65535
_IN_BRACKETS = 6
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?/?"
)
_FORMS = (
    "an address is written 127.0.0.1:7700, grpc://host:7700 (plain text), grpcs://host:7700 (TLS) "
    "or unix:/path; of several servers, grpcs://10.0.0.1:7700,10.0.0.2:7700"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, or several that do the same.

    Attributes:
        target: as gRPC takes it.
        tls: whether they are called with TLS.
        stays_here: whether what is sent crosses no network: loopback and UNIX sockets.
        authority: of several servers, what each is called, and has to have a certificate for.
    """

    target: str
    tls: bool
    stays_here: bool
    authority: str | None = None

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """The address that `127.0.0.1:7700`, `grpc://`, `grpcs://` or `unix:/path` says.

        Several, with commas between them, are IP addresses of one family. What stands before the
        first, `grpcs://`, counts for those that have nothing before them.

        Raises:
            ConfigurationError: `URI_MALFORMED`.
        """
        if uri.startswith("unix:"):
            # unix:/path and unix:///path are the same (gRPC name resolution).
            path = re.sub(r"\A//(?=/)", "", uri.removeprefix("unix:"))
            if not path.startswith("/") or path.startswith("//") or "\0" in path:
                raise _malformed(uri)
            if len(os.fsencode(path)) > UNIX_PATH_MAX_BYTES:
                raise ConfigurationError(
                    f"{uri!r} is longer than a socket's path may be, {UNIX_PATH_MAX_BYTES} bytes",
                    reason="URI_MALFORMED",
                )
            return cls(f"unix:{quote(path)}", tls=False, stays_here=True)
        first, *others = uri.split(",")
        host = _Host.parse(uri, first, "grpc")
        if not others:
            # With its resolver named, no host can be taken for a scheme of gRPC's (`xds:7700`).
            return cls(f"dns:///{host}", tls=host.tls, stays_here=host.is_loopback)
        hosts = [host, *(_Host.parse(uri, each, host.scheme) for each in others)]
        if len({each.tls for each in hosts}) > 1:
            raise ConfigurationError(
                f"{uri!r} mixes grpc:// and grpcs://: servers that do the same are all called with "
                "TLS, or all without",
                reason="URI_MALFORMED",
            )
        families = {each.family for each in hosts}
        if len(families) > 1 or 0 in families:
            raise ConfigurationError(
                f"{uri!r} cannot be called as one: several servers are given as IP addresses, all "
                "IPv4 or all IPv6, or as one DNS name that has all their addresses",
                reason="URI_MALFORMED",
            )
        return cls(
            f"ipv{host.family}:{','.join(map(str, hosts))}",
            tls=host.tls,
            stays_here=all(each.is_loopback for each in hosts),
            authority=str(host),
        )


@dataclass(frozen=True, slots=True)
class _Host:
    """One of the servers."""

    name: str
    port: int
    scheme: str

    @classmethod
    def parse(cls, uri: str, text: str, default_scheme: str) -> "_Host":
        scheme = _SCHEME.match(text)
        kind = scheme["scheme"].lower() if scheme else default_scheme
        match = _HOST_PORT.fullmatch(text[scheme.end() :] if scheme else text)
        if match is None or kind not in {"grpc", "grpcs"}:
            raise _malformed(uri)
        port = int(match["port"] or _DEFAULT_PORT)
        if not 1 <= port <= _PORT_MAX:
            raise _malformed(uri)
        found = cls(match["v6"] or match["host"], port, kind)
        if match["v6"] and found.family != _IN_BRACKETS:
            raise _malformed(uri)
        return found

    @property
    def tls(self) -> bool:
        return self.scheme == "grpcs"

    @property
    def family(self) -> int:
        """4 or 6; 0 for a name."""
        try:
            return ip_address(self.name).version
        except ValueError:
            return 0

    @property
    def is_loopback(self) -> bool:
        if self.family:
            return ip_address(self.name).is_loopback
        return self.name.lower() == "localhost"  # any other name may come to mean any address

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def _malformed(uri: str) -> ConfigurationError:
    return ConfigurationError(f"{uri!r} is no address: {_FORMS}", reason="URI_MALFORMED")

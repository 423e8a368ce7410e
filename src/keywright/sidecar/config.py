"""The sidecar's configuration: one TOML file, read once, verified before anything starts.

docs/guides/sidecar.md describes it. It has no secrets in it: the server's address and the key to
call it with come from the command line and the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network

from keywright.listening import ListenAddress, TcpAddress
from keywright.programs.limited_http import HttpLimits
from keywright.sdk.drop_ins.routes import Routes
from keywright.sidecar.headers import IdentityHeaders

Network = IPv4Network | IPv6Network


class CredentialSource(Enum):
    """A place that a key may be presented in. Never the query: it is logged everywhere."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    BASIC = "basic"
    """The password of HTTP Basic (RFC 7617), for git, pip and their like; the name is ignored."""


class AccessLog(Enum):
    """Which decisions get a line."""

    ALL = "all"
    DENIED = "denied"
    OFF = "off"


class Front(Enum):
    """What Envoy's calls come in by."""

    GRPC = "grpc"
    ENVOY = "envoy"
    """An Envoy of the sidecar's own, which Python runs in: the same answers, at a higher rate."""


class Proxy(Enum):
    """Who asks over HTTP: it says where the original request is told, and what is understood."""

    NGINX = "nginx"
    TRAEFIK = "traefik"
    CADDY = "caddy"


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """The headers that a proxy tells the original request in, in lower case."""

    method: str
    target: str
    client_address: str = "x-forwarded-for"

    @property
    def names(self) -> tuple[str, str, str]:
        """All of them."""
        return self.method, self.target, self.client_address


_FORWARDED = OriginalRequest("x-forwarded-method", "x-forwarded-uri")
ORIGINAL_REQUEST: Mapping[Proxy, OriginalRequest] = {
    Proxy.NGINX: OriginalRequest("x-original-method", "x-original-uri"),
    Proxy.TRAEFIK: _FORWARDED,
    Proxy.CADDY: _FORWARDED,
}


@dataclass(frozen=True, slots=True)
class ForwardAuth:
    """Forward authentication: which proxy, and from where it may ask (UNIX sockets: always)."""

    proxy: Proxy
    trusted_proxies: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Limits(HttpLimits):
    """What is taken at most."""

    message_bytes: int = 1_048_576
    """A `Check`, which may contain the body of the original request."""
    concurrent_requests: int = 1_000
    """Requests that wait for the server at a time."""
    connections: int = 1_000
    """Over HTTP; of Envoys, where one of the sidecar's own takes them."""


DEFAULT_HTTP = TcpAddress("127.0.0.1", 7710)
DEFAULT_ENVOY = TcpAddress("127.0.0.1", 7711)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the file says. A None address: not listened on."""

    routes: Routes
    http: ListenAddress | None = DEFAULT_HTTP
    envoy: ListenAddress | None = DEFAULT_ENVOY
    credentials: frozenset[CredentialSource] = frozenset(
        {CredentialSource.BEARER, CredentialSource.X_API_KEY}
    )
    identity: IdentityHeaders = field(default_factory=IdentityHeaders)
    forward_auth: ForwardAuth | None = None
    limits: Limits = field(default_factory=Limits)
    access_log: AccessLog = AccessLog.ALL
    front: Front = Front.GRPC

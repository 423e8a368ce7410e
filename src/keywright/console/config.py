"""The console's configuration, verified before anything starts; docs/guides/console.md has it."""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from keywright.listening import ListenAddress, TcpAddress
from keywright.programs.limited_http import HttpLimits

Network = IPv4Network | IPv6Network


class SignIn(Enum):
    """A way to sign in that the console offers."""

    LINK = "link"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class OpenIdConnect:
    """The provider that people sign in with; the server has to trust it, too (`oidc_issuer`).

    Attributes:
        workspace: the id of the workspace that people sign in to.
        client_secret_file: none for a public client, which PKCE alone protects.
        label: what the button says.
    """

    issuer: str
    client_id: str
    workspace: str
    client_secret_file: Path | None = None
    label: str = "Sign in with single sign-on"
    scopes: tuple[str, ...] = ("openid", "email")


@dataclass(frozen=True, slots=True)
class Limits(HttpLimits):
    """What is taken at most."""

    connections: int = 500
    body_bytes: int = 65_536
    """A form."""
    sign_ins_per_minute: int = 10
    """Attempts to sign in, of one address."""


DEFAULT_LISTEN = TcpAddress("127.0.0.1", 7701)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the file says.

    Attributes:
        public_url: the console's address as browsers see it, without a path; empty: where it
            listens, over plain HTTP and on this machine only.
        trusted_proxies: whose `X-Forwarded-For` tells the client's address.
    """

    listen: ListenAddress = DEFAULT_LISTEN
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    sign_in: frozenset[SignIn] = frozenset({SignIn.LINK, SignIn.KEY})
    openid_connect: OpenIdConnect | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it over HTTPS."""
        return self.public_url.startswith("https://")

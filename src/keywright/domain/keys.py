"""Keys: the record of an API key, its state, and the networks it may be used from."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from keywright.domain.names import KeyName
from keywright.domain.roles import Role

SCOPES_MAX_COUNT = 100
NETWORKS_MAX_COUNT = 100
_MAPPED_PREFIX_LENGTH = 96  # ::ffff:0:0/96 (RFC 4291 section 2.5.5.2)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class KeyState(StrEnum):
    """The states of a key. `EXPIRED` follows from the clock; `REVOKED` is final."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class KeyOrder(StrEnum):
    """What a list of keys can be sorted by."""

    CREATE_TIME = "create_time"
    DISPLAY_NAME = "display_name"
    EXPIRE_TIME = "expire_time"
    LAST_USED_TIME = "last_used_time"
    ROTATE_TIME = "rotate_time"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often a key may be used; stored here, enforced by sidecars and SDK."""

    requests: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a key takes away from its user's authority. Nothing, by default."""

    role: Role | None = None
    scopes: tuple[str, ...] = ()
    resource: str = ""
    allowed_networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A user as a key's record remembers it: the e-mail stays when the user is gone."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class Key:
    """The record of an API key; the secret is elsewhere. Times are UTC."""

    workspace_id: str
    key_id: str
    owner: Person
    creator: Person
    creator_credential: str
    display_name: str
    narrowing: Narrowing
    environment: str
    prefix: str
    stored_state: KeyState
    create_time: datetime
    update_time: datetime
    rotate_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_used_time: datetime | None = None
    last_used_address: str = ""
    retiring_prefix: str = ""
    retire_time: datetime | None = None
    rate_limit: RateLimit | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    internal_id: int = 0
    owner_internal_id: int | None = None

    @property
    def name(self) -> KeyName:
        """The resource name."""
        return KeyName(self.workspace_id, self.key_id)

    def state(self, now: datetime) -> KeyState:
        """The state at `now`: revocation outlasts expiry, expiry outlasts being disabled."""
        return state_at(self.stored_state, self.expire_time, now)


@dataclass(frozen=True, slots=True)
class KeyAt:
    """A key and the moment, on the database's clock, at which it was read."""

    key: Key
    now: datetime

    @property
    def state(self) -> KeyState:
        """The key's state at that moment."""
        return self.key.state(self.now)


def state_at(stored: KeyState, expire_time: datetime | None, now: datetime) -> KeyState:
    """The state at `now` of a key stored as `stored`. Expired *at* `expire_time` already (G6)."""
    if stored is not KeyState.REVOKED and expire_time is not None and now >= expire_time:
        return KeyState.EXPIRED
    return stored


def parse_address(text: str) -> Address:
    """An IP address, IPv4-mapped IPv6 (`::ffff:192.0.2.1`) taken as the IPv4 address it is.

    Raises:
        ValueError: `text` is not an address, or has a zone (`fe80::1%eth0`, RFC 4007), which means
            something on one machine only.
    """
    _refuse_zone(text)
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """An IP network; an address alone is a network of one. IPv4-mapped IPv6 as in an address.

    Raises:
        ValueError: `text` is not a network, has host bits, or has a zone.
    """
    _refuse_zone(text)
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_PREFIX_LENGTH:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX_LENGTH))


def _refuse_zone(text: str) -> None:
    if "%" in text:
        raise ValueError("a zone means nothing on another machine")

"""What a caller asks of keys, in the domain's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from keywright.domain.keys import KeyOrder, KeyState, Narrowing, Network, RateLimit
from keywright.domain.names import RoleName, UserName


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What a caller asks of a new key. Empty is: the default."""

    key_id: str = ""
    user: UserName | None = None
    display_name: str = ""
    role: RoleName | None = None
    scopes: tuple[str, ...] = ()
    resource: str = ""
    environment: str = ""
    allowed_networks: tuple[Network, ...] = ()
    rate_limit: RateLimit | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ttl: timedelta | None = None
    expire_time: datetime | None = None
    never_expires: bool = False

    @property
    def narrowing(self) -> Narrowing:
        """What is to be taken away, but for the role, which is only named so far."""
        return Narrowing(None, self.scopes, self.resource, self.allowed_networks)


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """New values for a key; `fields` are the names of those that count."""

    fields: frozenset[str]
    values: KeySpec


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """Which keys a caller means. Empty asks nothing."""

    states: frozenset[KeyState] = frozenset()
    user: UserName | None = None
    creator: UserName | None = None
    resource: str = ""
    role: RoleName | None = None
    environment: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    expires_before: datetime | None = None
    unused_since: datetime | None = None
    unrotated_since: datetime | None = None
    search: str = ""


@dataclass(frozen=True, slots=True)
class Sorting:
    """In which order a list of keys comes; newest first if nothing else is asked."""

    order: KeyOrder = KeyOrder.CREATE_TIME
    descending: bool = True

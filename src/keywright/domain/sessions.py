"""Sessions: signed-in people. A session carries its user's whole authority, also a guest's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from keywright.domain.keys import Narrowing, Person, RateLimit
from keywright.domain.names import KeyName, SessionName

SESSION_WORD = "session"
"""What stands in the token of a session where that of a key says its environment."""
LINK_WORD = "signin"
"""What stands there in what a sign-in link carries."""
LINK_LIFETIME = timedelta(minutes=5)
SESSIONS_MAX_COUNT = 50
"""Sessions of a user that stand at a time: one more ends the one that was unused for longest."""

_NOTHING_TAKEN = Narrowing()
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


class SignInMethod(StrEnum):
    """How a person proved who they are."""

    LINK = "LINK"
    KEY = "KEY"
    OPENID_CONNECT = "OPENID_CONNECT"


class SessionState(StrEnum):
    """The states of a session. `EXPIRED` follows from the clock; `REVOKED` is final.

    Unless it follows from the key that opened the session: a key can be given back.
    """

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long sessions stand: without being used, and at all."""

    idle: timedelta
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """A key that opened a session: by it the session stands or falls."""

    name: KeyName
    internal_id: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person; the secret is elsewhere. Times are UTC.

    What a key has and a session has not is there as nothing, so that either is a credential.

    Attributes:
        opening_key: the key that opened it, if one did and is there.
        is_withdrawn: whether it was opened by a key that could not open it any more.
        expire_time: its end, or that of the token that opened it.
        not_after: when what is created in it has to end: with what it was opened by; None: never.
    """

    workspace_id: str
    session_id: str
    user: Person
    method: SignInMethod
    create_time: datetime
    expire_time: datetime
    idle_timeout: timedelta
    last_used_time: datetime
    revoke_time: datetime | None = None
    opening_key: OpeningKey | None = None
    is_withdrawn: bool = False
    not_after: datetime | None = None
    client_address: str = ""
    user_agent: str = ""
    internal_id: int = 0
    user_internal_id: int = 0

    @property
    def name(self) -> SessionName:
        """The resource name."""
        return SessionName(self.workspace_id, self.session_id)

    @property
    def idle_expire_time(self) -> datetime:
        """When it ends unless it is used before."""
        return min(self.expire_time, self.last_used_time + self.idle_timeout)

    def state(self, now: datetime) -> SessionState:
        """The state at `now`. Expired *at* its end already (G6)."""
        if self.revoke_time is not None or self.is_withdrawn:
            return SessionState.REVOKED
        return SessionState.EXPIRED if now >= self.idle_expire_time else SessionState.ACTIVE

    @property
    def display_name(self) -> str:
        """None."""
        return ""

    @property
    def environment(self) -> str:
        """None."""
        return ""

    @property
    def labels(self) -> Mapping[str, str]:
        """None."""
        return _NO_LABELS

    @property
    def narrowing(self) -> Narrowing:
        """Nothing is taken away from the user's authority."""
        return _NOTHING_TAKEN

    @property
    def rate_limit(self) -> RateLimit | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class SessionAt:
    """A session and the moment, on the database's clock, at which it was read."""

    session: Session
    now: datetime

    @property
    def state(self) -> SessionState:
        """The session's state at that moment."""
        return self.session.state(self.now)

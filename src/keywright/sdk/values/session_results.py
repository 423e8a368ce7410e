"""What calls about sessions return."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keywright.sdk.connection.credentials import Secret
from keywright.sdk.values.results import Named


class SignInMethod(StrEnum):
    """How a person proved who they are."""

    UNKNOWN = "UNKNOWN"
    LINK = "LINK"
    KEY = "KEY"
    OPENID_CONNECT = "OPENID_CONNECT"


class SessionState(StrEnum):
    """Whether a session stands. `REVOKED` is final, unless it is the key's that opened it."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class Session(Named):
    """A signed-in person; never the token.

    It ends at `expire_time` whatever happens, and at `idle_expire_time` unless it is used before.
    `key` opened it, and withdraws it with itself; empty if it was opened otherwise.
    """

    name: str
    user: str
    user_email: str
    method: SignInMethod
    key: str
    state: SessionState
    create_time: datetime | None
    expire_time: datetime | None
    idle_expire_time: datetime | None
    revoke_time: datetime | None
    last_used_time: datetime | None
    client_address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class SignInLink:
    """What signs a person in, once, until `expire_time`; `token.reveal()` gives it, this once."""

    token: Secret
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session and its token, which is shown this once; `token.reveal()` gives it."""

    session: Session
    token: Secret
    revision: str

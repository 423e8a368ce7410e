"""One call as the wire sees it, whatever the transport."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message

from keywright.domain.decision import Principal
from keywright.domain.errors import Reason, Unavailable
from keywright.domain.keys import Address
from keywright.service.audit import Audit
from keywright.service.audit_verification import AuditVerification
from keywright.service.authenticate import Authenticate
from keywright.service.call import Call
from keywright.service.explain import ExplainAccess
from keywright.service.grants import Grants
from keywright.service.key_changes import KeyChanges
from keywright.service.key_creation import KeyCreation
from keywright.service.key_import import KeyImport
from keywright.service.keys import Keys
from keywright.service.known import Caller
from keywright.service.leaks import Leaks
from keywright.service.mutation import Repetitions
from keywright.service.notices import Notices
from keywright.service.roles import Roles
from keywright.service.sessions import Sessions
from keywright.service.settling import Settling
from keywright.service.sign_in import SignIn
from keywright.service.usage import Usage
from keywright.service.users import Users
from keywright.service.warm_up import WarmUp
from keywright.service.workspaces import Workspaces
from keywright.wire.sealing import Seal

Reply = Message | bytes
"""What is answered; bytes are serialised already."""
Handler = Callable[["Rpc", Any], Awaitable[Reply]]

_DECIDING = frozenset({"Authenticate", "BatchAuthenticate", "AuthenticateStream", "Watch"})
_OPEN = frozenset({("KeyService", "ReportLeakedToken"), ("SessionService", "CreateSession")})


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, once the database is there."""

    audit: Audit
    audit_verification: AuditVerification
    authenticate: Authenticate
    explain: ExplainAccess
    grants: Grants
    key_changes: KeyChanges
    key_creation: KeyCreation
    key_import: KeyImport
    keys: Keys
    leaks: Leaks
    notices: Notices
    repetitions: Repetitions
    roles: Roles
    sessions: Sessions
    settling: Settling
    sign_in: SignIn
    usage: Usage
    users: Users
    warm_up: WarmUp
    workspaces: Workspaces
    seal: Seal


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decides about calls."""

    authenticate_callers: str = "credentialed"
    default_deadline: timedelta = timedelta(seconds=10)
    max_deadline: timedelta = timedelta(seconds=60)
    max_request_bytes: int = 4 * 2**20
    max_response_bytes: int = 4 * 2**20

    def admits(self, *, certified: bool) -> bool:
        """Whether somebody may ask for authentications without a credential of its own."""
        if self.authenticate_callers == "mtls":
            return certified
        return self.authenticate_callers == "any"


@dataclass(slots=True)  # not frozen: to make one would take four times as long
class Ended:
    """A call that has ended, as it is logged.

    Attributes:
        call_id: empty if nobody was told any.
        time: when it ended, in seconds since 1970.
        caller: as in `Rpc`.
    """

    call_id: str
    method: str
    code: str
    reason: str
    seconds: float
    time: float
    peer: Address | None
    caller: Principal | None

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return round(self.seconds * 1000, 3)

    @property
    def peer_text(self) -> str:
        """The other end's address; empty over a UNIX socket."""
        return "" if self.peer is None else str(self.peer)

    @property
    def caller_name(self) -> str:
        """The caller's credential; empty if it has shown none."""
        return "" if self.caller is None else str(self.caller.credential.record.name)

    def fields(self) -> dict[str, str | float]:
        """The fields of its line."""
        return {
            "request_id": self.call_id,
            "method": self.method,
            "code": self.code,
            "reason": self.reason,
            "duration_ms": self.milliseconds,
            "peer": self.peer_text,
            "caller": self.caller_name,
        }


@dataclass(slots=True)
class Backend:
    """What stands behind the wire: nothing until the database is there.

    While that is out of reach, what is remembered may still be answered, for as long as the lease
    lasts. Once `stopping` is set, streams end. `verdict_log` writes the line of a call that ended
    with a verdict about a token; None if there are to be no such lines.
    """

    settings: Settings
    services: Services | None = None
    verdict_log: Callable[[Ended], None] | None = None
    is_out_of_reach: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the contract; without a handler it is not implemented yet.

    `streaming`: messages go both ways as they come; the handler is given no request, and what it
    returns is not sent.
    """

    service: str
    name: str
    request_type: type[Message]
    handler: Handler | None
    streaming: bool = False

    @property
    def path(self) -> str:
        """`/keywright.v1.KeyService/CreateKey`."""
        return f"/keywright.v1.{self.service}/{self.name}"

    @property
    def is_authentication(self) -> bool:
        """Whether errors about tokens speak of the presented one (DESIGN section 3)."""
        return self.service == "AuthService"

    @property
    def decides(self) -> bool:
        """Whether it is for those whom `authenticate_callers` admits, also without a credential."""
        return self.is_authentication and self.name in _DECIDING

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a credential for it; one that is sent all the same is not read."""
        return (self.service, self.name) in _OPEN


@dataclass(frozen=True, slots=True)
class Stream:
    """What is said on a stream. `send` ends when the transport has taken the message."""

    requests: AsyncIterable[bytes]
    send: Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Rpc:
    """One call: what the transport gives, and what the interceptors find out.

    Attributes:
        metadata: pairs of lower-case key and value; a key may be there twice.
        peer: the other end's address; None over a UNIX socket.
        certified: whether the transport verified a client certificate.
        time_remaining: seconds until the client's deadline, now; None without one.
        body: the request; empty where there is a `stream` of them.
        json_path: the path of what a proxy has made this call of (`json_body`); empty of gRPC.
        caller: who calls; None where no credential is asked for.
        asker: the same, where it asks for authentications.
    """

    backend: Backend
    method: Method
    metadata: Sequence[tuple[str, str | bytes]]
    peer: Address | None
    certified: bool
    time_remaining: Callable[[], float | None]
    body: bytes = b""
    json_path: str = ""
    stream: Stream | None = None
    call_id: str = ""
    caller: Principal | None = None
    asker: Caller | None = None
    request: Message | None = None
    reply_metadata: list[tuple[str, str]] = field(default_factory=list)

    def values(self, key: str) -> list[str | bytes]:
        """All values of a metadata key."""
        return [value for name, value in self.metadata if name == key]

    @property
    def memory(self) -> Services:
        """The use cases, for what can be answered without the database.

        Raises:
            Unavailable: the server has had no database yet.
        """
        if self.backend.services is None:
            raise _unavailable()
        return self.backend.services

    @property
    def services(self) -> Services:
        """The use cases.

        Raises:
            Unavailable: the server has no database, not yet or at the moment.
        """
        if self.backend.is_out_of_reach:
            raise _unavailable()
        return self.memory

    def remaining(self) -> timedelta | None:
        """What is left of the deadline, now."""
        seconds = self.time_remaining()
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def call(self) -> Call:
        """What the use case is told of this call. Management only: there is always a caller."""
        assert self.caller is not None, "the caller interceptor comes first"  # noqa: S101
        settling = self.services.settling
        return Call(
            self.caller,
            self.call_id,
            self.peer,
            self.remaining,
            request=None,
            settling=settling,
            waits=False,
        )


def _unavailable() -> Unavailable:
    return Unavailable(
        Reason.SERVER_UNAVAILABLE,
        "the server is starting, or its database is out of reach; try again",
    )

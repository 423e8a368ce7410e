"""One call as the wire sees it, whatever the transport."""

from collections.abc import Awaitable, Callable, Sequence
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
from keywright.service.leaks import Leaks
from keywright.service.mutation import Repetitions
from keywright.service.notices import Notices
from keywright.service.roles import Roles
from keywright.service.usage import Usage
from keywright.service.users import Users
from keywright.service.workspaces import Workspaces
from keywright.wire.sealing import Seal

_DECIDING = frozenset({"Authenticate", "BatchAuthenticate", "AuthenticateStream", "Watch"})

Handler = Callable[["Rpc", Any], Awaitable[Message]]

_DECIDING = frozenset({"Authenticate", "BatchAuthenticate", "AuthenticateStream", "Watch"})
_OPEN = frozenset({("KeyService", "ReportLeakedToken")})


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
    usage: Usage
    users: Users
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


@dataclass(slots=True)
class Backend:
    """What stands behind the wire: nothing until the database is there, and may be gone again."""

    settings: Settings
    services: Services | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the contract; without a handler it is not implemented yet."""

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


@dataclass(slots=True)
class Rpc:
    """One call: what the transport gives, and what the interceptors find out.

    Attributes:
        metadata: pairs of lower-case key and value; a key may be there twice.
        peer: the other end's address; None over a UNIX socket.
        certified: whether the transport verified a client certificate.
        time_remaining: seconds until the client's deadline, now; None without one.
    """

    backend: Backend
    method: Method
    metadata: Sequence[tuple[str, str | bytes]]
    peer: Address | None
    certified: bool
    time_remaining: Callable[[], float | None]
    body: bytes
    call_id: str = ""
    caller: Principal | None = None
    request: Message | None = None
    reply_metadata: list[tuple[str, str]] = field(default_factory=list)

    def values(self, key: str) -> list[str | bytes]:
        """All values of a metadata key."""
        return [value for name, value in self.metadata if name == key]

    @property
    def services(self) -> Services:
        """The use cases.

        Raises:
            Unavailable: the server has no database, not yet or at the moment.
        """
        if self.backend.services is None:
            raise Unavailable(
                Reason.SERVER_UNAVAILABLE,
                "the server is starting, or its database is out of reach; try again",
            )
        return self.backend.services

    def remaining(self) -> timedelta | None:
        """What is left of the deadline, now."""
        seconds = self.time_remaining()
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def call(self) -> Call:
        """What the use case is told of this call. Management only: there is always a caller."""
        assert self.caller is not None, "the caller interceptor comes first"  # noqa: S101
        return Call(self.caller, self.call_id, self.peer, self.remaining, request=None)

"""What every use case is told of the call it serves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from keywright.domain.decision import Credential, Principal, identify
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import Workspace
from keywright.domain.errors import Denied, NotFound, Reason, ServiceError, permission_missing
from keywright.domain.identity import RequestIdentity
from keywright.domain.keys import Address
from keywright.domain.position import Position
from keywright.domain.sessions import Session
from keywright.service.settling import Settling
from keywright.storage.audit import AuditEvent
from keywright.storage.authority import Change
from keywright.storage.database import Writes

_DESCRIBES = frozenset({"display_name", "description", "labels"})


class Versioned(Protocol):
    """What has an etag."""

    @property
    def version(self) -> int:
        """Rises with every change."""

    @property
    def create_time(self) -> datetime | None:
        """When it was made."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be repeated without being done again (AIP-155).

    `reply_to_repetitions` makes of what was done the reply that is kept, without secrets.
    """

    identity: RequestIdentity
    reply_to_repetitions: Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Call:
    """One management call.

    Attributes:
        caller: who calls: only ever what the credential in the metadata proves (promise G7).
        call_id: the id under which the call stands in logs and in the audit trail.
        address: the caller's address; None over a UNIX socket.
        remaining: what is left of the deadline, now; None without one.
        request: what the caller calls this request; None if it has no `request_id`.
        settling: how others come to know of what the call changes; None: nobody is told.
        waits: whether it waits until nobody acts on the old state.
    """

    caller: Principal
    call_id: str
    address: Address | None
    remaining: Callable[[], timedelta | None]
    request: Request | None
    settling: Settling | None
    waits: bool

    def in_workspace(self, workspace_id: str, name: object) -> None:
        """Answer for what is in another workspace as for what does not exist (promise G8).

        Raises:
            NotFound: `workspace_id` is not the caller's own.
        """
        if workspace_id != self.caller.workspace_id:
            raise NotFound(str(name))

    def require(self, permission: str) -> None:
        """Raise CALLER_PERMISSION_MISSING unless the caller has `permission`."""
        if not self.caller.may(permission):
            raise permission_missing(permission)

    async def confirm(self, writes: Writes) -> "ConfirmedCall":
        """The same call, with the caller as the database sees it inside this transaction.

        Between the check of the caller and the transaction, its key may have been revoked or its
        role lowered. Unless the history of authority stands where it stood then: everything that
        takes from somebody moves it on. Then only time can have passed.

        Raises:
            Denied: the caller's credential does not stand any more.
        """
        credential = self.caller.credential
        seen = await writes.read.workspaces.now(credential.workspace_internal_id)
        position, now = seen.position, seen.now
        if position != self.caller.position:
            again = await writes.read.credentials.again(credential.secret_internal_id)
            if not again.found:
                raise Denied(Reason.TOKEN_UNKNOWN, "the credential that calls was deleted")
            credential, position, now = again.found[0].credential, again.position, again.now
        caller = identify(credential, self.address, now, position)
        return ConfirmedCall(
            caller,
            self.call_id,
            self.address,
            self.remaining,
            self.request,
            self.settling,
            self.waits,
            position,
            seen.workspace,
        )

    async def lock(
        self,
        writes: Writes,
        *,
        workspaces: Iterable[int] = (),
        users: Iterable[int] = (),
        roles: Iterable[int] = (),
        keys: Iterable[int] = (),
        sessions: Iterable[int] = (),
    ) -> "ConfirmedCall":
        """`confirm`, with these rows and the caller's own kept to this transaction.

        For what changes: steps 2 and 3 of a narrowing (DESIGN section 5). The caller's workspace is
        held as for what creates: a change may give, too.
        """
        credential = self.caller.credential
        await writes.authority.lock(
            held_workspace=credential.workspace_internal_id,
            workspaces=workspaces,
            users=[credential.user.internal_id, *users],
            roles=roles,
            keys=keys,
            sessions=sessions,
            calling=calling(credential),
        )
        return await self.confirm(writes)

    def event(
        self, action: str, resource: object, *, workspace_id: str = "", **change: object
    ) -> AuditEvent:
        """The audit event of what this call does to `resource`, in the caller's workspace.

        An operator's goes to the trail of the workspace that it acts on, `workspace_id`.
        """
        return AuditEvent(
            workspace_id=workspace_id or self.caller.workspace_id,
            action=action,
            resource=str(resource),
            actor=str(self.caller.user.name),
            credential=str(self.caller.credential.record.name),
            actor_email=self.caller.user.email or "",
            client_address="" if self.address is None else str(self.address),
            call_id=self.call_id,
            request_id="" if self.request is None else self.request.identity.request_id,
            change=dict(change),
        )


@dataclass(frozen=True, slots=True)
class ConfirmedCall(Call):
    """A call whose caller was checked inside the transaction, which saw the history at `position`.

    `workspace` is the caller's, as the transaction sees it. A narrowing that finds nothing left to
    narrow waits for that position: an earlier one may still be waiting.
    """

    position: Position
    workspace: Workspace


def row_of(credential: Credential) -> Change:
    """The row of the key or session itself."""
    return Change(credential.kind, credential.record.internal_id)


def calling(credential: Credential) -> list[Change]:
    """The rows that a call stands or falls with: of a session, the key that opened it as well."""
    record, rows = credential.record, [row_of(credential)]
    if isinstance(record, Session) and record.opening_key is not None:
        rows.append(Change(ChangeKind.KEY, record.opening_key.internal_id))
    return rows


def altered(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, Any]:
    """What differs between two descriptions of a resource, as an audit event tells a change."""
    names = [each for each in before if before[each] != after[each]]
    return {
        "before": {each: before[each] for each in names},
        "after": {each: after[each] for each in names},
    }


def moves_history(change: Mapping[str, Any]) -> bool:
    """Whether a change of a role or workspace, as `altered` tells it, is one of authority.

    What describes is none. (Answers show what describes users and keys, so any change of those is.)
    """
    return not _DESCRIBES.issuperset(change["after"])


def check_etag(etag: str, found: Versioned) -> None:
    """The resource is still the one that the caller saw (AIP-154); an empty etag asks nothing.

    Raises:
        ServiceError: ETAG_MISMATCH.
    """
    if etag and etag != etag_of(found):
        raise ServiceError(
            Reason.ETAG_MISMATCH,
            "the resource was changed since you read it: read it again and decide anew",
        )


def etag_of(found: Versioned) -> str:
    """The etag of a resource: its version, and when it was made, as another may have its name."""
    made = 0 if found.create_time is None else int(found.create_time.timestamp() * 1_000_000)
    return f"v{found.version}.{made:x}"

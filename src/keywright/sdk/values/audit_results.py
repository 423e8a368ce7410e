"""What calls about the audit trail return: frozen, as in `results`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AuditOutcome(StrEnum):
    """What became of what someone did; `NOTICED`: the service noticed it by itself."""

    UNKNOWN = "UNKNOWN"
    DONE = "DONE"
    DENIED = "DENIED"
    NOTICED = "NOTICED"


class AuditBreakKind(StrEnum):
    """How a trail is broken."""

    UNKNOWN = "UNKNOWN"
    EVENT_CHANGED = "EVENT_CHANGED"
    EVENT_MISSING = "EVENT_MISSING"
    EVENT_INSERTED = "EVENT_INSERTED"
    SEAL_INVALID = "SEAL_INVALID"
    SEAL_MISSING = "SEAL_MISSING"
    EVENT_UNSEALED = "EVENT_UNSEALED"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that changed; `before` and `after` in JSON, empty if there was or is nothing."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        """`state: "ACTIVE" -> "REVOKED"`, or what there is of it."""
        return f"{self.field}: {' -> '.join(filter(None, (self.before, self.after)))}"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What someone did, or tried to do.

    Attributes:
        reason: with `DENIED`, why: a name of the contract's `ErrorReason`.
        count: how many alike it stands for; `first_time` is when the first of them was.
        seal: which seal covers it; empty for less than a second.
        record: the text that the seal covers, if it was asked for.
    """

    name: str
    create_time: datetime | None
    action: str
    outcome: AuditOutcome
    reason: str
    resource: str
    actor: str
    actor_email: str
    credential: str
    client_address: str
    call_id: str
    request_id: str
    changes: tuple[FieldChange, ...]
    count: int
    first_time: datetime | None
    seal: str
    record: str

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class AuditSeal:
    """Covers a run of events and the seal before it; keep it elsewhere to prove that later."""

    name: str
    create_time: datetime | None
    previous: str
    event_count: int
    digest: bytes
    signature: bytes
    public_key: bytes
    content: str

    @property
    def number(self) -> int:
        """Its place in the chain, from 1."""
        return int(self.name.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class AuditBreak:
    """Where a trail is broken: at which seal and at which event, where they can be told."""

    kind: AuditBreakKind
    seal: str
    audit_event: str
    message: str


@dataclass(frozen=True, slots=True)
class TrailVerification:
    """What a verification found: `last_seal` is the last that stands, `event_count` up to there."""

    intact: bool
    event_count: int
    last_seal: AuditSeal | None
    first_break: AuditBreak | None

"""Audit events as they are read: what someone did, or tried to do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from keywright.domain.errors import invalid_field
from keywright.domain.names import AuditEventName

REMOVE_AUDIT_EVENTS = "RemoveAuditEvents"
"""The action of the event that says which events were removed by age."""
OWN_ACTIONS = frozenset(
    {REMOVE_AUDIT_EVENTS, "ImportKey", "RetiredTokenPresented", "RevokedTokenPresented"}
)
"""Actions that are no method's name: of the service itself, and of one key among many."""

_COLLECTIONS = "auditEvents|auditSeals|grants|keys|roles|sessions|sshKeys|users"
_RESOURCE = re.compile(rf"workspaces/(?P<workspace>[^/]+)(?:/(?:{_COLLECTIONS})(?:/[^/]+)?)?")


def time_value(value: datetime | None) -> str | None:
    """A time in a change, as in JSON of the contract: `2026-01-31T12:00:00Z` (RFC 3339)."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration_value(value: timedelta | None) -> str | None:
    """A length of time in a change, as in JSON of the contract: `3600s`."""
    return (
        None
        if value is None
        else f"{value / timedelta(seconds=1):.9f}".rstrip("0").rstrip(".") + "s"
    )


class Outcome(StrEnum):
    """What became of what someone did; or that the service noticed something by itself."""

    DONE = "DONE"
    DENIED = "DENIED"
    NOTICED = "NOTICED"


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        change: `before` and `after`, each a value by field.
        count: how many alike it stands for; `first_time` is when the first of them was.
        seal: the number of the seal that covers it; None while there is none.
        record: the very text that the seal covers; empty unless it was asked for.
    """

    event_id: int
    workspace_id: str
    create_time: datetime
    action: str
    resource: str
    outcome: str
    reason: str
    actor: str
    actor_email: str
    credential: str
    client_address: str
    call_id: str
    request_id: str
    count: int
    first_time: datetime | None
    change: Mapping[str, Any]
    seal: int | None
    record: str = ""

    @property
    def name(self) -> AuditEventName:
        """Its resource name."""
        return AuditEventName(self.workspace_id, str(self.event_id))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant: those that match all that is given.

    Attributes:
        actor: by resource name.
        resource: this one and what is below it.
        seal: covered by the seal of this number.
        about_keys_of: only about keys of this user (by internal id); None is all.
    """

    actor: str = ""
    credential: str = ""
    resource: str = ""
    actions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    client_address: str = ""
    request_id: str = ""
    seal: int | None = None
    about_keys_of: int | None = None


def workspace_of(name: str, path: str) -> str:
    """The id of the workspace that is, or has, the resource of that name.

    Raises:
        InvalidFields: it is no resource name; `path` is the field that has it.
    """
    match = _RESOURCE.fullmatch(name)
    if match is None or not name.isprintable():
        raise invalid_field(
            path,
            "must be a resource name, such as workspaces/acme, workspaces/acme/keys or "
            "workspaces/acme/keys/ci",
        )
    return match["workspace"]

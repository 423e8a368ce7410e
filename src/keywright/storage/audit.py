"""Audit events: inserted in the transaction of what they report (promise G10)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keywright.storage.connection import Connection


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to which resource, with which credential and from where. Never a secret."""

    workspace_id: str
    action: str
    resource: str
    actor: str
    credential: str
    actor_email: str = ""
    client_address: str = ""
    call_id: str = ""
    change: dict[str, Any] = field(default_factory=dict)


_COLUMNS = """
    (workspace_id, action, resource, actor, credential, actor_email, client_address, call_id,
     change)
"""


def insertion(first: int) -> str:
    """An INSERT of one event, to be part of another statement; its values come from `$first` on."""
    placeholders = ", ".join(f"${first + number}" for number in range(_COLUMNS.count(",") + 1))
    return f"INSERT INTO keywright.audit_event {_COLUMNS} VALUES ({placeholders})"


def values(event: AuditEvent) -> tuple[object, ...]:
    """The values for `insertion`."""
    return (
        event.workspace_id,
        event.action,
        event.resource,
        event.actor,
        event.credential,
        event.actor_email,
        event.client_address,
        event.call_id,
        event.change,
    )


class AuditWriter:
    """Inserts events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, event: AuditEvent) -> None:
        """Insert one event; it commits if and only if the rest of the transaction does."""
        await self._connection.execute(insertion(1), *values(event))

    async def insert_all(self, events: Sequence[AuditEvent]) -> None:
        """Insert many events."""
        await self._connection.executemany(insertion(1), [values(event) for event in events])

    async def insert_each(self, event: AuditEvent, resources: Sequence[str]) -> None:
        """Insert one event for each of `resources`, to which the very same was done."""
        given = list(values(event))
        given[2] = resources
        await self._connection.execute(
            f"INSERT INTO keywright.audit_event {_COLUMNS} "
            "SELECT $1, $2, resource, $4, $5, $6, $7, $8, $9 FROM unnest($3::text[]) AS resource",
            *given,
        )

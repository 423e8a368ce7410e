"""Audit events: inserted in the transaction of what they report (promise G10)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keywright.domain.audit import Outcome
from keywright.storage.connection import Connection


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to which resource, with which credential and from where. Never a secret.

    One that stands for several has their `count` and the time of the first.
    """

    workspace_id: str
    action: str
    resource: str
    actor: str
    credential: str
    actor_email: str = ""
    client_address: str = ""
    call_id: str = ""
    request_id: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.DONE
    reason: str = ""
    count: int = 1
    first_time: datetime | None = None


_COLUMNS = """
    (workspace_id, action, resource, actor, credential, actor_email, client_address, call_id,
     request_id, change, outcome, reason, count, first_time)
"""
_COUNT = _COLUMNS.count(",") + 1
_RESOURCE = 3  # its place among them, from 1 on


def insertion(first: int) -> str:
    """An INSERT of one event, to be part of another statement; its values come from `$first` on."""
    placeholders = ", ".join(f"${first + number}" for number in range(_COUNT))
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
        event.request_id,
        event.change,
        event.outcome,
        event.reason,
        event.count,
        event.first_time,
    )


class AuditWriter:
    """Inserts events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, event: AuditEvent) -> None:
        """Insert one event; it commits if and only if the rest of the transaction does."""
        await self._connection.execute(insertion(1), *values(event))

    async def insert_all(self, events: Iterable[AuditEvent]) -> None:
        """Insert several."""
        await self._connection.executemany(insertion(1), map(values, events))

    async def insert_each(self, event: AuditEvent, resources: Sequence[str]) -> None:
        """Insert one event for each of `resources`, to which the very same was done."""
        given = list(values(event))
        given[_RESOURCE - 1] = resources
        selected = ", ".join(
            "resource" if number == _RESOURCE else f"${number}" for number in range(1, _COUNT + 1)
        )
        await self._connection.execute(
            f"INSERT INTO keywright.audit_event {_COLUMNS} "
            f"SELECT {selected} FROM unnest(${_RESOURCE}::text[]) AS resource",
            *given,
        )

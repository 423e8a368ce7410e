"""Audit events: inserted in the transaction of what they report (promise G10)."""

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


class AuditWriter:
    """Inserts events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, event: AuditEvent) -> None:
        """Insert one event; it commits if and only if the rest of the transaction does."""
        await self._connection.execute(
            """
            INSERT INTO keywright.audit_event
                (workspace_id, action, resource, actor, credential, actor_email, client_address,
                 call_id, change)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
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

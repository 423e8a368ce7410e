"""Workspaces."""

import asyncpg

from keywright.domain.directory import KeyPolicy, State, Workspace
from keywright.storage.connection import Connection


class WorkspaceReader:
    """Reads workspaces."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str) -> Workspace | None:
        """The workspace of that id."""
        row = await self._connection.fetchrow(
            """
            SELECT id, workspace_id, state, environments, permission_catalog,
                   max_ttl, default_ttl, expiry_required, max_keys_per_user
            FROM keywright.workspace
            WHERE workspace_id = $1
            """,
            workspace_id,
        )
        return None if row is None else _workspace(row)


class WorkspaceWriter:
    """Creates workspaces."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, workspace_id: str, display_name: str) -> int | None:
        """Insert a workspace with the default policy; None if there is one of that id."""
        internal_id: int | None = await self._connection.fetchval(
            """
            INSERT INTO keywright.workspace (workspace_id, display_name) VALUES ($1, $2)
            ON CONFLICT DO NOTHING
            RETURNING id
            """,
            workspace_id,
            display_name,
        )
        return internal_id


def _workspace(row: asyncpg.Record) -> Workspace:
    catalog = row["permission_catalog"]
    return Workspace(
        workspace_id=row["workspace_id"],
        state=State(row["state"]),
        environments=tuple(row["environments"]),
        key_policy=KeyPolicy(
            max_ttl=row["max_ttl"],
            default_ttl=row["default_ttl"],
            expiry_required=row["expiry_required"],
            max_keys_per_user=row["max_keys_per_user"],
        ),
        permission_catalog=None if catalog is None else tuple(catalog),
        internal_id=row["id"],
    )

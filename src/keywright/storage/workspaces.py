"""Workspaces. A deleted one leaves its row, so that its id is not given again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from keywright.domain.directory import KeyCreation, KeyPolicy, State, Workspace
from keywright.domain.listing import Listed
from keywright.domain.position import Position
from keywright.storage.connection import Connection

_COLUMNS = """
    w.id, w.workspace_id, w.display_name, w.state, w.environments, w.permission_catalog, w.labels,
    w.max_ttl, w.default_ttl, w.expiry_required, w.max_keys_per_user, w.key_creation,
    w.free_binding, w.rotation_reminder, w.version, w.create_time, w.update_time
"""
_SELECT = f"SELECT {_COLUMNS} FROM keywright.workspace w WHERE w.delete_time IS NULL"
_NOW = f"""
    SELECT {_COLUMNS}, p.revision, p.tag, clock_timestamp() AS now
    FROM keywright.workspace w CROSS JOIN keywright.authority_revision p
    WHERE w.id = $1
"""


@dataclass(frozen=True, slots=True)
class WorkspaceNow:
    """A workspace, where the history of authority stood, and the database's time: one snapshot."""

    workspace: Workspace
    position: Position
    now: datetime


# Children before what they refer to; secrets go with their keys, grants with their users.
_PURGED = ("key", "user", "role")


class WorkspaceReader:
    """Reads workspaces."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str) -> Workspace | None:
        """The workspace of that id."""
        row = await self._connection.fetchrow(f"{_SELECT} AND w.workspace_id = $1", workspace_id)
        return None if row is None else _workspace(row)

    async def now(self, workspace: int) -> WorkspaceNow:
        """A workspace (by internal id, which never goes) and the moment."""
        row = await self._connection.fetchrow(_NOW, workspace)
        assert row is not None, "a workspace's row stays"  # noqa: S101
        position = Position(row["revision"], row["tag"])
        return WorkspaceNow(_workspace(row), position, row["now"])

    async def list(
        self, only: str | None, *, after: str | None, limit: int
    ) -> list[Listed[Workspace]]:
        """Workspaces by id: all, or `only` one."""
        rows = await self._connection.fetch(
            f"""
            {_SELECT} AND w.workspace_id COLLATE "C" > $1
                AND ($2::text IS NULL OR w.workspace_id = $2)
            ORDER BY w.workspace_id COLLATE "C" LIMIT $3
            """,
            after or "",
            only,
            limit,
        )
        return [Listed(_workspace(row), row["workspace_id"]) for row in rows]

    async def has_users(self, workspace: int) -> bool:
        """Whether anybody is in a workspace (by internal id)."""
        found: bool = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM keywright.user WHERE workspace = $1)", workspace
        )
        return found

    async def environments_in_use(self, workspace: int) -> Sequence[str]:
        """The environments that keys are of, revoked ones aside."""
        rows = await self._connection.fetch(
            "SELECT DISTINCT environment FROM keywright.key "
            "WHERE workspace = $1 AND state <> 'REVOKED'",
            workspace,
        )
        return [row["environment"] for row in rows]


class WorkspaceWriter:
    """Creates, changes and deletes workspaces."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, workspace_id: str) -> int | None:
        """Insert a workspace with the default policy; None if that id was ever given."""
        internal_id: int | None = await self._connection.fetchval(
            """
            INSERT INTO keywright.workspace (workspace_id) VALUES ($1)
            ON CONFLICT DO NOTHING
            RETURNING id
            """,
            workspace_id,
        )
        return internal_id

    async def update(self, changed: Workspace) -> None:
        """Write all that can change of a workspace, but for its state."""
        policy = changed.key_policy
        catalog = changed.permission_catalog
        await self._connection.execute(
            """
            UPDATE keywright.workspace
            SET display_name = $2, environments = $3, permission_catalog = $4, labels = $5,
                max_ttl = $6, default_ttl = $7, expiry_required = $8, max_keys_per_user = $9,
                key_creation = $10, free_binding = $11, rotation_reminder = $12,
                version = version + 1, update_time = now()
            WHERE id = $1
            """,
            changed.internal_id,
            changed.display_name,
            list(changed.environments),
            None if catalog is None else dict(catalog),
            dict(changed.labels),
            policy.max_ttl,
            policy.default_ttl,
            policy.expiry_required,
            policy.max_keys_per_user,
            policy.key_creation,
            policy.free_binding,
            policy.rotation_reminder,
        )

    async def set_state(self, workspace: int, state: State) -> None:
        """Disable or enable a workspace."""
        await self._connection.execute(
            "UPDATE keywright.workspace SET state = $2, version = version + 1, update_time = now() "
            "WHERE id = $1",
            workspace,
            state,
        )

    async def delete(self, workspace: int) -> None:
        """Delete all that is in a workspace, and leave of itself that there was one."""
        for table in _PURGED:
            await self._connection.execute(
                f"DELETE FROM keywright.{table} WHERE workspace = $1",
                workspace,
            )
        await self._connection.execute(
            "UPDATE keywright.workspace SET delete_time = now(), display_name = '', labels = '{}', "
            "permission_catalog = NULL, version = version + 1 WHERE id = $1",
            workspace,
        )


def _workspace(row: asyncpg.Record) -> Workspace:
    return Workspace(
        workspace_id=row["workspace_id"],
        state=State(row["state"]),
        environments=tuple(row["environments"]),
        key_policy=KeyPolicy(
            max_ttl=row["max_ttl"],
            default_ttl=row["default_ttl"],
            expiry_required=row["expiry_required"],
            max_keys_per_user=row["max_keys_per_user"],
            key_creation=KeyCreation(row["key_creation"]),
            free_binding=row["free_binding"],
            rotation_reminder=row["rotation_reminder"],
        ),
        permission_catalog=row["permission_catalog"],
        display_name=row["display_name"],
        labels=row["labels"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
        internal_id=row["id"],
    )

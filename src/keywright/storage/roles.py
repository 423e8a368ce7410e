"""Roles: the built-in ones and a workspace's own."""

from collections.abc import Sequence
from functools import lru_cache

import asyncpg

from keywright.domain.directory import RoleRecord
from keywright.domain.listing import Listed
from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import Role
from keywright.storage.connection import Connection

# The built-in ones come first, in the order of their making: from less to more.
_RECORD = """
    SELECT w.workspace_id, r.id, r.role_id, r.permissions, r.may_hold_keys,
           r.workspace IS NULL AS built_in, r.display_name, r.description, r.version,
           r.create_time, r.update_time, place.cursor
    FROM keywright.workspace w
    JOIN keywright.role r ON r.scope IN (0, w.id)
    CROSS JOIN LATERAL (
        SELECT (CASE WHEN r.workspace IS NULL THEN lpad(r.id::text, 19, '0') ELSE 'z' END
                || '/' || r.role_id) COLLATE "C" AS cursor
    ) place
"""
# Those who have a role: users, grants and keys, by name, with how many there are in all.
_USED_BY = """
    SELECT name, count(*) OVER () AS total FROM (
        SELECT 'users/' || user_id AS name FROM keywright.user WHERE role = $1
        UNION ALL SELECT 'grants/' || grant_id FROM keywright.grant WHERE role = $1
        UNION ALL SELECT 'keys/' || key_id FROM keywright.key WHERE role = $1
    ) AS used_by LIMIT $2
"""


class RoleReader:
    """Reads roles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, role_id: str) -> Role | None:
        """The role of that id which a workspace may use: built in, or its own."""
        record = await self.record(workspace_id, role_id)
        return None if record is None else record.role

    async def record(self, workspace_id: str, role_id: str) -> RoleRecord | None:
        """The same, with what people are told of it."""
        row = await self._connection.fetchrow(
            f"{_RECORD} WHERE w.workspace_id = $1 AND r.role_id = $2", workspace_id, role_id
        )
        return None if row is None else _record(row)

    async def records(self, workspace_id: str, role_ids: Sequence[str]) -> Sequence[RoleRecord]:
        """The roles of these ids, as far as there are such."""
        rows = await self._connection.fetch(
            f"{_RECORD} WHERE w.workspace_id = $1 AND r.role_id = ANY($2)", workspace_id, role_ids
        )
        return [_record(row) for row in rows]

    async def list(
        self, workspace_id: str, *, after: str | None, limit: int
    ) -> list[Listed[RoleRecord]]:
        """Roles of a workspace, the built-in ones first, then by id."""
        rows = await self._connection.fetch(
            f"{_RECORD} WHERE w.workspace_id = $1 AND place.cursor > $2 "
            "ORDER BY place.cursor LIMIT $3",
            workspace_id,
            after or "",
            limit,
        )
        return [Listed(_record(row), row["cursor"]) for row in rows]

    async def built_in(self) -> Sequence[Role]:
        """All built-in roles, in the order in which the migration wrote them."""
        rows = await self._connection.fetch(
            "SELECT id, role_id, permissions, may_hold_keys FROM keywright.role "
            "WHERE workspace IS NULL ORDER BY id"
        )
        return [
            role(row["id"], row["role_id"], row["permissions"], row["may_hold_keys"], True)
            for row in rows
        ]

    async def used_by(self, role_internal_id: int, limit: int) -> tuple[Sequence[str], int]:
        """Who has a role: at most `limit` names, `users/ann`, and how many there are."""
        rows = await self._connection.fetch(_USED_BY, role_internal_id, limit)
        return [row["name"] for row in rows], rows[0]["total"] if rows else 0


class RoleWriter:
    """Creates, changes and deletes a workspace's own roles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        workspace: int,
        role_id: str,
        permissions: PermissionSet,
        *,
        may_hold_keys: bool,
        display_name: str,
        description: str,
    ) -> None:
        """Insert a role into a workspace (by internal id)."""
        await self._connection.execute(
            """
            INSERT INTO keywright.role
                (workspace, role_id, permissions, may_hold_keys, display_name, description)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            workspace,
            role_id,
            sorted(permissions.patterns),
            may_hold_keys,
            display_name,
            description,
        )

    async def update(self, record: RoleRecord) -> None:
        """Write all that can change of a role."""
        await self._connection.execute(
            """
            UPDATE keywright.role
            SET permissions = $2, may_hold_keys = $3, display_name = $4, description = $5,
                version = version + 1, update_time = now()
            WHERE id = $1
            """,
            record.role.internal_id,
            sorted(record.role.permissions.patterns),
            record.role.may_hold_keys,
            record.display_name,
            record.description,
        )

    async def delete(self, role_internal_id: int) -> None:
        """Delete a role that nobody has."""
        await self._connection.execute("DELETE FROM keywright.role WHERE id = $1", role_internal_id)


def role(
    internal_id: int,
    role_id: str,
    permissions: Sequence[str],
    may_hold_keys: bool,  # noqa: FBT001
    built_in: bool,  # noqa: FBT001
) -> Role:
    """A role from its columns."""
    return Role(role_id, permission_set(tuple(permissions)), may_hold_keys, internal_id, built_in)


@lru_cache(maxsize=1024)
def permission_set(permissions: tuple[str, ...]) -> PermissionSet:
    """The set of these; a list of a thousand users has few roles, each with up to 500."""
    return PermissionSet(permissions)


def _record(row: asyncpg.Record) -> RoleRecord:
    return RoleRecord(
        workspace_id=row["workspace_id"],
        role=role(
            row["id"], row["role_id"], row["permissions"], row["may_hold_keys"], row["built_in"]
        ),
        display_name=row["display_name"],
        description=row["description"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
    )

"""Roles: the built-in ones and a workspace's own."""

from collections.abc import Sequence

from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import Role
from keywright.storage.connection import Connection


class RoleReader:
    """Reads roles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace: int, role_id: str) -> Role | None:
        """The role of that id which a workspace (by internal id) may use: built in, or its own."""
        row = await self._connection.fetchrow(
            """
            SELECT id, role_id, permissions, may_hold_keys, workspace IS NULL AS built_in
            FROM keywright.role
            WHERE scope IN (0, $1) AND role_id = $2
            """,
            workspace,
            role_id,
        )
        if row is None:
            return None
        return role(
            row["id"], row["role_id"], row["permissions"], row["may_hold_keys"], row["built_in"]
        )

    async def built_in(self) -> list[Role]:
        """All built-in roles, in the order in which the migration wrote them."""
        rows = await self._connection.fetch(
            "SELECT id, role_id, permissions, may_hold_keys FROM keywright.role "
            "WHERE workspace IS NULL ORDER BY id"
        )
        return [
            role(row["id"], row["role_id"], row["permissions"], row["may_hold_keys"], True)
            for row in rows
        ]


def role(
    internal_id: int,
    role_id: str,
    permissions: Sequence[str],
    may_hold_keys: bool,  # noqa: FBT001
    built_in: bool,  # noqa: FBT001
) -> Role:
    """A role from its columns."""
    return Role(role_id, PermissionSet(permissions), may_hold_keys, internal_id, built_in)

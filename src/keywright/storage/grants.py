"""Grants: which user has which role on which resource."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from keywright.domain.directory import GrantRecord, User
from keywright.domain.listing import Listed
from keywright.domain.roles import Role
from keywright.storage.conditions import Conditions, below, in_workspace
from keywright.storage.connection import Connection
from keywright.storage.roles import role
from keywright.storage.users import COLUMNS, user_of

_SELECT = f"""
    SELECT w.workspace_id, {COLUMNS},
           g.id AS grant, g.grant_id, g.resource AS grant_resource, g.creator,
           g.create_time AS grant_create_time, gr.id AS grant_role, gr.role_id AS grant_role_id,
           gr.permissions AS grant_role_permissions, gr.may_hold_keys AS grant_role_may_hold_keys,
           gr.workspace IS NULL AS grant_role_built_in
    FROM keywright.grant g
    JOIN keywright.workspace w ON w.id = g.workspace
    JOIN keywright.role gr ON gr.id = g.role
    JOIN keywright.user u ON u.id = g."user"
    LEFT JOIN keywright.role r ON r.id = u.role
"""


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """Which grants to list. Empty asks nothing.

    Attributes:
        user: to this user, by internal id.
        seen_by: only those that this user has, or on resources of `seen_on` and below them, or of
            service users of resources of `managed` and below them; None sees all.
    """

    user: int | None = None
    resource: str = ""
    role_id: str = ""
    seen_by: int | None = None
    seen_on: Sequence[str] = ()
    managed: Sequence[str] = ()


class GrantReader:
    """Reads grants of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, grant_id: str) -> GrantRecord | None:
        """The grant of that id."""
        row = await self._connection.fetchrow(
            f"{_SELECT} WHERE {in_workspace('g', '$1')} AND g.grant_id = $2", workspace_id, grant_id
        )
        return None if row is None else _record(row)

    async def count(self, user: int) -> int:
        """How many grants a user (by internal id) has."""
        count: int = await self._connection.fetchval(
            'SELECT count(*) FROM keywright.grant WHERE "user" = $1', user
        )
        return count

    async def list(
        self, workspace_id: str, only: GrantFilter, *, after: str | None, limit: int
    ) -> list[Listed[GrantRecord]]:
        """Grants newest first, at most `limit`, those after a cursor."""
        where = Conditions(
            [
                (in_workspace("g"), workspace_id),
                ("g.id < {0}", None if after is None else int(after)),
                ("u.id = {0}", only.user),
                ("g.resource = {0}", only.resource),
                ("gr.role_id = {0}", only.role_id),
            ]
        )
        if only.seen_by is not None:
            where.require(
                f"(u.id = {{0}} OR {below('g.resource', '{1}')} OR {below('u.resource', '{2}')})",
                only.seen_by,
                list(only.seen_on),
                list(only.managed),
            )
        newest = f"ORDER BY g.id DESC LIMIT {where.placeholder(limit)}"
        rows = await self._connection.fetch(f"{_SELECT} WHERE {where.sql} {newest}", *where.values)
        return [Listed(_record(row), str(row["grant"])) for row in rows]


class GrantWriter:
    """Creates and deletes grants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self, grant_id: str, user: User, resource: str, of: Role, *, creator: str
    ) -> None:
        """Give a user a role on a resource."""
        await self._connection.execute(
            """
            INSERT INTO keywright.grant
                (workspace, grant_id, "user", resource, role, role_scope, creator)
            SELECT u.workspace, $2, u.id, $3, r.id, r.scope, $5
            FROM keywright.user u, keywright.role r WHERE u.id = $1 AND r.id = $4
            """,
            user.internal_id,
            grant_id,
            resource,
            of.internal_id,
            creator,
        )

    async def delete_all_of(self, user: int) -> list[str]:
        """Take all grants of a user (by internal id) away; returns their public ids."""
        rows = await self._connection.fetch(
            'DELETE FROM keywright.grant WHERE "user" = $1 RETURNING grant_id', user
        )
        return [row["grant_id"] for row in rows]

    async def delete(self, grant: int) -> None:
        """Take a grant (by internal id) away."""
        await self._connection.execute("DELETE FROM keywright.grant WHERE id = $1", grant)


def _record(row: asyncpg.Record) -> GrantRecord:
    return GrantRecord(
        workspace_id=row["workspace_id"],
        grant_id=row["grant_id"],
        user=user_of(row),
        resource=row["grant_resource"],
        role=role(
            row["grant_role"],
            row["grant_role_id"],
            row["grant_role_permissions"],
            row["grant_role_may_hold_keys"],
            row["grant_role_built_in"],
        ),
        creator=row["creator"],
        create_time=row["grant_create_time"],
        internal_id=row["grant"],
    )

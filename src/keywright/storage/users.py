"""Users."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import asyncpg

from keywright.domain.directory import Grant, Owner, State, User, UserFilter, UserKind
from keywright.domain.listing import Listed
from keywright.domain.position import Position
from keywright.domain.roles import WITHOUT_ROLE, Role
from keywright.domain.text import normalise_email
from keywright.storage.authority import HERE, position_of
from keywright.storage.conditions import Conditions, in_workspace
from keywright.storage.connection import Connection
from keywright.storage.roles import permission_set, role

# `u` is the user and `r` its role; other queries join both, too.
COLUMNS = """
    u.id, u.user_id, u.kind, u.state, u.email, u.display_name, u.external_id,
    u.resource AS user_resource, u.labels, u.version, u.create_time, u.update_time,
    r.id AS role, r.role_id, r.permissions AS role_permissions, r.may_hold_keys,
    r.workspace IS NULL AS role_built_in
"""
# The user's grants with their roles' permissions; null where there are none.
GRANTS = """
    (SELECT jsonb_agg(jsonb_build_array(g.resource, gr.permissions, gr.id))
     FROM keywright.grant g JOIN keywright.role gr ON gr.id = g.role
     WHERE g."user" = u.id) AS grants
"""
# The same with the names of grants and roles, for whoever wants to know why.
NAMED_GRANTS = """
    (SELECT jsonb_agg(
         jsonb_build_array(g.resource, gr.permissions, gr.id, g.grant_id, gr.role_id)
         ORDER BY g.id)
     FROM keywright.grant g JOIN keywright.role gr ON gr.id = g.role
     WHERE g."user" = u.id) AS grants
"""
_FROM = """
    FROM keywright.user u
    JOIN keywright.workspace w ON w.id = u.workspace
    LEFT JOIN keywright.role r ON r.id = u.role
"""
_SELECT = f"""
    SELECT w.workspace_id, {COLUMNS} {_FROM}
"""
# strpos() and not LIKE: in what a person types, % and _ stand for themselves.
_SEARCH = """
    (strpos(lower(u.display_name), lower({0})) > 0
     OR strpos(lower(coalesce(u.email, '')), lower({0})) > 0)
"""


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to insert; without a role it is a service user of its resource."""

    user_id: str
    kind: UserKind
    role: Role
    email: str | None
    display_name: str
    external_id: str
    labels: Mapping[str, str]
    resource: str = ""


@dataclass(frozen=True, slots=True)
class SeenOwner:
    """A user with all its grants and their names, at a position of the history."""

    position: Position
    owner: Owner
    workspace_state: State


class UserReader:
    """Reads users of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace_id: str, user: str) -> User | None:
        """The user of that id or e-mail."""
        row = await self._one("", workspace_id, user)
        return None if row is None else user_of(row)

    async def identified(
        self, workspace_id: str, external_id: str, email: str | None
    ) -> User | None:
        """The user of that external id, else of that e-mail."""
        row = await self._connection.fetchrow(
            f"{_SELECT} WHERE {in_workspace('u', '$1')} AND u.external_id = $2 "
            "AND u.external_id <> ''",
            workspace_id,
            external_id,
        )
        if row is not None:
            return user_of(row)
        return None if email is None else await self.get(workspace_id, email)

    async def owner(self, workspace_id: str, user: str) -> Owner | None:
        """The user of that id or e-mail, with all its grants."""
        row = await self._one(f", {GRANTS}", workspace_id, user)
        return None if row is None else Owner(user_of(row), grants_of(row))

    async def seen(self, workspace_id: str, user: str) -> SeenOwner | None:
        """All that decides about the user of that id or e-mail, in one snapshot."""
        more = f", w.state AS workspace_state, {NAMED_GRANTS}, {HERE}"
        row = await self._one(more, workspace_id, user)
        if row is None:
            return None
        owner = Owner(user_of(row), grants_of(row))
        return SeenOwner(position_of(row), owner, State(row["workspace_state"]))

    async def owners(self, workspace_id: str, users: Collection[str]) -> Mapping[str, Owner]:
        """Users with their grants, by the ids and normalised e-mails of `users` that there are."""
        rows = await self._connection.fetch(
            f"SELECT w.workspace_id, {COLUMNS}, u.email_key, {GRANTS} {_FROM} "
            f"WHERE {in_workspace('u', '$1')} AND (u.user_id = ANY($2) OR u.email_key = ANY($3))",
            workspace_id,
            [user for user in users if "@" not in user],
            [normalise_email(user) for user in users if "@" in user],
        )
        found: dict[str, Owner] = {}
        for row in rows:
            owner = Owner(user_of(row), grants_of(row))
            found |= {row["user_id"]: owner, row["email_key"]: owner}
        return found

    async def _one(self, more: str, workspace_id: str, user: str) -> asyncpg.Record | None:
        by_email = "@" in user
        condition = f"{in_workspace('u', '$1')} AND u.{'email_key' if by_email else 'user_id'} = $2"
        return await self._connection.fetchrow(
            f"SELECT w.workspace_id, {COLUMNS} {more} {_FROM} WHERE {condition}",
            workspace_id,
            normalise_email(user) if by_email else user,
        )

    async def list(
        self, workspace_id: str, only: UserFilter, *, after: str | None, limit: int
    ) -> list[Listed[User]]:
        """Users newest first, at most `limit`, those after a cursor."""
        where = Conditions(
            [
                (in_workspace("u"), workspace_id),
                ("u.id < {0}", None if after is None else int(after)),
                ("u.state = ANY({0})", sorted(only.states)),
                ("u.kind = ANY({0})", sorted(only.kinds)),
                ("r.role_id = {0}", only.role_id),
                ("u.external_id = {0}", only.external_id),
                ("u.resource = {0}", only.resource),
                ("u.labels @> {0}", dict(only.labels)),
                (_SEARCH, only.search),
            ]
        )
        newest = f"ORDER BY u.workspace DESC, u.id DESC LIMIT {where.placeholder(limit)}"
        rows = await self._connection.fetch(f"{_SELECT} WHERE {where.sql} {newest}", *where.values)
        return [Listed(user_of(row), str(row["id"])) for row in rows]

    async def other_admin_exists(
        self, workspace_id: str, *, without_user: int = 0, without_role: int = 0
    ) -> bool:
        """Whether an active user has all permissions in the workspace, and may hold keys.

        One user, or all who have one role (by internal id), are left out.
        """
        found: bool = await self._connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM keywright.workspace w
                JOIN keywright.role r ON r.scope IN (0, w.id)
                JOIN keywright.user u ON u.role = r.id AND u.workspace = w.id
                WHERE w.workspace_id = $1 AND u.id <> $2 AND r.id <> $3
                  AND u.state = 'ACTIVE' AND '*' = ANY(r.permissions) AND r.may_hold_keys
            )
            """,
            workspace_id,
            without_user,
            without_role,
        )
        return found


class UserWriter:
    """Creates, changes and deletes users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, workspace: int, user: NewUser) -> None:
        """Insert a user into a workspace (by internal id)."""
        await self._connection.execute(
            """
            INSERT INTO keywright.user
                (workspace, user_id, kind, email, email_key, display_name, external_id, labels,
                 resource, role, role_scope)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, r.id, r.scope
            FROM (VALUES (1)) AS one LEFT JOIN keywright.role r ON r.id = $10
            """,
            workspace,
            user.user_id,
            user.kind,
            user.email,
            _normalised(user.email),
            user.display_name,
            user.external_id,
            dict(user.labels),
            user.resource,
            user.role.internal_id or None,
        )

    async def update(self, changed: User) -> None:
        """Write all that can change of a user, but for its state."""
        await self._connection.execute(
            """
            UPDATE keywright.user u
            SET email = $2, email_key = $3, display_name = $4, external_id = $5, labels = $6,
                role = r.id, role_scope = r.scope, version = u.version + 1, update_time = now()
            FROM (VALUES (1)) AS one LEFT JOIN keywright.role r ON r.id = $7
            WHERE u.id = $1
            """,
            changed.internal_id,
            changed.email,
            _normalised(changed.email),
            changed.display_name,
            changed.external_id,
            dict(changed.labels),
            changed.role.internal_id or None,
        )

    async def set_state(self, user: int, state: State) -> None:
        """Disable or enable a user."""
        await self._connection.execute(
            "UPDATE keywright.user SET state = $2, version = version + 1, update_time = now() "
            "WHERE id = $1",
            user,
            state,
        )

    async def delete(self, user: int) -> None:
        """Delete a user; its grants must be gone."""
        await self._connection.execute("DELETE FROM keywright.user WHERE id = $1", user)


def user_of(row: asyncpg.Record) -> User:
    """A user from `COLUMNS` and its workspace's id."""
    of_user = WITHOUT_ROLE
    if row["role"] is not None:
        of_user = role(
            row["role"],
            row["role_id"],
            row["role_permissions"],
            row["may_hold_keys"],
            row["role_built_in"],
        )
    return User(
        workspace_id=row["workspace_id"],
        user_id=row["user_id"],
        kind=UserKind(row["kind"]),
        state=State(row["state"]),
        role=of_user,
        email=row["email"],
        display_name=row["display_name"],
        external_id=row["external_id"],
        resource=row["user_resource"],
        labels=row["labels"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
        internal_id=row["id"],
    )


def grants_of(row: asyncpg.Record) -> tuple[Grant, ...]:
    """A user's grants, from `GRANTS` or `NAMED_GRANTS`."""
    return tuple(
        Grant(resource, permission_set(tuple(permissions)), *ids)
        for resource, permissions, *ids in row["grants"] or ()
    )


def _normalised(email: str | None) -> str | None:
    return None if email is None else normalise_email(email)

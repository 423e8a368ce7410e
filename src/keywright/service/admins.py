"""A workspace has a first admin, and its last one stays."""

from keywright.domain import permissions as p
from keywright.domain.directory import State, User, UserKind, Workspace
from keywright.domain.errors import Reason, ServiceError
from keywright.domain.roles import Role
from keywright.storage.database import Reads, Writes
from keywright.storage.users import NewUser

FIRST_ADMIN = "admin"


async def insert_first_admin(writes: Writes, workspace: Workspace, email: str) -> User:
    """Insert the first admin of a new workspace, and return it."""
    role = await writes.read.roles.get(workspace.workspace_id, "admin")
    assert role is not None, "the migrations insert the built-in roles"  # noqa: S101
    await writes.users.insert(
        workspace.internal_id,
        NewUser(FIRST_ADMIN, UserKind.HUMAN, role, email, "Administrator", "", {}),
    )
    admin = await writes.read.users.get(workspace.workspace_id, FIRST_ADMIN)
    assert admin is not None, "inserted above"  # noqa: S101
    return admin


async def check_admin_remains(reads: Reads, without: User) -> None:
    """The workspace has an active admin also without this user. Its row must be locked.

    Raises:
        ServiceError: LAST_ADMIN.
    """
    if not is_admin(without.role) or without.state is not State.ACTIVE:
        return
    if not await reads.users.other_admin_exists(
        without.workspace_id, without_user=without.internal_id
    ):
        raise _last_admin(str(without.name))


async def check_admin_remains_without_role(reads: Reads, workspace_id: str, role: Role) -> None:
    """The workspace has an active admin besides those who are admins by this role.

    Raises:
        ServiceError: LAST_ADMIN.
    """
    if is_admin(role) and not await reads.users.other_admin_exists(
        workspace_id, without_role=role.internal_id
    ):
        raise _last_admin(f"whoever has the role {role.role_id}")


def is_admin(role: Role) -> bool:
    """Whether who has this role can do everything: it has all permissions, and may hold keys."""
    return role.permissions.allows(p.EVERYTHING) and role.may_hold_keys


def _last_admin(who: str) -> ServiceError:
    return ServiceError(
        Reason.LAST_ADMIN,
        f"{who} is the last active admin of the workspace: make another one first",
    )

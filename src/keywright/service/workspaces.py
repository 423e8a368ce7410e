"""What operators do with workspaces, and a workspace's own admins with its policy."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from keywright.domain import permissions as p
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import (
    DEFAULT_ENVIRONMENTS,
    SYSTEM_WORKSPACE,
    State,
    User,
    Workspace,
)
from keywright.domain.errors import (
    NotFound,
    Reason,
    ServiceError,
    already_exists,
    invalid_field,
)
from keywright.domain.listing import Listed
from keywright.domain.names import ID_RULE, WorkspaceName, is_id
from keywright.domain.text import check_email
from keywright.service.admins import insert_first_admin
from keywright.service.call import Call, ConfirmedCall, altered, check_etag, moves_history
from keywright.service.mutation import Committed, Mutated, changing, creating
from keywright.service.user_requests import described as described_user
from keywright.service.workspace_requests import (
    FIELDS,
    WorkspaceSpec,
    WorkspaceUpdate,
    checked,
    described,
)
from keywright.storage.authority import Change
from keywright.storage.database import Database, Reads, Writes


@dataclass(frozen=True, slots=True)
class CreatedWorkspace:
    """A workspace, and its first admin if one was named."""

    workspace: Workspace
    admin: User | None


@dataclass(frozen=True, slots=True)
class Workspaces:
    """The use cases of workspaces."""

    database: Database

    async def create(self, call: Call, spec: WorkspaceSpec) -> Committed[CreatedWorkspace]:
        """Create a workspace, with its first admin if one is named."""
        call.require(p.WORKSPACES_MANAGE)
        if not is_id(spec.workspace_id):
            raise invalid_field("workspace_id", f"must be {ID_RULE}")
        if spec.admin_email:
            check_email(spec.admin_email, "admin_email")
        wanted = checked(
            Workspace("", State.ACTIVE, DEFAULT_ENVIRONMENTS),
            WorkspaceUpdate(FIELDS if spec.environments else FIELDS - {"environments"}, spec),
        )

        async def transaction(
            writes: Writes, confirmed: ConfirmedCall
        ) -> Mutated[CreatedWorkspace]:
            confirmed.require(p.WORKSPACES_MANAGE)
            workspace = await writes.workspaces.insert(spec.workspace_id)
            if workspace is None:
                raise already_exists("workspace_id", "a workspace has, or had, this id")
            await writes.workspaces.update(replace(wanted, internal_id=workspace))
            created = await _again(writes.read, spec.workspace_id)
            admin = None
            if spec.admin_email:
                admin = await insert_first_admin(writes, created, spec.admin_email)
            await writes.audit.insert(
                confirmed.event(
                    "CreateWorkspace",
                    created.name,
                    workspace_id=spec.workspace_id,
                    after={**described(created), "admin": spec.admin_email or None},
                )
            )
            if admin is not None:
                await writes.audit.insert(
                    confirmed.event(
                        "CreateUser",
                        admin.name,
                        workspace_id=spec.workspace_id,
                        after=described_user(admin),
                    )
                )
            return Mutated(CreatedWorkspace(created, admin), confirmed.position)

        return await creating(self.database, call, transaction)

    async def get(self, call: Call, name: WorkspaceName) -> Workspace:
        """One workspace: the caller's own, or any for operators."""
        async with self.database.reading() as reads:
            return await _visible(reads, call, name)

    async def list(
        self, call: Call, *, after: str | None, limit: int
    ) -> Sequence[Listed[Workspace]]:
        """Workspaces by id: the caller's own, or all for operators."""
        everywhere = call.caller.may(p.WORKSPACES_MANAGE)
        async with self.database.reading() as reads:
            return await reads.workspaces.list(
                None if everywhere else call.caller.workspace_id, after=after, limit=limit
            )

    async def update(
        self, call: Call, name: WorkspaceName, update: WorkspaceUpdate, *, etag: str = ""
    ) -> Committed[Workspace]:
        """Change what a workspace asks of its keys, or is called.

        The policy counts for every key that is created or changed after it.
        """

        async def write(
            writes: Writes, confirmed: ConfirmedCall, found: Workspace
        ) -> Sequence[Change]:
            changed = checked(found, update)
            if changed == found:
                return []
            gone = set(found.environments) - set(changed.environments)
            used = gone and gone & set(
                await writes.read.workspaces.environments_in_use(found.internal_id)
            )
            if used:
                raise ServiceError(
                    Reason.RESOURCE_IN_USE,
                    f"keys are of the environment {', '.join(sorted(used))}: revoke them first",
                    details={"used_by": "keys", "environment": ",".join(sorted(used))},
                )
            await writes.workspaces.update(changed)
            change = altered(described(found), described(changed))
            await writes.audit.insert(
                confirmed.event("UpdateWorkspace", name, workspace_id=name.workspace, **change)
            )
            return (
                [Change(ChangeKind.WORKSPACE, found.internal_id)] if moves_history(change) else []
            )

        return await self._change(call, name, etag, p.WORKSPACE_MANAGE, write)

    async def disable(
        self, call: Call, name: WorkspaceName, *, etag: str = ""
    ) -> Committed[Workspace]:
        """Disable a workspace: no credential of its users stands when this returns."""
        return await self._set_state(call, name, etag, State.DISABLED)

    async def enable(
        self, call: Call, name: WorkspaceName, *, etag: str = ""
    ) -> Committed[Workspace]:
        """Enable a workspace again."""
        return await self._set_state(call, name, etag, State.ACTIVE)

    async def delete(
        self, call: Call, name: WorkspaceName, *, etag: str = ""
    ) -> Committed[Workspace]:
        """Delete a disabled workspace with all that is in it; the audit trail stays."""

        async def write(
            writes: Writes, confirmed: ConfirmedCall, found: Workspace
        ) -> Sequence[Change]:
            _refuse_system(name)
            if found.state is not State.DISABLED:
                raise ServiceError(
                    Reason.STATE_CONFLICT,
                    f"{name} is in use: disable it first",
                    details={"state": found.state},
                )
            await writes.workspaces.delete(found.internal_id)
            await writes.audit.insert(
                confirmed.event(
                    "DeleteWorkspace",
                    name,
                    workspace_id=name.workspace,
                    before=described(found),
                )
            )
            return [Change(ChangeKind.WORKSPACE, found.internal_id)]

        return await self._change(call, name, etag, p.WORKSPACES_MANAGE, write)

    async def _set_state(
        self, call: Call, name: WorkspaceName, etag: str, state: State
    ) -> Committed[Workspace]:
        async def write(
            writes: Writes, confirmed: ConfirmedCall, found: Workspace
        ) -> Sequence[Change]:
            if state is State.DISABLED:
                _refuse_system(name)
            if found.state is state:
                return []
            await writes.workspaces.set_state(found.internal_id, state)
            await writes.audit.insert(
                confirmed.event(
                    "DisableWorkspace" if state is State.DISABLED else "EnableWorkspace",
                    name,
                    workspace_id=name.workspace,
                    before={"state": found.state},
                    after={"state": state},
                )
            )
            return [Change(ChangeKind.WORKSPACE, found.internal_id)]

        return await self._change(call, name, etag, p.WORKSPACES_MANAGE, write)

    async def _change(
        self,
        call: Call,
        name: WorkspaceName,
        etag: str,
        permission: str,
        write: Callable[[Writes, ConfirmedCall, Workspace], Awaitable[Sequence[Change]]],
    ) -> Committed[Workspace]:
        """The transaction that changes one workspace (DESIGN section 5); steps as for a user."""
        if not call.caller.may(p.WORKSPACES_MANAGE):
            call.in_workspace(name.workspace, name)
            call.require(permission)

        async def transaction(writes: Writes) -> Mutated[Workspace]:
            found = await _visible(writes.read, call, name)
            confirmed = await call.lock(writes, workspaces=[found.internal_id])
            found = await _visible(writes.read, confirmed, name)
            if not confirmed.caller.may(p.WORKSPACES_MANAGE):
                confirmed.require(permission)
            check_etag(etag, found)
            changes = await write(writes, confirmed, found)
            after = await writes.read.workspaces.get(name.workspace) or found
            return Mutated(after, confirmed.position, changes)

        return await changing(self.database, call, transaction)


async def _visible(reads: Reads, call: Call, name: WorkspaceName) -> Workspace:
    """The workspace, if it is the caller's or the caller is an operator."""
    if not call.caller.may(p.WORKSPACES_MANAGE):
        call.in_workspace(name.workspace, name)
    return await _again(reads, name.workspace)


async def _again(reads: Reads, workspace_id: str) -> Workspace:
    workspace = await reads.workspaces.get(workspace_id)
    if workspace is None:
        raise NotFound(str(WorkspaceName(workspace_id)))
    return workspace


def _refuse_system(name: WorkspaceName) -> None:
    if name.workspace == SYSTEM_WORKSPACE:
        raise ServiceError(
            Reason.BUILT_IN_IMMUTABLE, f"{name} is where operators live: it stays, and stays in use"
        )

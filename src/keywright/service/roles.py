"""What people do with roles: see those that there are, and make a workspace's own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from keywright.domain import creation
from keywright.domain import permissions as p
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import RoleRecord
from keywright.domain.errors import (
    NotFound,
    Reason,
    ServiceError,
    already_exists,
    invalid_field,
)
from keywright.domain.listing import Listed
from keywright.domain.names import ID_RULE, RoleName, WorkspaceName, is_id
from keywright.domain.permissions import PermissionSet, check_known, is_pattern
from keywright.domain.text import check_description, check_display_name
from keywright.service.admins import check_admin_remains_without_role, is_admin
from keywright.service.call import Call, ConfirmedCall, altered, check_etag, moves_history
from keywright.service.mutation import Committed, Mutated, changing, creating
from keywright.service.visibility import role_record
from keywright.storage.authority import Change
from keywright.storage.database import Database, Reads, Writes

FIELDS = frozenset({"display_name", "description", "permissions", "may_hold_keys"})
PERMISSIONS_MAX_COUNT = 500
_TAKEN = frozenset({"display_name", "description"})
_NAMED_MAX_COUNT = 5


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What a caller asks of a role."""

    role_id: str = ""
    display_name: str = ""
    description: str = ""
    permissions: tuple[str, ...] = ()
    may_hold_keys: bool = False


@dataclass(frozen=True, slots=True)
class RoleUpdate:
    """New values for a role; `fields` are the names of those that count."""

    fields: frozenset[str]
    values: RoleSpec


@dataclass(frozen=True, slots=True)
class Roles:
    """The use cases of roles."""

    database: Database

    async def create(
        self, call: Call, parent: WorkspaceName, spec: RoleSpec
    ) -> Committed[RoleRecord]:
        """Make a role of permissions that the caller has."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.ROLES_MANAGE)
        if not is_id(spec.role_id):
            raise invalid_field("role_id", f"must be {ID_RULE}")
        _check_form(spec)

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[RoleRecord]:
            confirmed.require(p.ROLES_MANAGE)
            workspace = confirmed.workspace
            check_known(spec.permissions, workspace.permission_catalog, "role.permissions")
            creation.check_given(confirmed.caller, "it", spec.permissions, "role.permissions")
            if await writes.read.roles.get(parent.workspace, spec.role_id):
                raise already_exists("role_id", "a role with this id exists already")
            await writes.roles.insert(
                workspace.internal_id,
                spec.role_id,
                PermissionSet(spec.permissions),
                may_hold_keys=spec.may_hold_keys,
                display_name=spec.display_name,
                description=spec.description,
            )
            created = await _again(writes.read, parent.workspace, spec.role_id)
            await writes.audit.insert(
                confirmed.event("CreateRole", created.name, after=_described(created))
            )
            return Mutated(created, confirmed.position)

        return await creating(self.database, call, transaction)

    async def get(self, call: Call, name: RoleName) -> RoleRecord:
        """One role: the caller's own, or any for who may read roles."""
        call.in_workspace(name.workspace, name)
        if name.role != call.caller.user.role.role_id:
            call.require(p.ROLES_READ)
        async with self.database.reading() as reads:
            return await role_record(reads, call, name)

    async def list(
        self, call: Call, parent: WorkspaceName, *, after: str | None, limit: int
    ) -> Sequence[Listed[RoleRecord]]:
        """Roles, the built-in ones first."""
        call.in_workspace(parent.workspace, parent)
        call.require(p.ROLES_READ)
        async with self.database.reading() as reads:
            return await reads.roles.list(parent.workspace, after=after, limit=limit)

    async def update(
        self, call: Call, name: RoleName, update: RoleUpdate, *, etag: str = ""
    ) -> Committed[RoleRecord]:
        """Change a role, and at once what everybody who has it may do."""
        _check_form(update.values)

        async def write(
            writes: Writes, confirmed: ConfirmedCall, found: RoleRecord
        ) -> Sequence[Change]:
            changed = _updated(found, update)
            if changed == found:
                return []
            before, after = found.role.permissions, changed.role.permissions
            added = before.lacking(after.patterns)
            if added:
                catalog = confirmed.workspace.permission_catalog
                check_known(update.values.permissions, catalog, "role.permissions")
                creation.check_given(confirmed.caller, "it", added, "role.permissions")
            if changed.role.may_hold_keys and not found.role.may_hold_keys:
                # Keys of all who have the role come to stand again, with all that is in it.
                creation.check_given(confirmed.caller, "it", after.patterns, "role.may_hold_keys")
            if not is_admin(changed.role):
                await check_admin_remains_without_role(writes.read, name.workspace, found.role)
            await writes.roles.update(changed)
            change = altered(_described(found), _described(changed))
            await writes.audit.insert(confirmed.event("UpdateRole", found.name, **change))
            return (
                [Change(ChangeKind.ROLE, found.role.internal_id)] if moves_history(change) else []
            )

        return await self._change(call, name, etag, write)

    async def delete(self, call: Call, name: RoleName, *, etag: str = "") -> Committed[RoleRecord]:
        """Delete a role that nobody has."""

        async def write(
            writes: Writes, confirmed: ConfirmedCall, found: RoleRecord
        ) -> Sequence[Change]:
            names, count = await writes.read.roles.used_by(found.role.internal_id, _NAMED_MAX_COUNT)
            if names:
                more = f" and {count - len(names)} more" if count > len(names) else ""
                raise ServiceError(
                    Reason.RESOURCE_IN_USE,
                    f"{found.name} is had by {', '.join(names)}{more}: change them first",
                    details={"used_by": ",".join(names)},
                )
            await writes.roles.delete(found.role.internal_id)
            await writes.audit.insert(
                confirmed.event("DeleteRole", found.name, before=_described(found))
            )
            return [Change(ChangeKind.ROLE, found.role.internal_id)]

        return await self._change(call, name, etag, write)

    async def _change(
        self,
        call: Call,
        name: RoleName,
        etag: str,
        write: Callable[[Writes, ConfirmedCall, RoleRecord], Awaitable[Sequence[Change]]],
    ) -> Committed[RoleRecord]:
        """The transaction that changes one role (DESIGN section 5); steps as for a user."""
        call.in_workspace(name.workspace, name)
        call.require(p.ROLES_MANAGE)

        async def transaction(writes: Writes) -> Mutated[RoleRecord]:
            found = await role_record(writes.read, call, name)
            # The workspace, too: who creates by a permission of this role holds that, and two
            # roles must not stop making admins at once.
            confirmed = await call.lock(
                writes,
                workspaces=[call.caller.credential.workspace_internal_id],
                roles=[] if found.role.built_in else [found.role.internal_id],
            )
            confirmed.require(p.ROLES_MANAGE)
            found = await role_record(writes.read, confirmed, name)
            if found.role.built_in:
                raise ServiceError(
                    Reason.BUILT_IN_IMMUTABLE,
                    f"{name} is built in: make a role of your own",
                )
            check_etag(etag, found)
            changes = await write(writes, confirmed, found)
            after = await writes.read.roles.record(name.workspace, name.role) or found
            return Mutated(after, confirmed.position, changes)

        return await changing(self.database, call, transaction)


def _check_form(spec: RoleSpec) -> None:
    check_display_name(spec.display_name, "role.display_name")
    check_description(spec.description, "role.description")
    if len(spec.permissions) > PERMISSIONS_MAX_COUNT:
        raise invalid_field("role.permissions", f"must be at most {PERMISSIONS_MAX_COUNT}")
    if len(set(spec.permissions)) < len(spec.permissions):
        raise invalid_field("role.permissions", "must not name a permission twice")
    for index, pattern in enumerate(spec.permissions):
        if not is_pattern(pattern):
            raise invalid_field(
                f"role.permissions[{index}]",
                "must be a permission such as datasets.read, or a pattern: datasets.* or *",
            )


def _updated(found: RoleRecord, update: RoleUpdate) -> RoleRecord:
    fields, values = update.fields, update.values
    role = found.role
    if "permissions" in fields:
        role = replace(role, permissions=PermissionSet(values.permissions))
    if "may_hold_keys" in fields:
        role = replace(role, may_hold_keys=values.may_hold_keys)
    taken = {each: getattr(values, each) for each in fields & _TAKEN}
    return replace(found, role=role, **taken)


async def _again(reads: Reads, workspace_id: str, role_id: str) -> RoleRecord:
    """A role that this transaction has written."""
    record = await reads.roles.record(workspace_id, role_id)
    if record is None:
        raise NotFound(str(RoleName(workspace_id, role_id)))
    return record


def _described(record: RoleRecord) -> dict[str, object]:
    """A role as the audit trail keeps it."""
    return {
        "display_name": record.display_name,
        "description": record.description,
        "permissions": sorted(record.role.permissions.patterns),
        "may_hold_keys": record.role.may_hold_keys,
    }

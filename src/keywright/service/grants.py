"""What people do with grants: give users roles on resources, and take them away."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.creation import check_given
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import GrantRecord, User
from keywright.domain.errors import (
    NotFound,
    invalid_field,
    permission_missing,
)
from keywright.domain.identity import mint_id
from keywright.domain.listing import Listed
from keywright.domain.names import ID_RULE, GrantName, RoleName, UserName, WorkspaceName, is_id
from keywright.domain.resources import covers, is_resource
from keywright.domain.token import Entropy
from keywright.service.call import Call, ConfirmedCall
from keywright.service.mutation import Committed, Mutated, changing, creating
from keywright.service.visibility import visible_grant, visible_role, visible_user
from keywright.storage.authority import Change
from keywright.storage.database import Database, Reads, Writes
from keywright.storage.grants import GrantFilter

# Each look-up of a key brings all grants of its user along.
GRANTS_MAX_COUNT = 1000


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """What a caller asks of a new grant."""

    user: UserName
    resource: str
    role: RoleName
    grant_id: str = ""


@dataclass(frozen=True, slots=True)
class GrantQuery:
    """Which grants a caller wants to see. Empty asks nothing."""

    user: UserName | None = None
    resource: str = ""
    role: RoleName | None = None


@dataclass(frozen=True, slots=True)
class Grants:
    """The use cases of grants."""

    database: Database
    entropy: Entropy

    async def create(
        self, call: Call, parent: WorkspaceName, spec: GrantSpec
    ) -> Committed[GrantRecord]:
        """Give a user a role on a resource, of at most what the caller may do there."""
        call.in_workspace(parent.workspace, parent)
        if spec.grant_id and not is_id(spec.grant_id):
            raise invalid_field("grant_id", f"must be {ID_RULE}")
        if not is_resource(spec.resource):
            raise invalid_field(
                "grant.resource", "must be a path such as projects/abc without empty segments"
            )
        grant_id = spec.grant_id or mint_id(self.entropy)

        async def transaction(writes: Writes, confirmed: ConfirmedCall) -> Mutated[GrantRecord]:
            user = await _grantee(writes.read, confirmed, spec.user, spec.resource)
            if user.resource and not covers(user.resource, spec.resource):
                raise invalid_field(
                    "grant.resource",
                    f"must be {user.resource} or below: {user.name} is its service user",
                )
            role = await visible_role(writes.read, confirmed, spec.role)
            check_given(
                confirmed.caller,
                f"the role {role.role_id}",
                role.permissions.patterns,
                "grant.role",
                resource=spec.resource,
            )
            if await writes.read.grants.count(user.internal_id) >= GRANTS_MAX_COUNT:
                raise invalid_field(
                    "grant.user",
                    f"has {GRANTS_MAX_COUNT} grants already, which is all there may be",
                )
            await writes.grants.insert(
                grant_id, user, spec.resource, role, creator=str(confirmed.caller.user.name)
            )
            created = await writes.read.grants.get(parent.workspace, grant_id)
            assert created is not None, "inserted above, in the same transaction"  # noqa: S101
            await writes.audit.insert(
                confirmed.event("CreateGrant", created.name, after=_described(created))
            )
            # It takes nothing away, so nobody waits; but caches may hold what the user may do.
            change = Change(ChangeKind.USER, user.internal_id)
            return Mutated(created, confirmed.position, [change])

        return await creating(self.database, call, transaction)

    async def get(self, call: Call, name: GrantName) -> GrantRecord:
        """One grant."""
        async with self.database.reading() as reads:
            return await visible_grant(reads, call, name)

    async def list(
        self, call: Call, parent: WorkspaceName, query: GrantQuery, *, after: str | None, limit: int
    ) -> Sequence[Listed[GrantRecord]]:
        """Grants that match and that the caller may know of, newest first."""
        call.in_workspace(parent.workspace, parent)
        async with self.database.reading() as reads:
            only = await _filter(reads, call, query)
            return await reads.grants.list(parent.workspace, only, after=after, limit=limit)

    async def delete(self, call: Call, name: GrantName) -> Committed[GrantRecord]:
        """Take a grant away: a narrowing (DESIGN section 5), of the user who has it."""

        async def transaction(writes: Writes) -> Mutated[GrantRecord]:
            found = await visible_grant(writes.read, call, name)
            confirmed = await call.lock(writes, users=[found.user.internal_id])
            again = await visible_grant(writes.read, confirmed, name)
            if again.internal_id != found.internal_id:  # deleted meanwhile, and made anew
                raise NotFound(str(name))
            if not access.manages_grants(confirmed.caller, again.user, again.resource):
                raise permission_missing(p.GRANTS_MANAGE)
            await writes.grants.delete(again.internal_id)
            await writes.audit.insert(
                confirmed.event("DeleteGrant", name, before=_described(again))
            )
            change = Change(ChangeKind.USER, again.user.internal_id)
            return Mutated(again, confirmed.position, [change])

        return await changing(self.database, call, transaction)


async def _grantee(reads: Reads, call: Call, name: UserName, resource: str) -> User:
    """Who is to get a grant. To who may give grants there, it is no secret who there is."""
    call.in_workspace(name.workspace, name)
    user = await reads.users.get(name.workspace, name.user)
    if call.caller.may_at(resource, p.GRANTS_MANAGE):
        if user is None:
            raise NotFound(str(name))
        return user
    if user is None or not access.manages_resource_of(call.caller, user):
        raise permission_missing(p.GRANTS_MANAGE)
    return user


async def _filter(reads: Reads, call: Call, query: GrantQuery) -> GrantFilter:
    user = None if query.user is None else await visible_user(reads, call, query.user)
    if query.role is not None:
        await visible_role(reads, call, query.role)
    asked = GrantFilter(
        user=None if user is None else user.internal_id,
        resource=query.resource,
        role_id="" if query.role is None else query.role.role,
    )
    if call.caller.may(p.GRANTS_READ) or call.caller.may(p.GRANTS_MANAGE):
        return asked
    caller = call.caller
    seen_on = {*caller.resources_with(p.GRANTS_READ), *caller.resources_with(p.GRANTS_MANAGE)}
    return replace(
        asked,
        seen_by=caller.user.internal_id,
        seen_on=sorted(seen_on),
        managed=caller.resources_with(p.KEYS_BOUND),
    )


def _described(grant: GrantRecord) -> dict[str, object]:
    """A grant as the audit trail keeps it."""
    return {
        "user": grant.user.user_id,
        "resource": grant.resource,
        "role": grant.role.role_id,
    }

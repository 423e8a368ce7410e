"""Names, resolved as far as the caller may see: what it may not see is `NotFound`, as if missing.

Foreign, invisible and missing are one answer (promise G8).
"""

from typing import Protocol

from keywright.domain import access
from keywright.domain import permissions as p
from keywright.domain.directory import GrantRecord, Owner, RoleRecord, User
from keywright.domain.errors import NotFound, permission_missing
from keywright.domain.keys import Key, KeyAt, KeyState
from keywright.domain.names import GrantName, KeyName, RoleName, SessionName, UserName
from keywright.domain.roles import Role
from keywright.domain.sessions import SessionAt
from keywright.domain.text import normalise_email
from keywright.service.call import Call
from keywright.service.key_requests import KeyQuery
from keywright.storage.database import Reads
from keywright.storage.keys import KeyFilter


class Owners(Protocol):
    """Where users are found, with their grants."""

    async def owner(self, workspace_id: str, user: str) -> Owner | None:
        """The user of that id or e-mail."""


class Roles(Protocol):
    """Where roles are found."""

    async def record(self, workspace_id: str, role_id: str) -> RoleRecord | None:
        """The role of that id which a workspace may use."""


class Directory(Protocol):
    """Where names are looked up: in the database, or in what was read from it for many at once."""

    @property
    def users(self) -> Owners:
        """The users."""

    @property
    def roles(self) -> Roles:
        """The roles."""


async def visible_key(reads: Reads, call: Call, name: KeyName) -> KeyAt:
    """The key, if one of the caller's permissions covers it."""
    call.in_workspace(name.workspace, name)
    found = await reads.keys.get(name.workspace, name.key)
    if found is None or not access.covers_key(call.caller, found.key):
        raise NotFound(str(name))
    return found


async def visible_user(reads: Reads, call: Call, name: UserName) -> User:
    """The user, if it is the caller or the caller may know of it."""
    call.in_workspace(name.workspace, name)
    if is_named(call.caller.user, name):
        return call.caller.user
    user = await reads.users.get(name.workspace, name.user)
    if user is None or not access.sees_user(call.caller, user):
        raise NotFound(str(name))
    return user


async def visible_role(reads: Directory, call: Call, name: RoleName) -> Role:
    """The role of that name, built in or of the caller's workspace.

    That there is a role of some name is no secret within a workspace; what is in it may be.

    Raises:
        NotFound: there is none, or it is another workspace's.
    """
    return (await role_record(reads, call, name)).role


async def role_record(reads: Directory, call: Call, name: RoleName) -> RoleRecord:
    """The same, with what people are told of it."""
    call.in_workspace(name.workspace, name)
    record = await reads.roles.record(name.workspace, name.role)
    if record is None:
        raise NotFound(str(name))
    return record


async def visible_grant(reads: Reads, call: Call, name: GrantName) -> GrantRecord:
    """The grant, if it is the caller's own or the caller may know of it."""
    call.in_workspace(name.workspace, name)
    grant = await reads.grants.get(name.workspace, name.grant)
    if grant is None or not access.sees_grant(call.caller, grant):
        raise NotFound(str(name))
    return grant


async def visible_session(reads: Reads, call: Call, name: SessionName) -> SessionAt:
    """The session, if it is the caller's own, or the caller manages users."""
    call.in_workspace(name.workspace, name)
    found = await reads.sessions.get(name.workspace, name.session)
    if found is None or not access.sees_session(call.caller, found.session):
        raise NotFound(str(name))
    return found


async def key_owner(reads: Directory, call: Call, name: UserName | None) -> Owner:
    """Whose key it is to be: the caller's, or that of somebody the caller may act as."""
    me = call.caller
    if name is None or is_named(me.user, name):
        return Owner(me.user, tuple(me.credential.authority.grants))
    call.in_workspace(name.workspace, name)
    owner = await reads.users.owner(name.workspace, name.user)
    if not me.may(p.KEYS_ANY) and not (
        owner is not None and access.manages_resource_of(me, owner.user)
    ):
        raise permission_missing(p.KEYS_ANY)
    if owner is None:
        raise NotFound(str(name))
    return owner


async def owner_of(reads: Reads, key: Key) -> Owner:
    """Whose key it is.

    Raises:
        NotFound: the user was deleted.
    """
    owner = await reads.users.owner(key.workspace_id, key.owner.user_id)
    if owner is None or owner.user.internal_id != key.owner_internal_id:
        raise NotFound(str(UserName(key.workspace_id, key.owner.user_id)))
    return owner


async def key_filter(
    reads: Reads, call: Call, query: KeyQuery, *, usual: frozenset[KeyState]
) -> KeyFilter:
    """The filter that a query stands for, of the keys that the caller's permissions cover.

    `usual` are the states that are meant where the query names none.

    Raises:
        ServiceError: CALLER_PERMISSION_MISSING: it could not cover any key that is asked for.
        NotFound: a user or role that the query names.
    """
    caller = call.caller
    covers_all = caller.may(p.KEYS_ANY)
    covered_on = () if covers_all else caller.resources_with(p.KEYS_BOUND)
    if not covers_all and not covered_on:
        if query.user is not None and not is_named(caller.user, query.user):
            raise permission_missing(p.KEYS_ANY)
        call.require(p.KEYS_OWN)
    covers_own = caller.may(p.KEYS_OWN)
    owner, gone_owner = await _person(reads, call, query.user)
    creator, gone_creator = await _person(reads, call, query.creator)
    if query.role is not None:
        await visible_role(reads, call, query.role)
    return KeyFilter(
        states=query.states or usual,
        owner=owner,
        gone_owner=gone_owner,
        creator=creator,
        gone_creator=gone_creator,
        resource=query.resource,
        role_id="" if query.role is None else query.role.role,
        environment=query.environment,
        labels=query.labels,
        expires_before=query.expires_before,
        unused_since=query.unused_since,
        unrotated_since=query.unrotated_since,
        search=query.search,
        covered_by=None if covers_all else caller.user.internal_id if covers_own else 0,
        covered_on=covered_on,
    )


async def _person(reads: Reads, call: Call, name: UserName | None) -> tuple[int | None, str]:
    """The internal id of a user, or the id of one who is gone but whom keys remember."""
    if name is None:
        return None, ""
    call.in_workspace(name.workspace, name)
    try:
        return (await visible_user(reads, call, name)).internal_id, ""
    except NotFound:
        workspace = call.caller.credential.workspace_internal_id
        if call.caller.may(p.KEYS_ANY) and await reads.keys.remembers(workspace, name.user):
            return None, name.user
        raise


def is_named(user: User, name: UserName) -> bool:
    """Whether `name` is the name of `user`, by id or by e-mail."""
    if name.workspace != user.workspace_id:
        return False
    if "@" in name.user:
        return user.email is not None and normalise_email(name.user) == normalise_email(user.email)
    return name.user == user.user_id

"""Names, resolved as far as the caller may see: what it may not see is `NotFound`, as if missing.

Foreign, invisible and missing are one answer (promise G8).
"""

from keywright.domain import permissions as p
from keywright.domain.directory import User
from keywright.domain.errors import NotFound
from keywright.domain.keys import KeyAt
from keywright.domain.names import KeyName, RoleName, UserName
from keywright.domain.roles import Role
from keywright.domain.text import normalise_email
from keywright.service.call import Call
from keywright.storage.database import Reads


async def visible_key(reads: Reads, call: Call, name: KeyName) -> KeyAt:
    """The key, if it is the caller's own or the caller may see all of them."""
    call.in_workspace(name.workspace, name)
    found = await reads.keys.get(name.workspace, name.key)
    if found is None:
        raise NotFound(str(name))
    own = found.key.owner_internal_id == call.caller.user.internal_id
    if not call.caller.may(p.KEYS_ANY) and not (own and call.caller.may(p.KEYS_OWN)):
        raise NotFound(str(name))
    return found


async def visible_user(reads: Reads, call: Call, name: UserName) -> User:
    """The user, if it is the caller or the caller may see others."""
    call.in_workspace(name.workspace, name)
    if is_named(call.caller.user, name):
        return call.caller.user
    user = await reads.users.get(name.workspace, name.user)
    if user is None or not (call.caller.may(p.KEYS_ANY) or call.caller.may(p.USERS_READ)):
        raise NotFound(str(name))
    return user


async def visible_role(reads: Reads, call: Call, name: RoleName) -> Role:
    """The role of that name, built in or of the caller's workspace.

    Raises:
        NotFound: there is none, or it is another workspace's.
    """
    call.in_workspace(name.workspace, name)
    workspace = await reads.workspaces.get(name.workspace)
    role = None if workspace is None else await reads.roles.get(workspace.internal_id, name.role)
    if role is None:
        raise NotFound(str(name))
    return role


async def key_owner(reads: Reads, call: Call, name: UserName | None) -> User:
    """Whose key it is to be: the caller's, or that of somebody the caller may create keys for."""
    me = call.caller.user
    if name is None or is_named(me, name):
        return me
    call.in_workspace(name.workspace, name)
    call.require(p.KEYS_ANY)
    owner = await reads.users.get(name.workspace, name.user)
    if owner is None:
        raise NotFound(str(name))
    return owner


def is_named(user: User, name: UserName) -> bool:
    """Whether `name` is the name of `user`, by id or by e-mail."""
    if name.workspace != user.workspace_id:
        return False
    if "@" in name.user:
        return user.email is not None and normalise_email(name.user) == normalise_email(user.email)
    return name.user == user.user_id

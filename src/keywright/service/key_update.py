"""What `UpdateKey` makes of a key, and whether the caller may."""

from dataclasses import replace

from keywright.domain import creation
from keywright.domain.key_changes import Reach, widens
from keywright.domain.keys import Key, KeyAt, KeyState
from keywright.domain.permissions import check_known
from keywright.domain.policy import check_lifetime
from keywright.service.call import ConfirmedCall
from keywright.service.key_creation import check_count
from keywright.service.key_requests import KeyUpdate
from keywright.service.visibility import owner_of, visible_role
from keywright.storage.database import Reads, Writes


async def updated(reads: Reads, call: ConfirmedCall, key: Key, update: KeyUpdate) -> Key:
    """The key with the new values of the fields that are to change."""
    fields, values = update.fields, update.values
    narrowing = key.narrowing
    if "role" in fields:
        role = None if values.role is None else await visible_role(reads, call, values.role)
        narrowing = replace(narrowing, role=role)
    taken = {field: getattr(values, field) for field in fields & _NARROWING}
    taken_by_key = {field: getattr(values, field) for field in fields & _OF_KEY}
    return replace(key, narrowing=replace(narrowing, **taken), **taken_by_key)


async def check_update(writes: Writes, call: ConfirmedCall, found: KeyAt, changed: Key) -> None:
    """The caller may make this of the key: what widens it, as far as it might create it so.

    Raises:
        InvalidFields: an unknown scope, or a lifetime that the policy forbids.
        ServiceError: as for a creation.
    """
    key, caller = found.key, call.caller
    workspace = call.workspace
    if changed.narrowing.scopes != key.narrowing.scopes:
        check_known(changed.narrowing.scopes, workspace.permission_catalog, "key.scopes")
    if changed.expire_time != key.expire_time:
        end = changed.expire_time
        lifetime = None if end is None else end - found.now
        check_lifetime(workspace.key_policy, found.now, lifetime, "key.expire_time")
    wider = widens(Reach.of(key), Reach.of(changed)) or _binds(key, changed)
    new_role = changed.narrowing.role not in (None, key.narrowing.role)
    if not wider and not new_role:
        return
    owner = await owner_of(writes.read, key)
    if not wider:  # a role that is beyond the owner is no use, and a wrong promise
        creation.check_role(caller, owner, changed.narrowing)
        return
    creation.check_permission(caller, owner.user, changed.narrowing.resource, workspace.key_policy)
    creation.check_owner(owner.user)
    creation.check_within(caller, owner, changed.narrowing, changed.expire_time)
    if found.state is KeyState.EXPIRED:  # it comes to stand again, beside those that do
        await check_count(writes, workspace, owner.user)


def _binds(key: Key, changed: Key) -> bool:
    """Whether a key comes to be bound: it gains nothing, but only some may have bound keys."""
    before, after = key.narrowing.resource, changed.narrowing.resource
    return after != "" and before == ""


_NARROWING = frozenset({"scopes", "resource", "allowed_networks"})
_OF_KEY = frozenset({"display_name", "labels", "rate_limit", "expire_time"})
FIELDS = _NARROWING | _OF_KEY | {"role"}

"""Whose keys and users a caller may act on.

Taking away asks for less than giving: whoever manages a resource may end every key that is bound to
it, but a *token* lets its holder act as the key's owner, so only who may act as the owner anyway
gets one.
"""

from keywright.domain import permissions as p
from keywright.domain.decision import Principal
from keywright.domain.dependency import ChangeKind
from keywright.domain.directory import GrantRecord, User
from keywright.domain.keys import Key
from keywright.domain.sessions import Session


def covers_key(caller: Principal, key: Key) -> bool:
    """Whether one of the caller's permissions covers the key: to see it, and to take it away."""
    return (
        caller.may(p.KEYS_ANY)
        or (key.owner_internal_id == caller.user.internal_id and caller.may(p.KEYS_OWN))
        or (key.narrowing.resource != "" and caller.may_at(key.narrowing.resource, p.KEYS_BOUND))
    )


def may_act_as(caller: Principal, owner: User) -> bool:
    """Whether the caller may hold tokens of `owner`: its own, anybody's, or of whom it manages."""
    if owner.internal_id == caller.user.internal_id:
        return caller.may(p.KEYS_OWN) or caller.may(p.KEYS_ANY)
    return caller.may(p.KEYS_ANY) or manages_resource_of(caller, owner)


def manages_resource_of(caller: Principal, user: User) -> bool:
    """Whether `user` is a service user of a resource on which the caller has `keys.bound`."""
    return user.resource != "" and caller.may_at(user.resource, p.KEYS_BOUND)


def manages_user(caller: Principal, user: User) -> bool:
    """Whether the caller may change `user`, and disable, enable or delete it."""
    return caller.may(p.USERS_MANAGE) or manages_resource_of(caller, user)


def sees_user(caller: Principal, user: User) -> bool:
    """Whether the caller may know of `user`."""
    return (
        user.internal_id == caller.user.internal_id
        or caller.may(p.USERS_READ)
        or caller.may(p.KEYS_ANY)
        or manages_user(caller, user)
    )


def may_explain_user(caller: Principal, user: User) -> bool:
    """Whether the caller may learn all that decides about `user`: its role, and its grants."""
    return (
        user.internal_id == caller.user.internal_id
        or (caller.may(p.KEYS_ANY) and caller.may(p.USERS_READ))
        or manages_resource_of(caller, user)
    )


def may_explain_key(caller: Principal, key: Key, owner: User) -> bool:
    """Whether the caller may learn all that decides about `key`: it calls with it, or sees all."""
    calling = caller.credential
    calls = calling.kind is ChangeKind.KEY and calling.record.internal_id == key.internal_id
    return calls or (covers_key(caller, key) and may_explain_user(caller, owner))


def sees_session(caller: Principal, session: Session) -> bool:
    """Whether the caller may know of `session`, and end it."""
    return session.user_internal_id == caller.user.internal_id or caller.may(p.USERS_MANAGE)


def manages_grants(caller: Principal, user: User, resource: str) -> bool:
    """Whether the caller may give `user` roles on `resource`, and take them away."""
    return caller.may_at(resource, p.GRANTS_MANAGE) or manages_resource_of(caller, user)


def sees_grant(caller: Principal, grant: GrantRecord) -> bool:
    """Whether the caller may know of `grant`."""
    return (
        grant.user.internal_id == caller.user.internal_id
        or caller.may_at(grant.resource, p.GRANTS_READ)
        or manages_grants(caller, grant.user, grant.resource)
    )

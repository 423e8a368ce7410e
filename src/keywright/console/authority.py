"""What a person may give away: not more than they may do themselves."""

from collections.abc import Iterable

from keywright.console.visit import PersonVisit
from keywright.sdk import InvalidArgument, PermissionDenied, Principal, Role
from keywright.sdk.client import AsyncClient


def covers(patterns: Iterable[str], pattern: str) -> bool:
    """Whether everything that one pattern matches is matched by one of others."""
    return any(
        each in {"*", pattern} or (each.endswith(".*") and pattern.startswith(each[:-1]))
        for each in patterns
    )


async def visible_roles(client: AsyncClient) -> list[Role]:
    """All roles; none if a person may not see them."""
    try:
        return [role async for role in client.roles.list(page_size=1000)]
    except PermissionDenied:
        return []


async def roles_within(client: AsyncClient, me: Principal) -> list[Role]:
    """The roles that a person may give to a user."""
    return [
        role
        for role in await visible_roles(client)
        if all(covers(me.permissions, each) for each in role.permissions)
    ]


async def roles_to_give(client: AsyncClient, me: Principal) -> list[Role]:
    """The roles that a person may narrow a key to; none if they may not see roles."""
    return [role for role in await roles_within(client, me) if role.permissions]


async def me_at(visit: PersonVisit, resource: str) -> Principal:
    """Who asks, and what they may do on a resource, where grants may give them more."""
    if not resource:
        return visit.me
    try:
        return await visit.client.authenticate(visit.cookie, resource=resource)
    except InvalidArgument:  # nothing can have this name
        return visit.me

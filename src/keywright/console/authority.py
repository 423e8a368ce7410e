"""What a person may give away: not more than they may do themselves."""

from collections.abc import Iterable

from keywright.sdk import PermissionDenied, Principal, Role
from keywright.sdk.client import AsyncClient


def covers(patterns: Iterable[str], pattern: str) -> bool:
    """Whether everything that one pattern matches is matched by one of others."""
    return any(
        each in {"*", pattern} or (each.endswith(".*") and pattern.startswith(each[:-1]))
        for each in patterns
    )


async def roles_to_give(client: AsyncClient, me: Principal) -> list[Role]:
    """The roles that a person may narrow a key to; none if they may not see roles."""
    try:
        return [
            role
            async for role in client.roles.list(page_size=1000)
            if role.permissions and all(covers(me.permissions, each) for each in role.permissions)
        ]
    except PermissionDenied:
        return []

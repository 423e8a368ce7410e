"""Who has a role: what a change of it touches."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from keywright.console.visit import PersonVisit
from keywright.sdk import NotFound, PermissionDenied, Role

_COUNTED = 200


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, as far as a person may see and somebody has counted."""

    number: int
    has_more: bool = False

    def told(self, one: str, many: str) -> str:
        """`1 user`, `12 users`, `200 or more users`."""
        number = f"{self.number:,} or more" if self.has_more else f"{self.number:,}"
        return f"{number} {one if (self.number, self.has_more) == (1, False) else many}"


@dataclass(frozen=True, slots=True)
class Use:
    """What has a role; None is not for this person to see.

    Attributes:
        keys: those that are narrowed to it, and not revoked.
    """

    users: Count | None
    grants: Count | None
    keys: Count | None

    @property
    def told(self) -> list[str]:
        """Those that there are in words, as far as they are seen."""
        counts = (
            (self.users, "user", "users"),
            (self.grants, "grant", "grants"),
            (self.keys, "key", "keys"),
        )
        return [count.told(one, many) for count, one, many in counts if count and count.number]


class _Pages(Protocol):
    def page(self) -> Awaitable[Any]: ...


async def use_of(visit: PersonVisit, role: Role) -> Use:
    """Who has a role."""
    client = visit.client
    users, grants, keys = await asyncio.gather(
        _counted(client.users.list(role=role.name, page_size=_COUNTED)),
        _counted(client.grants.list(role=role.name, page_size=_COUNTED)),
        _keys(visit, role),
    )
    return Use(users, grants, keys)


async def _counted(listed: _Pages) -> Count | None:
    try:
        page = await listed.page()
    except (PermissionDenied, NotFound):
        return None
    return Count(len(page.items), bool(page.next_page_token))


async def _keys(visit: PersonVisit, role: Role) -> Count | None:
    if not visit.me.may("keys.any"):
        return None
    return Count(await visit.client.keys.revoke_many(role=role.name, validate_only=True))

"""What people ask about keys: one, by its id or a token's prefix, or those that match."""

from collections.abc import Sequence
from dataclasses import dataclass

from keywright.domain.access import covers_key
from keywright.domain.errors import NotFound
from keywright.domain.keys import KeyAt, KeyState
from keywright.domain.listing import Listed
from keywright.domain.names import KeyName, WorkspaceName
from keywright.service.call import Call
from keywright.service.key_requests import KeyQuery, Sorting
from keywright.service.visibility import key_filter, visible_key
from keywright.storage.database import Database

_LISTED = frozenset({KeyState.ACTIVE})


@dataclass(frozen=True, slots=True)
class Keys:
    """Reads keys, as far as the caller's permissions cover them."""

    database: Database

    async def get(self, call: Call, name: KeyName) -> KeyAt:
        """One key."""
        async with self.database.reading() as reads:
            return await visible_key(reads, call, name)

    async def look_up(self, call: Call, parent: WorkspaceName, prefix: str) -> KeyAt:
        """The key of which some token has this prefix, also one that a rotation replaced."""
        call.in_workspace(parent.workspace, parent)
        async with self.database.reading() as reads:
            found = await reads.keys.with_prefix(parent.workspace, prefix)
        if found is None or not covers_key(call.caller, found.key):
            raise NotFound(f"{parent}/keys with the prefix {prefix}")
        return found

    async def list(
        self,
        call: Call,
        parent: WorkspaceName,
        query: KeyQuery,
        sorting: Sorting,
        *,
        after: str | None,
        limit: int,
    ) -> Sequence[Listed[KeyAt]]:
        """Keys that match, those that are active unless the query names other states."""
        call.in_workspace(parent.workspace, parent)
        async with self.database.reading() as reads:
            only = await key_filter(reads, call, query, usual=_LISTED)
            return await reads.keys.list(
                parent.workspace,
                only,
                sorting.order,
                descending=sorting.descending,
                after=after,
                limit=limit,
            )

    async def count(self, call: Call, parent: WorkspaceName, query: KeyQuery) -> int:
        """How many keys `list` has in all."""
        call.in_workspace(parent.workspace, parent)
        async with self.database.reading() as reads:
            only = await key_filter(reads, call, query, usual=_LISTED)
            return await reads.keys.count(parent.workspace, only)

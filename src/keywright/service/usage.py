"""What people ask about the usage of keys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keywright.domain import permissions as p
from keywright.domain.errors import NotFound, invalid_field
from keywright.domain.listing import Listed
from keywright.domain.names import KeyName, UserName, WorkspaceName
from keywright.domain.usage import Point
from keywright.service.call import Call
from keywright.service.visibility import visible_user
from keywright.storage.database import Database, Reads
from keywright.storage.usage import UsageFilter

RANGE_MAX = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which usage is asked for.

    Attributes:
        start_time, end_time: whole hours are taken, those that these are in included; until now if
            there is no end.
        keys: of these; empty is of all.
        user: of keys of this user.
        daily: whether a point is a day (UTC) and not an hour.
        total: whether a point is the sum of all keys.
    """

    start_time: datetime
    end_time: datetime | None = None
    keys: Sequence[KeyName] = ()
    user: UserName | None = None
    daily: bool = False
    total: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Reads usage: with `usage.read` of all keys of the workspace, else of one's own."""

    database: Database

    async def query(
        self,
        call: Call,
        parent: WorkspaceName,
        query: UsageQuery,
        *,
        after: str | None,
        limit: int,
    ) -> Sequence[Listed[Point]]:
        """Points by time and key, where anything happened.

        Raises:
            InvalidFields: the range is longer than 400 days.
            NotFound: a key or user that the query names.
        """
        call.in_workspace(parent.workspace, parent)
        for name in query.keys:
            call.in_workspace(name.workspace, name)
        async with self.database.reading() as reads:
            only = await _filter(reads, call, query)
            return () if only is None else await reads.usage.list(only, after=after, limit=limit)


async def _filter(reads: Reads, call: Call, query: UsageQuery) -> UsageFilter | None:
    """What the query means; None if that can be no key that the caller may see."""
    workspace = call.caller.credential.workspace_internal_id
    end = query.end_time or (await reads.workspaces.now(workspace)).now
    start = query.start_time.replace(minute=0, second=0, microsecond=0)
    if end.replace(minute=0, second=0, microsecond=0) - start > RANGE_MAX:
        raise invalid_field(
            "end_time", f"must be at most {RANGE_MAX.days} days after start_time; absent it is now"
        )
    only = UsageFilter(
        workspace=workspace,
        start=start,
        end=end,
        daily=query.daily,
        total=query.total,
    )
    own = None if call.caller.may(p.USAGE_READ) else call.caller.user.internal_id
    if query.keys:
        only = replace(only, keys=[name.key for name in query.keys])
        await _check_keys(reads, query.keys, only, own)
    if query.user is None:
        return replace(only, owner=own)
    owner = (await visible_user(reads, call, query.user)).internal_id
    return replace(only, owner=owner) if own in {None, owner} else None


async def _check_keys(
    reads: Reads, names: Sequence[KeyName], only: UsageFilter, own: int | None
) -> None:
    """Each of these keys is the caller's to see, or was one: a deleted key's usage stays."""
    known = await reads.usage.known(only.workspace, only.keys, own)
    if own is None and not known.issuperset(only.keys):
        known |= await reads.usage.remembered(only)
    for name in names:
        if name.key not in known:
            raise NotFound(str(name))

"""The sealer: chains what has committed, in batches, and signs each seal.

Events are not chained where they are inserted, because a chain's head would have every mutation of
a workspace wait for the one before it (DESIGN section 6). Every server runs a sealer; an advisory
lock lets one at a time work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from keywright.domain.audit_trail import Covering, Leaves, Link, Seal, first_of_month, sha256
from keywright.security.audit_signing import AuditSigner
from keywright.service.audit_keys import AuditKeys
from keywright.storage.audit_seals import Unsealed
from keywright.storage.database import Database, Writes

# Hashed at one go, while nobody else is served: some milliseconds.
_BATCH_COUNT = 5_000
SEAL_MAX_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one transaction sealed, and whether more may wait."""

    seals: Sequence[Seal]
    broken: frozenset[str]
    full: bool = False


@dataclass(slots=True)
class Sealer:
    """Seals events, and counts what it does.

    Attributes:
        sealed: told of each seal once it is committed: a copy of it is then where the database's
            owner cannot change it.
        found_broken: told of a workspace whose chain does not end where it is said to. Nothing is
            sealed on top of it until that is mended; others' events go on.
        broken: the workspaces that are.
        waited: how long the first event without a seal had waited when last looked at, whoever
            is the one to seal it.
    """

    database: Database
    keys: AuditKeys
    sealed: Callable[[Seal], None]
    found_broken: Callable[[str], None]
    broken: frozenset[str] = frozenset()
    seal_count: int = 0
    event_count: int = 0
    waited: timedelta = timedelta()

    async def run(self) -> None:
        """Seal all that waits. Where nothing does, nothing is written.

        Raises:
            ServiceError: the database cannot be reached.
        """
        async with self.database.reading() as reads:
            waited = await reads.seals.waited()
        self.waited, waits = waited or timedelta(), waited is not None
        while waits:
            signer = await self.keys.signer()
            batch = await self.database.writing(partial(self._seal, signer))
            self._tell(batch)
            waits = batch.full

    async def _seal(self, signer: AuditSigner, writes: Writes) -> _Batch:
        """Seal a batch. Signed before anything is written: a sealer that is killed leaves nothing.

        1. Become the only sealer. 2. Read where the chains end. 3. Take events, hash and sign. 4.
        Insert the seals, mark the events, move the heads.
        """
        if not await writes.seals.try_lock():
            return _Batch((), self.broken)
        heads = await writes.read.seals.heads(self.broken)
        broken = frozenset(each for each, head in heads.items() if head.said != head.newest)
        events = await writes.seals.unsealed(broken, _BATCH_COUNT)
        heads = await writes.read.seals.heads({each.workspace_id for each in events})
        ends = {each: head.said for each, head in heads.items() if head.said == head.newest}
        broken |= heads.keys() - ends.keys()
        now = await writes.seals.now()
        run = list(_chained(events, ends, now, signer))
        if not run:
            return _Batch((), broken)
        await writes.seals.insert(run, events)
        return _Batch([each.seal for each in run], broken, len(events) == _BATCH_COUNT)

    def _tell(self, batch: _Batch) -> None:
        for workspace_id in batch.broken - self.broken:
            self.found_broken(workspace_id)
        self.broken = batch.broken
        for seal in batch.seals:
            self.sealed(seal)
            self.seal_count += 1
            self.event_count += seal.event_count


def _chained(
    events: Sequence[Unsealed], ends: Mapping[str, Link], now: datetime, signer: AuditSigner
) -> Iterator[Covering]:
    """Signed seals over `events`, those of each workspace after the end of its chain."""

    def chain_and_month(event: Unsealed) -> tuple[str, object]:
        return event.workspace_id, first_of_month(event.create_time)

    last = dict(ends)
    known = (each for each in events if each.workspace_id in ends)
    for _, alike in groupby(sorted(known, key=chain_and_month), chain_and_month):
        group = list(alike)
        for start in range(0, len(group), SEAL_MAX_COUNT):
            covered = group[start : start + SEAL_MAX_COUNT]
            workspace_id = covered[0].workspace_id
            sealed = _sealed(covered, last[workspace_id], now, signer)
            last[workspace_id] = sealed.seal.link
            yield sealed


def _sealed(
    events: Sequence[Unsealed], after: Link, now: datetime, signer: AuditSigner
) -> Covering:
    covered = Leaves(
        [each.event_id for each in events], b"".join(sha256(each.record) for each in events)
    )
    unsigned = Seal(
        workspace_id=events[0].workspace_id,
        number=after.number + 1,
        create_time=now,
        month=first_of_month(events[0].create_time),
        previous=after.digest,
        event_count=len(events),
        root=covered.root,
    )
    digest = sha256(unsigned.content)
    signed = replace(
        unsigned, digest=digest, signature=signer.sign(digest), public_key=signer.public_key
    )
    return Covering(signed, covered)

"""Whether the audit trail is as it was sealed; a long one in several calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from keywright.domain import permissions as p
from keywright.domain.audit_trail import (
    Break,
    BreakKind,
    Covering,
    Link,
    Seal,
    Verified,
    stands,
    verify,
)
from keywright.domain.names import AuditSealName, WorkspaceName
from keywright.security.audit_signing import TrustedKeys
from keywright.service.audit_keys import AuditKeys
from keywright.service.call import Call
from keywright.storage.audit_seals import Head
from keywright.storage.database import Database, Reads

# At one go, while nobody else is served: some milliseconds.
_SLICE_EVENT_COUNT = 2_000
# In one call: less than a second.
_CALL_EVENT_COUNT = 20_000
_CALL_SLICE_COUNT = 20


@dataclass(frozen=True, slots=True)
class KeptSeal:
    """What somebody has kept of a seal."""

    name: AuditSealName
    digest: bytes

    @property
    def link(self) -> Link:
        """Where it is in the chain."""
        return Link(self.name.number, self.digest)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call has verified. `last` is the last seal that stands, if there is one."""

    last: Seal | None
    event_count: int
    complete: bool = False
    first_break: Break | None = None


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """Verifies the trail of the caller's workspace."""

    database: Database
    keys: AuditKeys

    async def verify(
        self, call: Call, parent: WorkspaceName, *, after: KeptSeal | None, known: KeptSeal | None
    ) -> Verdict:
        """Verify what comes after a seal that was verified before, as far as one call goes.

        `known` is a seal that was kept elsewhere: it has to be in the trail as it is there.
        """
        call.in_workspace(parent.workspace, parent)
        call.require(p.AUDIT_READ)
        for kept in (after, known):
            if kept is not None:
                call.in_workspace(kept.name.workspace, kept.name)
        trusted = await self.keys.trusted()
        async with self.database.reading() as reads:
            walk = _Walk(reads, parent.workspace, trusted)
            return await walk.verify(
                None if after is None else after.link, None if known is None else known.link
            )


@dataclass(frozen=True, slots=True)
class _Walk:
    reads: Reads
    workspace_id: str
    trusted: TrustedKeys

    async def verify(self, after: Link | None, known: Link | None) -> Verdict:
        """1. Where the chain ends. 2. Where to begin. 3. Seal by seal. 4. Whether that was all."""
        head = (await self.reads.seals.heads([self.workspace_id]))[self.workspace_id]
        last, count, link = None, 0, Link()
        if after is not None:
            begun = await self._is(after)
            if isinstance(begun, Break):
                return Verdict(None, 0, first_break=begun)
            last, link = begun, begun.link
        for _ in range(_CALL_SLICE_COUNT):
            run = await self.reads.seals.run(
                self.workspace_id,
                after=link.number,
                until=head.newest.number,
                limit=_SLICE_EVENT_COUNT,
            )
            verified = await self._verified(link, run)
            last, count = verified.last or last, count + verified.event_count
            link = link if last is None else last.link
            if verified.first_break:
                return Verdict(last, count, first_break=verified.first_break)
            if link.number >= head.newest.number:
                broken = (
                    _ends(head, link)
                    or await self._astray()
                    or await self._lacks(known)
                    or await self._overdue()
                )
                return Verdict(last, count, complete=not broken, first_break=broken)
            if count >= _CALL_EVENT_COUNT:
                break
        return Verdict(last, count)

    async def _verified(self, after: Link, run: Sequence[Covering]) -> Verified:
        if not run:
            return Verified(first_break=None)
        found = await self.reads.seals.leaves(
            self.workspace_id, run[0].seal.number, run[-1].seal.number
        )
        removed_before = None
        if len(found) < len(run):  # asked after the events: a removal comes with its record
            removed_before = await self._removed_before()
        return verify(
            after, run, found, removed_before=removed_before, verifies=self.trusted.have_signed
        )

    async def _removed_before(self) -> date | None:
        """Before which month events were removed, if the event that says so is as it was sealed."""
        removal = await self.reads.seals.removal(self.workspace_id)
        if removal is None or removal.seal is None:
            return None if removal is None else removal.before
        covering = await self.reads.seals.get(self.workspace_id, removal.seal)
        if covering is None or stands(covering, self.trusted.have_signed):
            return None
        leaf = covering.covered.by_id().get(removal.event_id)
        return removal.before if leaf == removal.leaf else None

    async def _is(self, link: Link) -> Seal | Break:
        """The seal at that place of the trail, if it is there and stands."""
        covering = await self.reads.seals.get(self.workspace_id, link.number)
        if covering is None:
            return Break(
                BreakKind.SEAL_MISSING,
                link.number,
                f"seal {link.number} is missing",
            )
        if covering.seal.digest != link.digest:
            return Break(
                BreakKind.SEAL_INVALID, link.number, f"seal {link.number} is not the one known"
            )
        return stands(covering, self.trusted.have_signed) or covering.seal

    async def _lacks(self, known: Link | None) -> Break | None:
        found = None if known is None else await self._is(known)
        return found if isinstance(found, Break) else None

    async def _astray(self) -> Break | None:
        astray = await self.reads.seals.astray(self.workspace_id)
        if astray is None:
            return None
        seal, event_id = astray
        return Break(
            BreakKind.EVENT_INSERTED,
            seal,
            f"event {event_id} says it is covered by seal {seal}, which is not in the chain",
            event_id,
        )

    async def _overdue(self) -> Break | None:
        event_id = await self.reads.seals.overdue(self.workspace_id)
        if event_id is None:
            return None
        message = f"event {event_id} should have been sealed long ago, and is not"
        return Break(BreakKind.EVENT_UNSEALED, None, message, event_id)


def _ends(head: Head, newest: Link) -> Break | None:
    """What is wrong with the end of a chain whose newest seal is `newest`."""
    said = head.said
    if said.number > newest.number:
        missing = newest.number + 1
        return Break(
            BreakKind.SEAL_MISSING,
            missing,
            f"seal {missing} is missing: the chain ends with {said.number}",
        )
    if said != newest:
        return Break(
            BreakKind.SEAL_INVALID,
            newest.number,
            f"seal {newest.number} is not the one that the chain ends with",
        )
    return None

"""What the audit trail says of what was denied or noticed, at most once a minute each.

Retired and revoked secrets that are presented, and management calls that are denied, come in any
number: floods of them leave a row a minute each, with their count. They are kept here and written
every second, off the answer's path; what was not written is lost when a process ends without
warning. Whose minute is over, the database says, for all servers together.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from keywright.domain.audit import Outcome
from keywright.domain.decision import Credential, Principal
from keywright.domain.errors import Reason
from keywright.domain.keys import Address
from keywright.domain.names import KeyName, SessionName, WorkspaceName
from keywright.service.known import Known
from keywright.storage.audit import AuditEvent
from keywright.storage.batches import BATCH_PATIENCE, batches
from keywright.storage.database import Database, Writes

# How many different things are told apart at most: in all, of one workspace, so that nobody's flood
# hides what happens to others, and of one user. Dead tokens and denied calls do not share a bound.
_MAX_COUNT = 10_000
_MAX_COUNT_A_WORKSPACE = 1_000
_MAX_COUNT_A_USER = 20
# How often `write` is called, in all, until something is looked at again: it is called once a
# second. One that another server has written is tried more often, as nobody says when.
_ROUNDS_OF_MINUTE = 60
_ROUNDS_OF_REFUSED = 5
_TRIPWIRES = {
    Reason.TOKEN_RETIRED: "RetiredTokenPresented",
    Reason.KEY_REVOKED: "RevokedTokenPresented",
}
LEAK_REPORTED = "ReportLeakedToken"
_DIGEST_BYTES = 16

Subject = tuple[object, ...]
_CALLS, _KEYS = "call", "key"


@dataclass(slots=True)
class _Noticed:
    """Several that are alike and not written yet: the last event, how many, when the first.

    `groups` are those whose bounds they count against.
    """

    event: AuditEvent
    groups: tuple[Subject, ...]
    first_time: datetime
    count: int = 0
    next_round: int = 0

    def add(self, event: AuditEvent, count: int, first_time: datetime) -> None:
        if not self.count or first_time < self.first_time:
            self.first_time = first_time
        self.event = event
        self.count += count

    def taken(self) -> AuditEvent:
        """One event for all of them, which count no more."""
        count, self.count = self.count, 0
        return replace(self.event, count=count, first_time=self.first_time)


@dataclass(slots=True)
class _Presented:
    """A dead token that was presented since the last writing: a flood of it costs next to nothing.

    Times are seconds since 1970.
    """

    reason: Reason
    first_time: float
    last_time: float = 0
    address: Address | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class DeniedCall:
    """A management call that was denied, for the audit trail."""

    caller: Principal
    action: str
    reason: Reason
    resource: str
    address: Address | None
    call_id: str


@dataclass(slots=True)
class Notices:
    """What was noticed and waits for its time."""

    database: Database
    max_count: int = _MAX_COUNT
    dropped: int = 0
    _presented: dict[Known, _Presented] = field(default_factory=dict)
    _noticed: dict[Subject, _Noticed] = field(default_factory=dict)
    _in_group: Counter[Subject] = field(default_factory=Counter)
    _round: int = 0

    def token_denied(
        self, known: Known, reason: Reason, time: float, address: Address | None
    ) -> None:
        """A token was denied that was once good: a tripwire, if it was retired or revoked.

        At `time`, in seconds since 1970 on the database's clock.
        """
        if reason not in _TRIPWIRES:
            return
        presented = self._presented.get(known)
        if presented is None:
            if len(self._presented) >= self.max_count:
                self.dropped += 1
                return
            presented = self._presented[known] = _Presented(reason, time)
        presented.count += 1
        presented.last_time, presented.address = time, address

    def leak_reported(
        self,
        credential: Credential,
        reason: Reason,
        now: datetime,
        address: Address | None,
        source: str,
    ) -> None:
        """A token was reported that does not stand any more, for `reason`."""
        event = _of_key(credential.record.name, LEAK_REPORTED, reason, address)
        event = replace(event, change={"after": {"source": source}})
        self._notice(of_key(credential.rests_on[0], LEAK_REPORTED), event, now)

    def call_denied(self, denied: DeniedCall) -> None:
        """A management call was denied.

        Of one user a few are told apart; what comes on top is told by what was denied, and not with
        which credential, of which resource and from where.
        """
        caller = denied.caller
        event = AuditEvent(
            workspace_id=caller.workspace_id,
            action=denied.action,
            resource=denied.resource,
            actor=str(caller.user.name),
            credential=str(caller.credential.record.name),
            actor_email=caller.user.email or "",
            client_address=_text(denied.address),
            call_id=denied.call_id,
            outcome=Outcome.DENIED,
            reason=denied.reason.value,
        )
        subject, user = _of_call(event), (_CALLS, event.actor)
        groups: tuple[Subject, ...] = (user,)
        if subject not in self._noticed and self._in_group[user] >= _MAX_COUNT_A_USER:
            workspace = str(WorkspaceName(caller.workspace_id))
            event = replace(event, credential="", resource=workspace, client_address="")
            subject, groups = _of_call(event), ()
        self._notice(subject, event, caller.decided_at, groups)

    async def write(self) -> None:
        """Write what is due; to be called once a second.

        Raises:
            ServiceError: the database cannot be reached.
        """
        self._round += 1
        self._collect()
        self._forget()
        await self._write([key for key, each in self._noticed.items() if self._is_due(each)])

    async def finish(self) -> None:
        """Write everything, also within its minute: nobody will count on."""
        self._collect()
        left = [subject for subject, each in self._noticed.items() if each.count]
        await self._write(left, at_once=True)

    @property
    def waiting(self) -> int:
        """How many different things are counted, or were within the last minute."""
        return len(self._noticed) + len(self._presented)

    def _collect(self) -> None:
        """Notice the dead tokens that were presented since the last time."""
        presented, self._presented = self._presented, {}
        for known, each in presented.items():
            action = _TRIPWIRES[each.reason]
            ids = known.ids
            name = KeyName(known.terms.authority.workspace_id, ids.key_id)
            event = _of_key(name, action, each.reason, each.address)
            first = datetime.fromtimestamp(each.first_time, UTC)
            self._notice(of_key(ids.key, action), event, first, count=each.count)

    def _notice(
        self,
        subject: Subject,
        event: AuditEvent,
        now: datetime,
        groups: tuple[Subject, ...] = (),
        *,
        count: int = 1,
    ) -> None:
        noticed = self._noticed.get(subject)
        if noticed is None:
            all_, of_workspace = subject[:1], (subject[0], "", event.workspace_id)
            if (
                self._in_group[all_] >= self.max_count
                or self._in_group[of_workspace] >= _MAX_COUNT_A_WORKSPACE
            ):
                self.dropped += count
                return
            groups = (*groups, all_, of_workspace)
            noticed = self._noticed[subject] = _Noticed(event, groups, now)
            self._in_group.update(groups)
        noticed.add(event, count, now)

    def _is_due(self, noticed: _Noticed) -> bool:
        return noticed.count > 0 and noticed.next_round <= self._round

    def _forget(self) -> None:
        """Forget those of whom nothing came within their minute."""
        over = [
            subject
            for subject, each in self._noticed.items()
            if not each.count and each.next_round <= self._round
        ]
        for subject in over:
            for group in self._noticed.pop(subject).groups:
                self._in_group[group] -= 1
                if not self._in_group[group]:
                    del self._in_group[group]

    async def _write(self, subjects: Iterable[Subject], *, at_once: bool = False) -> None:
        for batch in batches(subjects):
            by_digest = {digest(subject): self._noticed[subject] for subject in batch}
            events = {each: noticed.taken() for each, noticed in by_digest.items()}
            try:
                written = await self.database.writing(
                    partial(_insert, events, at_once=at_once), within=BATCH_PATIENCE
                )
            except BaseException:
                _give_back(events, by_digest)
                raise
            refused = {each: event for each, event in events.items() if each not in written}
            _give_back(refused, by_digest)
            for each, noticed in by_digest.items():
                rounds = _ROUNDS_OF_REFUSED if each in refused else _ROUNDS_OF_MINUTE
                noticed.next_round = self._round + rounds


async def _insert(
    events: Mapping[bytes, AuditEvent], writes: Writes, *, at_once: bool
) -> frozenset[bytes]:
    passing = await writes.notices.passing(list(events))
    if at_once:
        passing = frozenset(events)
    await writes.audit.insert_all(_told(events[each]) for each in passing)
    return passing


def _told(event: AuditEvent) -> AuditEvent:
    """Only what stands for several says when the first was."""
    return event if event.count > 1 else replace(event, first_time=None)


def _give_back(events: Mapping[bytes, AuditEvent], to: Mapping[bytes, _Noticed]) -> None:
    for each, event in events.items():
        noticed = to[each]
        assert event.first_time is not None, "`taken` gives it"  # noqa: S101
        last = noticed.event if noticed.count else event
        noticed.add(last, event.count, event.first_time)


def digest(subject: Subject) -> bytes:
    """What stands for a subject in the database."""
    return hashlib.sha256(repr(subject).encode()).digest()[:_DIGEST_BYTES]


def of_key(key: int, action: str) -> Subject:
    """What happens to a key (by a number of it) is the same, whoever does it and from where."""
    return _KEYS, key, action


def _of_call(event: AuditEvent) -> Subject:
    return (
        _CALLS,
        event.workspace_id,
        event.actor,
        event.credential,
        event.action,
        event.reason,
        event.resource,
        event.client_address,
    )


def _of_key(
    key: KeyName | SessionName, action: str, reason: Reason, address: Address | None
) -> AuditEvent:
    """Nobody is known to have done it: whoever holds a dead token proves nothing by it."""
    return AuditEvent(
        workspace_id=key.workspace,
        action=action,
        resource=str(key),
        actor="",
        credential="",
        client_address=_text(address),
        outcome=Outcome.NOTICED,
        reason=reason.value,
    )


def _text(address: Address | None) -> str:
    return "" if address is None else str(address)

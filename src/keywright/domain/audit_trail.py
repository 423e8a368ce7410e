"""The audit trail's seals: what is in one, and whether a run of them stands.

docs/audit-trail/README.md publishes the format, with test vectors, so that others can verify an
export without us. In short: an event's leaf is the SHA-256 of its record, a line of JSON; a seal's
content is a line of JSON with the digest of the seal before it and the root of its leaves; its
digest is the SHA-256 of that, and is signed.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

FIRST_PREVIOUS = bytes(32)
"""What the first seal has for the digest of the one before it."""

LEAF_BYTES = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Verifies = Callable[["Seal"], bool]
"""Whether a trusted key has signed the digest of a seal."""

Found = tuple[int, bytes]
"""An event that there is: its id, and its leaf as it is now. No id is to be there twice."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """What a seal covers: ids of events in ascending order, and 32 bytes for each of them."""

    event_ids: Sequence[int]
    leaves: bytes

    @property
    def root(self) -> bytes:
        """The SHA-256 over each id, 8 bytes big-endian, followed by its leaf."""
        digest = hashlib.sha256()
        for number, event_id in enumerate(self.event_ids):
            digest.update(struct.pack(">q", event_id))
            digest.update(self.leaves[number * LEAF_BYTES : (number + 1) * LEAF_BYTES])
        return digest.digest()

    def by_id(self) -> dict[int, bytes]:
        """Each event's leaf."""
        return {
            event_id: self.leaves[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]
            for number, event_id in enumerate(self.event_ids)
        }


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal. `month` is the first day of the month (UTC) of which all its events are.

    `previous` is the digest of the seal before it.
    """

    workspace_id: str
    number: int
    create_time: datetime
    month: date
    previous: bytes
    event_count: int
    root: bytes
    digest: bytes = b""
    signature: bytes = b""
    public_key: bytes = b""

    @property
    def content(self) -> str:
        """What the digest is of: JSON with its names in order and no white space."""
        content = {
            "events": self.event_count,
            "month": f"{self.month:%Y-%m}",
            "number": self.number,
            "previous": self.previous.hex(),
            "root": self.root.hex(),
            "time": (self.create_time - _EPOCH) // timedelta(microseconds=1),
            "workspace": self.workspace_id,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @property
    def link(self) -> "Link":
        """What the next seal follows."""
        return Link(self.number, self.digest)


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a chain: the number and the digest of a seal."""

    number: int = 0
    digest: bytes = FIRST_PREVIOUS


@dataclass(frozen=True, slots=True)
class Covering:
    """A seal with what it covers."""

    seal: Seal
    covered: Leaves


class BreakKind(StrEnum):
    """How a trail is broken; as in the wire contract."""

    EVENT_CHANGED = "EVENT_CHANGED"
    EVENT_MISSING = "EVENT_MISSING"
    EVENT_INSERTED = "EVENT_INSERTED"
    SEAL_INVALID = "SEAL_INVALID"
    SEAL_MISSING = "SEAL_MISSING"
    EVENT_UNSEALED = "EVENT_UNSEALED"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a trail is broken: at which seal and at which event, where they can be told."""

    kind: BreakKind
    seal: int | None
    message: str
    event_id: int | None = None


def sha256(text: str) -> bytes:
    """The leaf of an event, from its record; or the digest of a seal, from its content."""
    return hashlib.sha256(text.encode()).digest()


def first_of_month(moment: datetime) -> date:
    """The month that a moment is in, by its first day (UTC)."""
    return moment.astimezone(UTC).date().replace(day=1)


def stands(covering: Covering, verifies: Verifies) -> Break | None:
    """What is wrong with a seal itself, wherever it is in its chain."""
    seal = covering.seal

    def invalid(what: str) -> Break:
        return Break(BreakKind.SEAL_INVALID, seal.number, f"seal {seal.number} {what}")

    if len(covering.covered.event_ids) != seal.event_count or covering.covered.root != seal.root:
        return invalid("was changed: it does not cover what it did")
    if sha256(seal.content) != seal.digest:
        return invalid("was changed: its digest is not that of its content")
    if not verifies(seal):
        return invalid("is not signed by a key that is trusted here")
    return None


def follows(seal: Seal, after: Link) -> Break | None:
    """What is wrong with a seal as the next in its chain."""
    number = after.number + 1
    if seal.number != number:
        return Break(BreakKind.SEAL_MISSING, number, f"seal {number} is missing")
    if seal.previous != after.digest:
        return Break(
            BreakKind.SEAL_INVALID, number, f"seal {number} does not follow seal {after.number}"
        )
    return None


def covers(covering: Covering, events: Sequence[Found]) -> Break | None:
    """What is wrong with the `events` of a seal."""
    sealed, number = covering.covered.by_id(), covering.seal.number
    found = dict(events)
    if sealed == found and len(sealed) == len(events):
        return None
    times = Counter(event_id for event_id, _ in events)
    for event_id in sorted(sealed.keys() | found.keys()):
        if event_id not in found:
            kind, what = BreakKind.EVENT_MISSING, "was sealed and is missing"
        elif event_id not in sealed:
            kind, what = BreakKind.EVENT_INSERTED, f"was put among those of seal {number}"
        elif times[event_id] > 1:  # one of them may be as it was sealed, to hide the other
            kind, what = BreakKind.EVENT_INSERTED, f"is {times[event_id]} times in seal {number}"
        elif sealed[event_id] != found[event_id]:
            kind, what = BreakKind.EVENT_CHANGED, "is not as it was sealed"
        else:
            continue
        return Break(kind, number, f"event {event_id} {what}", event_id)
    raise AssertionError("they differ")


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a trail stands: the last seal that does, and the first break after it if any."""

    last: Seal | None = None
    event_count: int = 0
    first_break: Break | None = None


def verify(
    after: Link,
    run: Sequence[Covering],
    found: Mapping[int, Sequence[Found]],
    *,
    removed_before: date | None,
    verifies: Verifies,
) -> Verified:
    """Verify a run of seals, in order of their numbers, which begins after `after`.

    Args:
        after: the last seal that was verified.
        run: the seals, with what they cover.
        found: the events that there are now, by seal.
        removed_before: events of earlier months were removed, and the trail says so: of those
            months it is no break if all that a seal covers is gone.
        verifies: whether a trusted key has signed a seal.
    """
    last, count = None, 0
    for covering in run:
        seal = covering.seal
        events = found.get(seal.number, ())
        removed = not events and removed_before is not None and seal.month < removed_before
        broken = (
            follows(seal, after)
            or stands(covering, verifies)
            or (None if removed else covers(covering, events))
        )
        if broken:
            return Verified(last, count, broken)
        last, after = seal, seal.link
        count += seal.event_count
    return Verified(last, count)

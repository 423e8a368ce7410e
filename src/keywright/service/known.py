"""What is remembered of tokens, as small as it can be: at most 1 KiB a key, all in."""

import struct
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary

from keywright.domain.authority import NO_NARROWING, Authority
from keywright.domain.decision import Credential, Principal
from keywright.domain.dependency import internal_id
from keywright.domain.errors import Denied
from keywright.domain.keys import Address
from keywright.domain.permissions import PermissionSet
from keywright.domain.position import Position

_CALLER_BYTES = 4096
_GRANT_BYTES = 400
_DENIED_BYTES = 700
_IDLE_BYTES = 160
_NETWORK_BYTES = 600
_TERMS_BYTES = 600
_PATTERN_BYTES = 160  # beside its text, the places in sets included
_KNOWN_BYTES = 32 + 2 * 15
"""What each has that is not counted singly: its end, and what its parts are rounded up by. Uses
that are yet to be collected are few.
"""
MARK_BYTES = 16
HASH_MARK_BYTES = 8
_TAG_BYTES = 8
_DEPENDENCY_BYTES = 8
_NO_TAG = bytes(_TAG_BYTES)
# What is packed before the dependencies, and how many of these there are.
_FIXED = struct.Struct(f"={MARK_BYTES}s{HASH_MARK_BYTES}s{_TAG_BYTES}sI")


@dataclass(slots=True, eq=False)
class Caller:
    """Who asks for authentications, and about whom it may; `known` is its own token."""

    principal: Principal
    may_ask: bool
    sees_all: bool
    known: "Known"

    def may_see(self, workspace_id: str) -> bool:
        """Whether tokens of `workspace_id` are any of this caller's business."""
        return self.sees_all or workspace_id == self.principal.workspace_id


class Ids(NamedTuple):
    """A key, or a session: its own id, and internal ones."""

    key_id: str
    key: int
    workspace: int
    is_session: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """How long a session stands.

    Attributes:
        seconds: from its last use on.
        last_end: the end that no use puts off, in seconds since 1970 on the database's clock.
    """

    seconds: float
    last_end: float


@dataclass(slots=True, eq=False, weakref_slot=True)
class Terms:
    """A key's authority, and what follows from it: the same for many keys.

    Attributes:
        reply: the part of the reply that tells of it; empty if the key does not stand.
        plain: the permissions part of the reply to who asks nothing; None if that is denied.
    """

    authority: Authority
    environment: str
    reply: bytes
    plain: bytes | None

    @property
    def is_narrow(self) -> bool:
        """Whether a key has them for itself."""
        return bool(self.authority.grants) or self.authority.narrowing != NO_NARROWING

    @property
    def size(self) -> int:
        """The bytes of all of it."""
        narrowing, grants = self.authority.narrowing, self.authority.grants
        parts = (self.reply, self.plain, narrowing.resource, narrowing.scopes, *narrowing.scopes)
        size = _TERMS_BYTES + sum(map(sys.getsizeof, parts))
        size += _GRANT_BYTES * len(grants) + _NETWORK_BYTES * len(narrowing.allowed_networks)
        for role in (self.authority.role, narrowing.role):
            patterns = role.permissions.patterns if role is not None else ()
            size += sum(map(len, patterns)) + _PATTERN_BYTES * len(patterns)
        return size


@dataclass(slots=True, eq=False)
class Known:
    """What is remembered of one proven token, of a key or a session.

    Attributes:
        packed: what tells the token, what all this rests on, and the key's id, in one (`pack`).
        as_of: the step of the history up to which nothing has changed that this rests on.
        end: when the rest may be another, in seconds since 1970 on the database's clock.
        denied: why the key does not stand; None if it does.
        head: the part of the reply that is its own; empty if the key does not stand.
        terms: what it has in common with many, if nothing narrows it.
        terms_bytes: what counts of that for this key (`terms`).
        idle: how use puts off the end of a session that stands; None otherwise.
        allowed: uses that `UsageCounters` has yet to collect, and the last of them.
    """

    packed: bytes
    as_of: int
    end: float
    denied: Denied | None
    head: bytes
    terms: Terms
    terms_bytes: int
    idle: Idle | None = None
    caller: Caller | None = None
    allowed: int = 0
    last_time: float = 0
    last_address: Address | None = None
    visits: int = 0
    lasting = True

    @property
    def size(self) -> int:
        """The bytes of all that counts for it."""
        size = _KNOWN_BYTES + self.terms_bytes
        size += sys.getsizeof(self) + sys.getsizeof(self.packed) + sys.getsizeof(self.head)
        if self.denied is not None:
            size += _DENIED_BYTES
        if self.idle is not None:
            size += _IDLE_BYTES
        if self.caller is not None:
            size += _CALLER_BYTES
        return size

    @property
    def proof(self) -> bytes:
        """The keyed hash of the token that was proven."""
        return self.packed[:MARK_BYTES]

    @property
    def proven_against(self) -> bytes:
        """The mark of the stored hash."""
        _, hash_mark, _, _ = _FIXED.unpack_from(self.packed)
        return bytes(hash_mark)

    @property
    def tag(self) -> bytes | None:
        """The verifier tag, which tells other tokens of the same prefix.

        A secret that can be guessed has none.
        """
        _, _, tag, _ = _FIXED.unpack_from(self.packed)
        return None if tag == _NO_TAG else bytes(tag)

    @property
    def rests_on(self) -> tuple[int, ...]:
        """The dependencies whose change makes the rest untrue: key, user, workspace, others."""
        *_, count = _FIXED.unpack_from(self.packed)
        return struct.unpack_from(f"={count}q", self.packed, _FIXED.size)

    def prolonged(self, time: float) -> bool:
        """Whether its end is yet to come at `time`, as a use here has put it off.

        Asked when the end as it was known is reached, so that uses cost nothing more.
        """
        if self.idle is None:
            return False
        end = min(self.last_time + self.idle.seconds, self.idle.last_end)
        if time >= end:
            return False
        self.end = end
        return True

    def collected(self) -> tuple[int, float, Address | None]:
        """The uses that were not collected yet: how many, and when and from where the last came.

        They are forgotten, but for what the end of a session depends on.
        """
        uses = self.allowed, self.last_time, self.last_address
        self.allowed, self.last_address = 0, None
        if self.idle is None:
            self.last_time = 0
        return uses

    @property
    def ids(self) -> Ids:
        """Of which key or session it is."""
        key, _, workspace, *_ = rests_on = self.rests_on
        key_id = self.packed[_FIXED.size + _DEPENDENCY_BYTES * len(rests_on) :].decode()
        return Ids(key_id, internal_id(key), internal_id(workspace), is_session=key < 0)


@dataclass(slots=True, eq=False)
class Stranger:
    """What is remembered of a prefix whose secret nobody has shown.

    `tag` tells wrong secrets; without one there was no secret of this prefix, `until` a moment on
    the lease's clock. Anybody can have this remembered, so it never lasts.
    """

    tag: bytes | None
    until: float
    visits: int = 0
    size = 150
    lasting = False


class Rendering(Protocol):
    """Makes the parts of a reply, which together are the whole of it."""

    def head(self, principal: Principal, rests_on: Sequence[int]) -> bytes:
        """Who it is, with which credential and until when."""

    def terms(self, principal: Principal, rests_on: Sequence[int]) -> bytes:
        """What is the same for all credentials of that authority and environment."""

    def permissions(self, permissions: PermissionSet) -> bytes:
        """What may be done."""

    def revision(self, position: Position) -> bytes:
        """The position at which that was decided."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A token's credential, as it was when the history stood at `position`, and what is known."""

    known: Known
    credential: Credential
    position: Position


# As long as keys that have them are remembered.
_of_many: WeakValueDictionary[tuple[Authority, str, bytes], Terms] = WeakValueDictionary()
_OF_MANY_MAX_COUNT = 8192


def terms(
    authority: Authority, environment: str, reply: bytes, plain: bytes | None
) -> tuple[Terms, int]:
    """A key's terms, and the bytes that count for the key.

    All keys of a workspace, role and environment that nothing narrows have the same, which count
    for the first: it is not everybody's to pay for, and there may be as many different ones as
    there are keys. Where there are too many, each of the other keys has its own.
    """
    own = Terms(authority, environment, reply, plain)
    if not own.is_narrow:
        found = _of_many.get((authority, environment, reply))
        if found is not None:
            return found, 0
        if len(_of_many) < _OF_MANY_MAX_COUNT:
            _of_many[authority, environment, reply] = own
    return own, own.size


def pack(
    proof: bytes, proven_against: bytes, tag: bytes | None, rests_on: Collection[int], key_id: str
) -> bytes:
    """What `Known` has of these names, in one: each apart would take twice as much."""
    fixed = _FIXED.pack(proof, proven_against, tag or _NO_TAG, len(rests_on))
    return fixed + struct.pack(f"={len(rests_on)}q", *rests_on) + key_id.encode()

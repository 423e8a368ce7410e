"""What is remembered of tokens, as small as it can be: at most 1 KiB a key, all in."""

import struct
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from keywright.domain.authority import NO_NARROWING, Authority
from keywright.domain.decision import Credential, Principal
from keywright.domain.dependency import internal_id
from keywright.domain.errors import Denied
from keywright.domain.keys import Address
from keywright.domain.names import KeyName
from keywright.domain.permissions import PermissionSet
from keywright.domain.position import Position

_CALLER_BYTES = 4096
_GRANT_BYTES = 400
_NARROWING_BYTES = 600
_KNOWN_BYTES = 300
"""What each has that is not counted singly: the object, its numbers, what parts are rounded up by.
"""
_ROLE_BYTES = 600
_PATTERN_BYTES = 160
"""Of a role, and of each of its patterns beside the text, the places in sets included."""
MARK_BYTES = 16
HASH_MARK_BYTES = 8
_TAG_FROM = MARK_BYTES + HASH_MARK_BYTES


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


@dataclass(slots=True, eq=False)
class Known:
    """What is remembered of one proven token, of a key or a session.

    Attributes:
        marks: the keyed hash of the token that was proven (16 bytes), the mark of the stored hash
            that it was proven against (8), and the verifier tag of its secret (8, or none), which
            tells other tokens of the same prefix.
        rests_on: the dependencies whose change makes the rest untrue, packed; key, user and
            workspace come first.
        as_of: the step of the history up to which none of them has changed.
        end: when the rest may be another, in seconds since 1970 on the database's clock.
        idle: for how many seconds a session stands from its last use on; 0: this is of a key.
        last_end: the end of a session that no use puts off.
        denied: why the key does not stand; None if it does.
        head: the reply, but for permissions and revision; empty if the key does not stand.
        plain: the permissions part of the reply to who asks nothing; None if that is denied.
        allowed: uses that `UsageCounters` has yet to collect, and the last of them.
    """

    marks: bytes
    rests_on: bytes
    as_of: int
    end: float
    denied: Denied | None
    key_id: str
    environment: str
    authority: Authority
    head: bytes
    plain: bytes | None = None
    caller: Caller | None = None
    size: int = field(init=False)
    allowed: int = 0
    last_time: float = 0
    last_address: Address | None = None
    visits: int = 0
    idle: float = 0
    last_end: float = 0
    lasting = True

    def __post_init__(self) -> None:
        """Share what many have, and count the bytes of the rest.

        What is shared counts for the first who has it: it is not everybody's to pay for, and there
        may be as many different ones as there are keys.
        """
        self.environment = sys.intern(self.environment)
        own = (self.marks, self.rests_on, self.key_id, self.head)
        self.size = _KNOWN_BYTES + sum(map(sys.getsizeof, own))
        narrowing, grants = self.authority.narrowing, self.authority.grants
        if grants or narrowing != NO_NARROWING:
            scopes, networks = narrowing.scopes, narrowing.allowed_networks
            parts = (scopes, *scopes, networks, *networks, narrowing.resource)
            self.size += _NARROWING_BYTES + sum(map(sys.getsizeof, parts))
            self.size += _GRANT_BYTES * len(grants) + sys.getsizeof(self.plain)
        else:
            mine = self.authority
            self.authority, self.plain = shared(mine, self.plain)
            if self.authority is mine:
                patterns = mine.role.permissions.patterns
                self.size += _ROLE_BYTES + sys.getsizeof(self.plain)
                self.size += sum(map(len, patterns)) + _PATTERN_BYTES * len(patterns)
        if self.caller is not None:
            self.size += _CALLER_BYTES

    @property
    def proof(self) -> bytes:
        """The keyed hash of the token that was proven."""
        return self.marks[:MARK_BYTES]

    @property
    def proven_against(self) -> bytes:
        """The mark of the stored hash."""
        return self.marks[MARK_BYTES:_TAG_FROM]

    @property
    def tag(self) -> bytes | None:
        """The verifier tag; a secret that can be guessed has none."""
        return self.marks[_TAG_FROM:] or None

    def prolonged(self, time: float) -> bool:
        """Whether its end is yet to come at `time`, as a use here has put it off.

        Asked when the end as it was known is reached, so that uses cost nothing more.
        """
        end = min(self.last_time + self.idle, self.last_end)
        if not self.idle or time >= end:
            return False
        self.end = end
        return True

    @property
    def is_session(self) -> bool:
        """Whether it is of a session, and not of a key."""
        return unpack(self.rests_on)[0] < 0

    @property
    def name(self) -> KeyName:
        """The key's resource name."""
        return KeyName(self.authority.workspace_id, self.key_id)

    @property
    def key(self) -> int:
        """The internal id of the key, or of the session."""
        return internal_id(unpack(self.rests_on)[0])

    @property
    def workspace(self) -> int:
        """The workspace's internal id."""
        return internal_id(unpack(self.rests_on)[2])


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

    def head(self, principal: Principal, rests_on: Iterable[int]) -> bytes:
        """All but the other two."""

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


@lru_cache(maxsize=4096)  # a few hundred bytes each; it may be 200 KiB, and counts
def shared(authority: Authority, plain: bytes | None) -> tuple[Authority, bytes | None]:
    """What is equal: keys of one workspace and role that nothing narrows have one for all."""
    return authority, plain


def pack(dependencies: Collection[int]) -> bytes:
    """Dependencies in eight bytes each."""
    return struct.pack(f"{len(dependencies)}q", *dependencies)


def unpack(packed: bytes) -> "memoryview[int]":
    """The dependencies again."""
    return memoryview(packed).cast("q")

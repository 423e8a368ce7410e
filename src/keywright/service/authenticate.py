"""From a token to an answer: the path that every request of every application takes.

Read it from top to bottom. On a hit nothing is awaited and no storage is touched (`recall`):

1. Find what is remembered of the token by its prefix, and see by a keyed hash of the whole token
   that this very token was proven.
2. See that nothing has changed since that it rests on: the history of authority, in memory.
3. See that it has not expired, and that the lease is held: no narrowing has returned that this
   process does not know of (`docs/consistency.md`).
4. Decide about what is asked: environment, address, resource, permissions.
5. Answer with what is serialised already.

Where it comes in: alone by `wire.hot_path`, in batches and streams by `wire.answering`.

On a miss (`proving`), which those have to wait with who have asked for much in vain (`admission`),
the token is looked up, proven and remembered. Then decide as on a hit: every ALLOW comes from here.

A reply says why a key does not stand only to whoever has shown its secret; everything else that is
well-formed is `TOKEN_UNKNOWN` (promise G12).
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from keywright.domain.decision import Asked, Principal, identify, permitted
from keywright.domain.errors import Denied, ServiceError
from keywright.domain.keys import Address
from keywright.domain.permissions import AUTHENTICATE, AUTHENTICATE_ANY
from keywright.service.admission import Admission, Source
from keywright.service.known import Caller, Known, Rendering
from keywright.service.memory import Memory
from keywright.service.notices import Notices
from keywright.service.proving import ATTEMPTS, Proving
from keywright.service.replica.history import History
from keywright.service.replica.lease import Lease, not_leased
from keywright.service.replica.replica import Replica
from keywright.service.usage_counters import UsageCounters
from keywright.service.verifying import unknown

NOTHING = Asked()
"""Asks only whether the token stands."""

_UNKNOWN = unknown()


@dataclass(slots=True)
class Authenticate:
    """Turns tokens into answers.

    `revision` is the last part of every reply, as of the position that was applied last.
    """

    memory: Memory
    proving: Proving
    admission: Admission
    replica: Replica
    rendering: Rendering
    usage: UsageCounters
    notices: Notices
    history: History = field(init=False)
    lease: Lease = field(init=False)
    revision: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.history, self.lease = self.replica.history, self.replica.lease
        self._moved()
        self.replica.moved.append(self._moved)

    # What is answered from memory.

    def recall(
        self, text: str, asked: Asked, caller: Caller | None, peer: Address | None = None
    ) -> bytes | ServiceError | None:
        """Who presents `text`, and may they do what is `asked`? None: that has to be looked up.

        `caller` is who wants to know, from `peer`: tokens of workspaces that are none of its
        business are unknown to it. None knows all.
        """
        known = self.memory.of(text, caller)
        if isinstance(known, Known):
            return self._decide(known, asked, caller)
        return known or self.admission.refusal(Source(caller, peer, asked.client_address))

    def recall_caller(
        self, text: str, address: Address | None, *, calls: bool = True
    ) -> Caller | None:
        """Who calls us from `address` with `text` as its own credential? None: ask `asking`.

        `calls` is False where nothing is asked, and it is only made sure that it still stands: that
        is no use of the credential.
        """
        known = self.memory.of(text, None)
        if not isinstance(known, Known) or known.caller is None or not self._is_current(known):
            return None
        now = self.lease.clock()
        time = self.lease.database_time(now)
        if known.denied is not None or now >= self.lease.until:
            return None
        if time >= known.end and not known.prolonged(time):
            return None
        networks = known.terms.authority.narrowing.allowed_networks
        if networks and (address is None or not any(address in each for each in networks)):
            return None
        if calls:
            self.usage.used(known, time, address)
        return known.caller

    def called(self, caller: Caller, address: Address | None) -> None:
        """Count a use of the caller's own credential, whose call was answered."""
        time = self.lease.database_time(self.lease.clock())
        self.usage.used(caller.known, time, address)

    def _decide(self, known: Known, asked: Asked, caller: Caller | None) -> bytes | Denied | None:
        """The answer by what is known; None if that may not be true any more."""
        if not self._is_current(known):
            return None
        terms = known.terms
        if caller is not None and not caller.may_see(terms.authority.workspace_id):
            return _UNKNOWN
        now = self.lease.clock()
        time = self.lease.database_time(now)
        # A denial needs the lease as well: the key may stand again by now (promise G3).
        if now >= self.lease.until or (time >= known.end and not known.prolonged(time)):
            return None
        if known.denied is not None:
            return self._denied(known, known.denied, time, asked.client_address)
        # What is answered to who asks nothing follows from `terms` alone.
        permissions = terms.plain if asked is NOTHING else None
        if permissions is None:
            try:
                permitted_ = permitted(terms.environment, terms.authority, asked)
            except Denied as denied:
                return self._denied(known, denied, time, asked.client_address)
            permissions = self.rendering.permissions(permitted_)
        self.usage.used(known, time, asked.client_address)
        return b"".join((known.head, terms.reply, permissions, self.revision))

    def _is_current(self, known: Known) -> bool:
        """Whether nothing has changed that `known` rests on."""
        if known.as_of != self.history.step:
            if not self.history.unchanged(known.rests_on, known.as_of):
                return False
            known.as_of = self.history.step
        return True

    def _denied(self, known: Known, denied: Denied, time: float, address: Address | None) -> Denied:
        self.usage.denied(known, denied.reason, time)
        self.notices.token_denied(known, denied.reason, time, address)
        return denied

    # What is not remembered, or not true any more.

    async def __call__(
        self,
        text: str,
        asked: Asked,
        caller: Caller | None = None,
        peer: Address | None = None,
    ) -> bytes:
        """The answer, as `recall`, looked up if need be.

        Raises:
            Denied: the token does not stand, or is not good for what is asked.
            ServiceError: OVERLOADED, too much waits already; FAILURES_LIMITED, too much in vain.
            Unavailable: the database cannot be reached, or the lease not be had.
        """
        answer = self.recall(text, asked, caller, peer)
        source = Source(caller, peer, asked.client_address)
        for _ in range(ATTEMPTS):
            if answer is not None:
                break
            known = (await self.proving.once(text, source)).known
            await self.replica.leased()
            answer = self._decide(known, asked, caller)
        if answer is None:
            raise not_leased()
        if isinstance(answer, Denied):
            raise _anew(answer)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    async def asking(self, text: str, address: Address | None) -> Caller:
        """Who calls us from `address` to ask for authentications?

        Raises: as `__call__`.
        """
        caller = self.recall_caller(text, address)
        if caller is not None:
            return caller
        principal, known = await self._identified(text, address)
        may_ask, sees_all = principal.may(AUTHENTICATE), principal.may(AUTHENTICATE_ANY)
        caller = Caller(principal, may_ask, sees_all, known)
        place = self.memory.place(text, None)
        if self.memory.cache.get(place) is known:
            caller.known = replace(known, caller=caller, allowed=0)
            self.memory.cache.put(place, caller.known)
        return caller

    async def caller(self, text: str, address: Address | None) -> Principal:
        """Who calls us from `address` with `text` as its own credential, as of this moment?

        Raises: as `__call__`.
        """
        principal, _ = await self._identified(text, address)
        return principal

    async def _identified(self, text: str, address: Address | None) -> tuple[Principal, Known]:
        remembered, source = self.memory.of(text, None), Source(None, address, address)
        if isinstance(remembered, Denied):
            raise _anew(remembered)
        if remembered is None and (refusal := self.admission.refusal(source)):
            raise refusal
        for _ in range(ATTEMPTS):
            proven = await self.proving.once(text, source)
            known = proven.known
            await self.replica.leased()
            time = self.lease.database_time(self.lease.clock())
            if not self._is_current(known) or not self.lease.is_held:
                continue
            try:
                now = datetime.fromtimestamp(time, UTC)
                principal = identify(proven.credential, address, now, proven.position)
            except Denied as denied:
                raise self._denied(known, denied, time, address) from None
            self.usage.used(known, time, address)
            return principal, known
        raise not_leased()

    def _moved(self) -> None:
        self.revision = self.rendering.revision(self.history.applied)


def _anew(remembered: Denied) -> Denied:
    """The same denial, to raise: what is raised keeps hold of the call, and memory of the other."""
    return Denied(remembered.reason, remembered.message, details=remembered.details)

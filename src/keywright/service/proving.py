"""Proving a token that is not remembered, or of which something has changed since.

Parse, look up by prefix together with other misses, tell a wrong secret by its verifier tag, run
Argon2 for the right one only, and remember it if nothing that it rests on has changed meanwhile
(the refill guard). Deciding is left to `authenticate`: every ALLOW comes from there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from keywright.domain.decision import Asked, Credential, Principal, permitted, stands
from keywright.domain.errors import Denied, Reason, ServiceError
from keywright.domain.keys import Key
from keywright.domain.permissions import PermissionSet
from keywright.domain.sessions import Session
from keywright.domain.token import Token, TokenMalformedError
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.token_hasher import TokenHasher, Verdict
from keywright.service.admission import Admission, Source, limited
from keywright.service.imported_tokens import ImportedTokens
from keywright.service.known import HASH_MARK_BYTES, Idle, Known, Proven, Rendering, pack, terms
from keywright.service.look_ups import Answer, LookUps
from keywright.service.memory import Memory, scope
from keywright.service.replica.lease import not_leased
from keywright.service.replica.replica import Replica
from keywright.service.verifying import overloaded, unknown, verifying
from keywright.storage.credentials import FoundSecret, Seen
from keywright.storage.database import Database

ATTEMPTS = 3
"""How often what has changed meanwhile is looked up again."""

_NEVER = float("inf")
_FALLEN = timedelta(seconds=1)
# Tokens that are looked up and proven at a time, each less than 16 KiB: as many as are presented
# at once after a restart.
_FLIGHTS_MAX_COUNT = 10_240


@dataclass(slots=True, eq=False)
class _Flight:
    """A token that is being proven, and how many wait for that."""

    task: "asyncio.Task[Proven]"
    waiting: int = 0


@dataclass(slots=True)
class Proving:
    """Proves tokens, each once for all who present it at the same time.

    `expected` was looked up before it was asked for, by prefix (`warm_up`); whether it is still
    true is seen as of everything that is looked up.
    """

    database: Database
    hasher: TokenHasher
    imported: ImportedTokens
    replica: Replica
    rendering: Rendering
    memory: Memory
    admission: Admission
    look_ups: LookUps = field(init=False)
    expected: dict[str, Answer] = field(default_factory=dict)
    rejected: int = 0
    _flights: dict[bytes, _Flight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.look_ups = LookUps(self.database)

    async def once(self, text: str, source: Source) -> Proven:
        """`_prove`, once for all who present the same token at the same time."""
        mark = self.memory.mark(text)
        if not self.memory.is_ours(text):  # what it proves depends on who asks, and from where
            mark = self.memory.mark(f"{text} {scope(source.caller)} {source.client}")
        flight = self._flights.get(mark)
        if flight is None:
            if len(self._flights) >= _FLIGHTS_MAX_COUNT:
                self.rejected += 1
                raise overloaded()
            # A task of its own: whoever began it may leave, and the others still wait.
            task = asyncio.create_task(self._prove_for(text, source))
            flight = self._flights[mark] = _Flight(task)
            task.add_done_callback(lambda _task: self._landed(mark, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():  # nobody wants to know any more
                self._landed(mark, flight)
                flight.task.cancel()

    async def _prove_for(self, text: str, source: Source) -> Proven:
        """`_prove`, and count what is nobody's, as far as that can be told."""
        try:
            return await self._prove(text, source)
        except Denied as denied:
            if denied.reason is Reason.TOKEN_UNKNOWN:
                self.admission.failed(source)
            # An old primary that was cut off does not have what was made since (promise G3).
            await self.replica.leased()
            raise

    async def _prove(self, text: str, source: Source) -> Proven:
        """Look up, prove, and remember, if nothing has changed that it rests on (refill guard)."""
        for _ in range(ATTEMPTS):
            found, seen = await self._looked_up(text, source)
            credential = found.credential
            if not await self.replica.caught_up(seen.position) or not self.replica.lease.knows_time:
                break
            as_of = self.replica.history.step_at(seen.position)
            if as_of is not None and self.replica.history.unchanged(credential.rests_on, as_of):
                known = self._known(text, found, as_of)
                # What only looks like ours would take the place of the key whose prefix it has.
                if not (found.is_imported and self.memory.is_ours(text)):
                    self.memory.cache.put(self.memory.place(text, source.caller), known)
                return Proven(known, credential, seen.position)
        raise not_leased()

    async def _looked_up(self, text: str, source: Source) -> tuple[FoundSecret, Seen]:
        """What `text` is the secret of, whether that stands or not.

        Raises: as `Authenticate`; Denied only if it is no token of anybody's.
        """
        try:
            token = self.memory.token_format.parse(text)
        except TokenMalformedError as error:
            principal = None if source.caller is None else source.caller.principal
            imported = await self.imported.proven(text, source.client, principal)
            if imported is None:
                raise self.memory.malformed(error) from None
            return imported
        answer = self.expected.get(token.prefix)
        found, seen = answer or await self.look_ups.look_up(
            token.prefix, in_vain=lambda: self.admission.failed(source)
        )
        if found is None:
            self.memory.cache.drop(token.prefix)  # it may have been deleted
            self.memory.stranger(token.prefix, None)
            raise unknown()
        # The environment is part of the token: its checksum covers it, the key's record decides.
        if found.credential.token_word != token.environment:
            raise unknown()
        known = self.memory.proven(text, token.prefix)
        # This very token, proven against this very hash: that never changes.
        if known is None or known.proven_against != _hash_mark(found):
            await self._verify(token, found)
        self.expected.pop(token.prefix, None)  # the next time it is remembered, or was changed
        return found, seen

    def _landed(self, mark: bytes, flight: _Flight) -> None:
        if self._flights.get(mark) is flight:
            del self._flights[mark]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # looked at, in case everybody who waited has gone

    async def _verify(self, token: Token, found: FoundSecret) -> None:
        with verifying():
            verdict = await self.hasher.verify(token.secret, found.hashed)
        if not verdict.is_right:
            self.memory.stranger(token.prefix, found.hashed.verifier_tag)
            raise unknown()
        if verdict is Verdict.RIGHT_NEEDS_REHASH:
            await self._renew_hash(token, found)

    async def _renew_hash(self, token: Token, found: FoundSecret) -> None:
        """Store the secret under today's parameters and pepper; the old one stays good."""
        try:
            renewed = await self.hasher.hash(token.secret)
            await self.database.writing(
                lambda writes: writes.keys.renew_hash(found.internal_id, found.hashed.phc, renewed),
                within=timedelta(seconds=1),
            )
        except (HashPoolFullError, ServiceError):
            return

    def _known(self, text: str, found: FoundSecret, as_of: int) -> Known:
        """What to remember of a credential, as it is at this moment."""
        credential, lease = found.credential, self.replica.lease
        now = lease.database_time(lease.clock())
        moment, denied = datetime.fromtimestamp(now, UTC), None
        try:
            stands(credential, moment)
        except Denied as why:
            denied = Denied(why.reason, why.message, details=why.details)
        record = credential.record
        ends = [record.expire_time, credential.secret_not_after]
        if isinstance(record, Session) and denied is None:
            ends.append(record.idle_expire_time)
        if denied is not None and (found.is_imported or denied.reason is Reason.SESSION_EXPIRED):
            # Another key of this token may come to stand, on which this one does not rest; or
            # another server write of a later use of the session than the database shows.
            ends.append(moment + _FALLEN)
        rests_on = credential.rests_on
        head, reply, plain = b"", b"", None
        if denied is None:
            principal = Principal(credential, PermissionSet(), moment)
            head = self.rendering.head(principal, rests_on)
            reply = self.rendering.terms(principal, rests_on)
            with suppress(Denied):
                asks_nothing = permitted(record.environment, credential.authority, Asked())
                plain = self.rendering.permissions(asks_nothing)
        own_or_shared, terms_bytes = terms(credential.authority, record.environment, reply, plain)
        return Known(
            packed=pack(
                self.memory.mark(text),
                _hash_mark(found),
                found.hashed.verifier_tag,
                rests_on,
                record.session_id if isinstance(record, Session) else record.key_id,
            ),
            as_of=as_of,
            end=min((t for end in ends if end and (t := end.timestamp()) > now), default=_NEVER),
            denied=denied,
            head=head,
            terms=own_or_shared,
            terms_bytes=terms_bytes,
            idle=_idle(record) if denied is None else None,
        )

    async def each(self, text: str, source: str) -> AsyncIterator[tuple[Credential, Seen]]:
        """All that `text` is a credential of: of another product's, there may be several.

        `source` is whose share of wrong secrets counts.

        Raises: as `Authenticate`; what could be proven has come before.
        """
        try:
            self.memory.token_format.parse(text)
        except TokenMalformedError:
            async for proven in self.imported.each_proven(text, source):
                yield proven
        else:
            if not self.admission.by_address.admits(source):
                raise limited()
            try:
                found, seen = await self._looked_up(text, Source(None, None, None))
            except Denied:
                self.admission.by_address.failed(source)
                raise
            yield found.credential, seen


def _idle(record: Key | Session) -> Idle | None:
    if isinstance(record, Key):
        return None
    return Idle(record.idle_timeout.total_seconds(), record.expire_time.timestamp())


def _hash_mark(found: FoundSecret) -> bytes:
    return blake2b(found.hashed.phc.encode(), digest_size=HASH_MARK_BYTES).digest()

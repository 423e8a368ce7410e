"""Tokens of other products, proven: what `Authenticate` does with a text that is none of ours.

1. Match. Nothing but the registered patterns, in memory: other garbage ends here.
2. Look up by the prefix or the digest of the token. Prefixes may be the same in several workspaces,
   so there may be several candidates; those that are none of the caller's business are left alone.
3. Prove, each in turn, those that are told at once before those with a slow hash, which runs for a
   source that has shown few wrong secrets only. That one cannot be computed now says nothing of the
   others. One that stands goes before one that does not.
4. Re-hash, so that at the second use the secret is stored as one of our own.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import compress, islice
from operator import not_

from keywright.domain.decision import Credential, Principal, stands
from keywright.domain.errors import Denied, ServiceError
from keywright.domain.imported import secret_of
from keywright.domain.keys import Address
from keywright.domain.permissions import AUTHENTICATE_ANY
from keywright.domain.secret import Secret
from keywright.security.failure_limit import source_of
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.imported_hasher import ImportedHasher
from keywright.security.token_hasher import Verdict
from keywright.service.token_shapes import TokenShapes
from keywright.service.verifying import unknown, verifying
from keywright.storage.credentials import Candidates, FoundSecret, Seen
from keywright.storage.database import Database

_PATIENCE = timedelta(seconds=1)
_SLOW_MAX_COUNT = 8
"""Candidates of a token whose slow hashes run: of so many workspaces, if so many have one."""


@dataclass(frozen=True, slots=True)
class ImportedTokens:
    """Proves tokens that other products made."""

    database: Database
    shapes: TokenShapes
    hasher: ImportedHasher

    async def proven(
        self, text: str, address: Address | None, caller: Principal | None
    ) -> tuple[FoundSecret, Seen] | None:
        """The secret that `text` has; None if no imported token looks like this.

        Presented from `address`, if that is known, and `caller` wants to know; None may know all.

        Raises:
            Denied: TOKEN_UNKNOWN.
            ServiceError: FAILURES_LIMITED or OVERLOADED; a slow hash did not run that may be right.
            Unavailable: the database cannot be reached.
        """
        candidates = await self._candidates(text, only=_business_of(caller))
        if candidates is None:
            return None
        source = source_of(address, "" if caller is None else str(caller.credential.record.name))
        fallen = None
        async for found in self._right(text, candidates.found, source):
            if _stands(found.credential, candidates):
                return found, candidates
            fallen = fallen or found
        if fallen is None:
            raise unknown()
        return fallen, candidates

    async def each_proven(self, text: str, source: str) -> AsyncIterator[tuple[Credential, Seen]]:
        """All that `text` proves, of any workspace, whether it stands or not.

        Raises: as `proven`, but for Denied; what could be proven has come before.
        """
        candidates = await self._candidates(text, only=None)
        if candidates is not None:
            async for found in self._right(text, candidates.found, source):
                yield found.credential, candidates

    async def _candidates(self, text: str, *, only: int | None) -> Candidates | None:
        shapes = await self.shapes.matching(text)
        if not shapes:
            return None
        places = [place for shape in shapes for place in shape.places(text)]
        async with self.database.reading() as reads:
            return await reads.credentials.imported(places, only=only)

    async def _right(
        self, text: str, found: Sequence[FoundSecret], source: str
    ) -> AsyncIterator[FoundSecret]:
        """Those whose secret `text` has; then raises what kept another one from being told."""
        asked = [(secret_of(text, each.hash_offset), each) for each in found]
        is_quick = [self.hasher.is_quick(secret, each.hashed) for secret, each in asked]
        quick = compress(asked, is_quick)
        slow = compress(asked, map(not_, is_quick))
        untold = None
        for secret, each in (*quick, *islice(slow, _SLOW_MAX_COUNT)):
            try:
                if await self._is_right(secret, each, source):
                    yield each
            except ServiceError as error:
                untold = error
        if untold is not None:
            raise untold

    async def _is_right(self, secret: Secret[bytes], found: FoundSecret, source: str) -> bool:
        with verifying():
            verdict = await self.hasher.verify(secret, found.hashed, source)
        if verdict is Verdict.RIGHT_NEEDS_REHASH:
            await self._renew_hash(secret, found)
        return verdict.is_right

    async def _renew_hash(self, secret: Secret[bytes], found: FoundSecret) -> None:
        """Store the secret as one of our own; if that cannot be, the old hash stays good."""
        try:
            renewed = await self.hasher.rehash(secret, found.hashed)
            await self.database.writing(
                lambda writes: writes.keys.renew_hash(found.internal_id, found.hashed.phc, renewed),
                within=_PATIENCE,
            )
        except (HashPoolFullError, ServiceError):
            return


def _business_of(caller: Principal | None) -> int | None:
    """The one workspace whose tokens are a caller's business; None is all."""
    if caller is None or caller.may(AUTHENTICATE_ANY):
        return None
    return caller.credential.workspace_internal_id


def _stands(credential: Credential, seen: Seen) -> bool:
    try:
        stands(credential, seen.now)
    except Denied:
        return False
    return True

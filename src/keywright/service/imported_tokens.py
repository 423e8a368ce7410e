"""Tokens of other products, proven: what `Authenticate` does with a text that is none of ours.

1. Match. Nothing but the registered patterns, in memory: other garbage ends here.
2. Look up by the prefix or the digest of the token. Prefixes may be the same in several workspaces,
   so there may be several candidates; those that are none of the caller's business are left alone.
3. Prove, each in turn. A slow hash runs for a source that has shown few wrong secrets only.
4. Re-hash, so that at the second use the secret is stored as one of our own.
"""

from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.decision import Credential, Principal
from keywright.domain.errors import ServiceError
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
from keywright.storage.credentials import FoundSecret, Seen
from keywright.storage.database import Database

_PATIENCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ImportedTokens:
    """Proves tokens that other products made."""

    database: Database
    shapes: TokenShapes
    hasher: ImportedHasher

    async def proven(
        self, text: str, address: Address | None, caller: Principal | None
    ) -> tuple[Credential, Seen] | None:
        """The credential that `text` proves; None if no imported token looks like this.

        Presented from `address`, if that is known, and `caller` wants to know; None may know all.

        Raises:
            Denied: TOKEN_UNKNOWN.
            ServiceError: FAILURES_LIMITED or OVERLOADED; the slow hash did not run.
            Unavailable: the database cannot be reached.
        """
        shapes = await self.shapes.matching(text)
        if not shapes:
            return None
        places = [place for shape in shapes for place in shape.places(text)]
        async with self.database.reading() as reads:
            seen = await reads.credentials.imported(places, only=_business_of(caller))
        source = source_of(address, "" if caller is None else str(caller.credential.key.name))
        for found in seen.found:
            secret = secret_of(text, found.hash_offset)
            if await self._is_right(secret, found, source):
                return found.credential, seen
        raise unknown()

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

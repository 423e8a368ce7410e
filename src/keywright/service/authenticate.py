"""From a token to a principal: the path that every request of every application takes.

Read it from top to bottom:

1. Parse. What is no token costs microseconds and never reaches the database; unless it looks like
   a token of another product whose keys were imported (`imported_tokens`).
2. Look up by prefix: one query, one snapshot, which also says the position and the time.
3. Prove. A wrong secret is told by its verifier tag; Argon2 runs for the right one only.
4. Decide: states, expiry, environment, address, resource, permissions, in that order. Every
   decision is counted as a use of the key, in memory only.

A reply says why a key does not stand only after step 3; before it, everything that is well-formed
is `TOKEN_UNKNOWN` (promise G12).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from keywright.domain.decision import Asked, Credential, Principal, decide, identify
from keywright.domain.errors import Denied, Reason, ServiceError
from keywright.domain.keys import Address
from keywright.domain.position import Position
from keywright.domain.token import Token, TokenFormat, TokenMalformedError
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.token_hasher import TokenHasher, Verdict
from keywright.service.imported_tokens import ImportedTokens
from keywright.service.notices import Notices
from keywright.service.usage_counters import UsageCounters
from keywright.service.verifying import unknown, verifying
from keywright.storage.credentials import FoundSecret, Seen
from keywright.storage.database import Database


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A principal, and the position of the history at which that was decided."""

    principal: Principal
    position: Position


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Turns tokens into principals."""

    database: Database
    hasher: TokenHasher
    token_format: TokenFormat
    usage: UsageCounters
    notices: Notices
    imported: ImportedTokens

    async def __call__(
        self, text: str, asked: Asked, *, on_behalf_of: Principal | None = None
    ) -> Authenticated:
        """Who presents `text`, and may they do what is `asked`?

        `on_behalf_of` is the caller that wants to know: tokens of workspaces that are none of its
        business are unknown to it. None knows all.

        Raises:
            Denied: the token does not stand, or is not good for what is asked.
            ServiceError: OVERLOADED, too many hashes wait already.
            Unavailable: the database cannot be reached.
        """
        credential, seen = await self.proven(text, asked.client_address, on_behalf_of)
        if on_behalf_of is not None and not on_behalf_of.may_see(credential.workspace_id):
            raise unknown()
        address = asked.client_address
        try:
            principal = decide(credential, asked, seen.now)
        except Denied as denied:
            self._denied(credential, denied.reason, seen, address)
            raise
        self.usage.allowed(principal, address)
        return Authenticated(principal, seen.position)

    async def caller(self, text: str, address: Address | None) -> Principal:
        """Who calls us from `address` with `text` as its own credential?

        Raises: as `__call__`.
        """
        credential, seen = await self.proven(text, address)
        try:
            principal = identify(credential, address, seen.now, seen.position)
        except Denied as denied:
            self._denied(credential, denied.reason, seen, address)
            raise
        self.usage.allowed(principal, address)
        return principal

    def _denied(
        self, credential: Credential, reason: Reason, seen: Seen, address: Address | None
    ) -> None:
        self.usage.denied(credential, reason, seen.now)
        self.notices.token_denied(credential, reason, seen.now, address)

    async def proven(
        self, text: str, address: Address | None, caller: Principal | None = None
    ) -> tuple[Credential, Seen]:
        """What `text` is a credential of, whether it stands or not.

        Presented from `address`, if that is known; `caller` wants to know, and None may know all.

        Raises: as `__call__`; Denied only if it is no token of anybody's.
        """
        try:
            token = self.token_format.parse(text)
        except TokenMalformedError as error:
            imported = await self.imported.proven(text, address, caller)
            if imported is None:
                raise self._malformed(error) from None
            return imported
        async with self.database.reading() as reads:
            seen = await reads.credentials.look_up([token.prefix])
        found = seen.found.get(token.prefix)
        # The environment is part of the token: its checksum covers it, the key's record decides.
        if found is None or found.credential.key.environment != token.environment:
            raise unknown()
        await self._prove(token, found)
        return found.credential, seen

    async def each_proven(self, text: str, source: str) -> AsyncIterator[tuple[Credential, Seen]]:
        """All that `text` is a credential of: of another product's, there may be several.

        `source` is whose share of wrong secrets counts.

        Raises: as `proven`; what could be proven has come before.
        """
        try:
            self.token_format.parse(text)
        except TokenMalformedError:
            async for proven in self.imported.each_proven(text, source):
                yield proven
        else:
            yield await self.proven(text, None)

    def _malformed(self, error: TokenMalformedError) -> Denied:
        return Denied(
            Reason.TOKEN_MALFORMED,
            f"this is not a {self.token_format.brand} token ({error.defect.value})",
            details={"defect": error.defect.value},
        )

    async def _prove(self, token: Token, found: FoundSecret) -> None:
        with verifying():
            verdict = await self.hasher.verify(token.secret, found.hashed)
        if not verdict.is_right:
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

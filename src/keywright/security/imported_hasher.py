"""Secrets of imported tokens: proven against the hash that came with them, then against ours.

Their products made some of high entropy and kept digests of them. These are told in microseconds,
and re-hashed as the secrets of our own tokens are, with a verifier tag. Others may be guessed: they
have a slow hash, before as after, and no tag; each is limited by source before the hash runs.
"""

from dataclasses import dataclass, field

from keywright.domain.secret import HashedSecret, Secret
from keywright.security import hashing, imported_hashes
from keywright.security.failure_limit import FailureLimit
from keywright.security.flights import Flights
from keywright.security.hash_pool import HashPool, HashPoolFullError
from keywright.security.proofs import Proofs
from keywright.security.token_hasher import TokenHasher, Verdict

_ARGON2 = "$argon2"


@dataclass(frozen=True, slots=True)
class ImportedHasher:
    """Verifies and hashes the secrets of imported tokens.

    `slow` is a pool of its own, so that no number of slow hashes keeps other tokens waiting.
    """

    tokens: TokenHasher
    slow: HashPool
    limit: FailureLimit
    proofs: Proofs
    flights: Flights = field(default_factory=Flights)

    def is_quick(self, secret: Secret[bytes], stored: HashedSecret) -> bool:
        """Whether `verify` would neither ask how much the source has left, nor run a slow hash."""
        return (
            stored.verifier_tag is not None
            or imported_hashes.digest_of(stored.phc) is not None
            or self.proofs.has(secret, stored)
        )

    async def verify(self, secret: Secret[bytes], stored: HashedSecret, source: str) -> Verdict:
        """Whether `secret`, presented from `source`, is the one that `stored` was made from.

        What was proven once against a hash is neither limited nor computed again, and what is
        being computed is waited for.

        Raises:
            FailureLimitedError: the source has presented too many wrong ones; nothing was computed.
            HashPoolFullError, UnknownPepperError, UnusableHashError: as `TokenHasher.verify`.
        """
        if stored.verifier_tag is not None:
            return await self.tokens.verify(secret, stored)
        if imported_hashes.digest_of(stored.phc) is not None:
            right = imported_hashes.digest_matches(stored.phc, secret)
            return Verdict.RIGHT_NEEDS_REHASH if right else Verdict.WRONG
        peppered = self.tokens.peppers.apply(secret, stored.pepper_version)

        async def slowly() -> bool:
            self.limit.take(source)
            try:
                right = await self.slow.run(lambda: imported_hashes.verify(stored.phc, peppered))
            except HashPoolFullError:
                self.limit.give_back(source)
                raise
            if right:
                self.limit.give_back(source)
                self.proofs.add(secret, stored)
            return right

        if not self.proofs.has(secret, stored):
            mark = self.proofs.mark(secret, stored)
            if not await self.flights.join(source, mark, slowly):
                return Verdict.WRONG
        return Verdict.RIGHT_NEEDS_REHASH if self._is_outdated(stored) else Verdict.RIGHT

    async def rehash(self, secret: Secret[bytes], stored: HashedSecret) -> HashedSecret:
        """What to store of a proven secret in place of `stored`.

        Raises:
            HashPoolFullError: too many hashes wait already.
        """
        if stored.verifier_tag is not None or imported_hashes.digest_of(stored.phc) is not None:
            return await self.tokens.hash(secret)
        version = self.tokens.peppers.current
        peppered = self.tokens.peppers.apply(secret, version)
        salt = self.tokens.entropy(hashing.PASSWORD.salt_len)
        phc = await self.slow.hash(peppered, hashing.PASSWORD, salt)
        renewed = HashedSecret(None, phc, version)
        self.proofs.add(secret, renewed)
        return renewed

    def _is_outdated(self, stored: HashedSecret) -> bool:
        return (
            stored.pepper_version != self.tokens.peppers.current
            or not stored.phc.startswith(_ARGON2)
            or hashing.needs_rehash(stored.phc, hashing.PASSWORD)
        )

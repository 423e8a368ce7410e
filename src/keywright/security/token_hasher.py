"""From a token's secret to what is stored of it, and the verdict on a secret that is presented."""

from dataclasses import dataclass
from enum import Enum, auto
from hmac import compare_digest

from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.token import Entropy, verifier_tag
from keywright.security import hashing
from keywright.security.hash_pool import HashPool
from keywright.security.pepper import PepperRing


class Verdict(Enum):
    """What `TokenHasher.verify` found."""

    WRONG = auto()
    """The verifier tag differs; Argon2 did not run."""
    WRONG_DESPITE_TAG = auto()
    """The tag is right and the hash is not: a chance of 2**-64, so more likely a damaged row."""
    RIGHT = auto()
    RIGHT_NEEDS_REHASH = auto()
    """Right, and the hash was made with other parameters or another pepper than are used now."""

    @property
    def is_right(self) -> bool:
        """Whether the presented secret is the stored one."""
        return self in (Verdict.RIGHT, Verdict.RIGHT_NEEDS_REHASH)


@dataclass(frozen=True, slots=True)
class TokenHasher:
    """Hashes and verifies secrets of 256 random bits, with the profile `hashing.TOKEN`.

    Only they may have a verifier tag: of a secret that can be guessed it would be a fast hash.
    """

    pool: HashPool
    peppers: PepperRing
    entropy: Entropy

    async def hash(self, secret: Secret[bytes]) -> HashedSecret:
        """What to store of `secret`, under the current pepper and a new salt.

        Raises:
            HashPoolFullError: too many hashes wait already.
        """
        version = self.peppers.current
        salt = self.entropy(hashing.TOKEN.salt_len)
        peppered = self.peppers.apply(secret, version)
        phc = await self.pool.hash(peppered, hashing.TOKEN, salt)
        return HashedSecret(verifier_tag(secret), phc, version)

    async def verify(self, secret: Secret[bytes], stored: HashedSecret) -> Verdict:
        """Whether `secret` is the one that `stored` was made from.

        A wrong one is told by its tag, in microseconds, before anything is queued: whoever sends
        forged tokens gets no Argon2 time for them (promise G11). Both comparisons take constant
        time.

        Raises:
            HashPoolFullError: too many hashes wait already.
            UnknownPepperError: the stored hash needs a pepper that is not configured.
            UnusableHashError: the stored hash is damaged.
        """
        tag = stored.verifier_tag
        if tag is None or not compare_digest(verifier_tag(secret), tag):
            return Verdict.WRONG
        peppered = self.peppers.apply(secret, stored.pepper_version)
        if not await self.pool.verify(stored.phc, peppered):
            return Verdict.WRONG_DESPITE_TAG
        if stored.pepper_version != self.peppers.current or hashing.needs_rehash(
            stored.phc, hashing.TOKEN
        ):
            return Verdict.RIGHT_NEEDS_REHASH
        return Verdict.RIGHT

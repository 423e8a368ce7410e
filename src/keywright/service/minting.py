"""New secrets, minted and hashed before a transaction begins: Argon2 takes longer than it."""

from dataclasses import dataclass

from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.token import Entropy, Token, mint_parts
from keywright.security.hash_pool import HashPoolFullError
from keywright.security.token_hasher import TokenHasher
from keywright.service.verifying import overloaded


@dataclass(frozen=True, slots=True)
class MintedSecret:
    """A secret that nobody has yet, and what is stored of it."""

    prefix: str
    secret: Secret[bytes]
    hashed: HashedSecret

    def token(self, environment: str) -> Token:
        """The token that shows it."""
        return Token(environment, self.prefix, self.secret)


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes secrets."""

    hasher: TokenHasher
    entropy: Entropy

    async def secret(self) -> MintedSecret:
        """A new secret.

        Raises:
            ServiceError: OVERLOADED, too many hashes wait already.
        """
        prefix, secret = mint_parts(self.entropy)
        try:
            return MintedSecret(prefix, secret, await self.hasher.hash(secret))
        except HashPoolFullError as error:
            raise overloaded() from error

"""What was proven already by a slow hash: that a secret is the one the hash was made from.

An immutable fact, so nothing ever has to be taken back: whether the key still stands is another
question, and is asked each time. Only who has the right secret can add to it, and nothing in it can
be turned back into a secret. (That our own tokens were proven is remembered with their keys.)
"""

from dataclasses import dataclass
from hashlib import blake2b

from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.token import Entropy
from keywright.security.cache import Cache

_KEY_BYTES = 32
_MARK_BYTES = 16


@dataclass(slots=True, eq=False)
class _Proof:
    visits: int = 0
    size = 48
    lasting = True


class Proofs:
    """As many proofs as `max_bytes` can hold, about 300 each; those in use stay."""

    def __init__(self, entropy: Entropy, max_bytes: int) -> None:
        # Without the key, which lives as long as the process, a mark tells nothing about a secret.
        self._key = entropy(_KEY_BYTES)
        self.cache: Cache[_Proof] = Cache(max_bytes)

    def has(self, secret: Secret[bytes], stored: HashedSecret) -> bool:
        """Whether `secret` was proven against this very hash."""
        return self.cache.get(self.mark(secret, stored)) is not None

    def add(self, secret: Secret[bytes], stored: HashedSecret) -> None:
        """`secret` is the one that the hash was made from."""
        self.cache.put(self.mark(secret, stored), _Proof())

    def mark(self, secret: Secret[bytes], stored: HashedSecret) -> bytes:
        """What stands for the pair; it lasts as long as the process."""
        # No hash contains a NUL, so no two pairs run together to the same bytes.
        content = stored.phc.encode() + b"\0" + secret.reveal()
        return blake2b(content, key=self._key, digest_size=_MARK_BYTES).digest()

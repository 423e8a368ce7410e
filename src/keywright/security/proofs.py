"""What was proven already: that a secret is the one a stored hash was made from.

An immutable fact, so nothing ever has to be taken back: whether the key still stands is another
question, and is asked each time. Only who has the right secret can add to it, and nothing in it can
be turned back into a secret.
"""

from collections import OrderedDict
from hashlib import blake2b

from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.token import Entropy

_KEY_BYTES = 32
_MARK_BYTES = 16
# About 8 MiB when full: a mark, and its place in the order of use.
MAX_COUNT = 65_536


class Proofs:
    """The most recently used proofs, `max_count` at most."""

    def __init__(self, entropy: Entropy, max_count: int = MAX_COUNT) -> None:
        # Without the key, which lives as long as the process, a mark tells nothing about a secret.
        self._key = entropy(_KEY_BYTES)
        self._max_count = max_count
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def has(self, secret: Secret[bytes], stored: HashedSecret) -> bool:
        """Whether `secret` was proven against this very hash."""
        mark = self.mark(secret, stored)
        if mark not in self._marks:
            return False
        self._marks.move_to_end(mark)
        return True

    def add(self, secret: Secret[bytes], stored: HashedSecret) -> None:
        """`secret` is the one that the hash was made from; the longest unused proof may go."""
        self._marks[self.mark(secret, stored)] = None
        if len(self._marks) > self._max_count:
            self._marks.popitem(last=False)

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self, secret: Secret[bytes], stored: HashedSecret) -> bytes:
        """What stands for the pair; it lasts as long as the process."""
        # No hash contains a NUL, so no two pairs run together to the same bytes.
        content = stored.phc.encode() + b"\0" + secret.reveal()
        return blake2b(content, key=self._key, digest_size=_MARK_BYTES).digest()

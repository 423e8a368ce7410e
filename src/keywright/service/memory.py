"""What is remembered of tokens, and where: found by the prefix, told by a keyed hash of the whole.

Nothing in it can be turned back into a token. Whether it is still true is seen by `authenticate`.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest

from keywright.domain.errors import Denied, Reason
from keywright.domain.token import (
    TokenDefect,
    TokenFormat,
    TokenMalformedError,
    verifier_tag,
)
from keywright.security.cache import Cache
from keywright.service.known import MARK_BYTES, Caller, Known, Stranger
from keywright.service.replica.lease import Lease
from keywright.service.token_shapes import TokenShapes
from keywright.service.verifying import unknown

# Where the prefix is in a token: before 43 characters of secret and 6 of checksum.
_PREFIX = slice(-61, -49)
_NEVER = float("inf")
# How long a prefix that no secret has is remembered: prefixes are drawn at random, so none of them
# comes into being meanwhile; but a database may come back that had lost it.
_ABSENT_SECONDS = 1.0
# Longer than the token of any product may be: not even hashed, as that would take milliseconds.
TEXT_MAX_LENGTH = 8192
_TOO_LONG = TokenMalformedError(TokenDefect.TOO_LONG)
_UNKNOWN = unknown()


@dataclass(slots=True)
class Memory:
    """The cache of keys, and what tells other tokens than theirs.

    `mark_key` lives as long as the process: without it, a mark tells nothing about a token.
    """

    token_format: TokenFormat
    shapes: TokenShapes
    cache: Cache[Known | Stranger]
    mark_key: bytes
    lease: Lease
    _beginning: str = field(init=False)
    _keyed: blake2b = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what every call needs."""
        self._beginning = self.token_format.beginning
        self._keyed = blake2b(key=self.mark_key, digest_size=MARK_BYTES)

    def of(self, text: str, caller: Caller | None) -> Known | Denied | None:
        """What is known of a token; a denial, if it is certainly nobody's. None: nothing."""
        if len(text) > TEXT_MAX_LENGTH:
            return self.malformed(_TOO_LONG)
        remembered = self.cache.get(self.place(text, caller))
        if isinstance(remembered, Known):
            if compare_digest(remembered.packed[:MARK_BYTES], self.mark(text)):
                return remembered
            return self._wrong(text, remembered.tag, _NEVER)
        if remembered is None:
            return self._never_one(text)
        return self._wrong(text, remembered.tag, remembered.until)

    def proven(self, text: str, prefix: str) -> Known | None:
        """What is remembered of this very token of ours, be it true or not."""
        known = self.cache.values.get(prefix)
        if isinstance(known, Known) and compare_digest(known.proof, self.mark(text)):
            return known
        return None

    def stranger(self, prefix: str, tag: bytes | None) -> None:
        """Remember how to tell wrong secrets of a prefix; without a `tag`, that nobody has it."""
        if not isinstance(self.cache.get(prefix), Known):  # which tells wrong secrets as well
            self.cache.put(prefix, Stranger(tag, self.lease.clock() + _ABSENT_SECONDS))

    def place(self, text: str, caller: Caller | None) -> str | bytes:
        """Where what is known of a token is remembered."""
        if text.startswith(self._beginning):
            return text[_PREFIX]
        return self.mark(f"{text} {scope(caller)}")

    def is_ours(self, text: str) -> bool:
        """Whether a text begins as our tokens do."""
        return text.startswith(self._beginning)

    def mark(self, text: str) -> bytes:
        """What stands for a token."""
        marking = self._keyed.copy()  # the key is half of the work
        marking.update(text.encode())
        return marking.digest()

    def malformed(self, error: TokenMalformedError) -> Denied:
        """TOKEN_MALFORMED: no token of ours, nor of another product."""
        return Denied(
            Reason.TOKEN_MALFORMED,
            f"this is not a {self.token_format.brand} token ({error.defect.value})",
            details={"defect": error.defect.value},
        )

    def _never_one(self, text: str) -> Denied | None:
        """TOKEN_MALFORMED, if that is certain."""
        try:
            self.token_format.parse(text)
        except TokenMalformedError as error:
            return self.malformed(error) if self.shapes.none_matches(text) else None
        return None

    def _wrong(self, text: str, tag: bytes | None, until: float) -> Denied | None:
        """TOKEN_UNKNOWN, if that is certain by the tag of the secret that goes with the prefix."""
        try:
            token = self.token_format.parse(text)
        except TokenMalformedError:
            return None
        if tag is None:
            return _UNKNOWN if self.lease.clock() < min(until, self.lease.until) else None
        return None if compare_digest(verifier_tag(token.secret), tag) else _UNKNOWN


def scope(caller: Caller | None) -> int:
    """Whose tokens of other products are this caller's business: of one workspace, or (0) all."""
    if caller is None or caller.sees_all:
        return 0
    return caller.principal.credential.workspace_internal_id

"""Tokens of other products: what they look like, and how the record of one is found."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from keywright.domain.errors import invalid_field
from keywright.domain.secret import Secret
from keywright.domain.token import TokenFormat
from keywright.domain.token_pattern import TokenPattern, TokenPatternError

MIN_PREFIX_LENGTH = 4
MAX_PREFIX_LENGTH = 64
MIN_SECRET_LENGTH = 16
FORMATS_MAX_COUNT = 32
"""Of a workspace."""
SHAPES_MAX_COUNT = 200
"""Of an installation: every text that is no token of ours is matched against them."""


class TokenLookup(StrEnum):
    """How the record of an imported token is found."""

    PREFIX = "PREFIX"
    DIGEST = "DIGEST"


class HashForm(StrEnum):
    """The forms of a stored hash."""

    SHA256_HEX = "SHA256_HEX"
    SHA256_BASE64 = "SHA256_BASE64"
    SHA512_HEX = "SHA512_HEX"
    SHA512_BASE64 = "SHA512_BASE64"
    PHC = "PHC"
    DJANGO = "DJANGO"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record of a token may be: under one of the two."""

    shape: "TokenShape"
    prefix: str | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class TokenShape:
    """What tokens look like, and how they are looked up.

    Attributes:
        prefix_length: characters at the beginning, by which a record is found; 0 with `DIGEST`.
        hash_offset: characters at the beginning that are not part of what was hashed.
    """

    pattern: TokenPattern
    lookup: TokenLookup
    prefix_length: int
    hash_offset: int

    @property
    def max_secret_length(self) -> int:
        """The most characters that are hashed."""
        return self.pattern.longest - self.hash_offset

    def places(self, token: str) -> Sequence[Place]:
        """Where to look for the record of a token that matches."""
        if self.lookup is TokenLookup.PREFIX:
            return [Place(self, prefix=token[: self.prefix_length])]
        secret = secret_of(token, self.hash_offset).reveal()
        return [
            Place(self, digest=digest(secret).digest())
            for digest in (hashlib.sha256, hashlib.sha512)
        ]


def secret_of(token: str, hash_offset: int) -> Secret[bytes]:
    """What of a token was hashed: all but the beginning."""
    return Secret(token[hash_offset:].encode())


def check_shape(
    pattern: str, lookup: TokenLookup, prefix_length: int, hash_offset: int, ours: TokenFormat
) -> TokenShape:
    """The shape of these, if tokens of it can be told from ours, and found.

    Raises:
        InvalidFields: names the field and what would be right.
    """
    try:
        parsed = TokenPattern.parse(pattern)
    except TokenPatternError as error:
        raise invalid_field("format.pattern", str(error)) from None
    if parsed.overlaps(TokenPattern.parse(ours.grammar)):
        raise invalid_field(
            "format.pattern", f"matches tokens of this service, which begin with {ours.brand}_"
        )
    if lookup is TokenLookup.DIGEST and prefix_length:
        raise invalid_field("format.prefix_length", "must be 0 where tokens are found by a digest")
    if lookup is TokenLookup.PREFIX and not MIN_PREFIX_LENGTH <= prefix_length <= MAX_PREFIX_LENGTH:
        raise invalid_field(
            "format.prefix_length", f"must be {MIN_PREFIX_LENGTH} to {MAX_PREFIX_LENGTH}"
        )
    for field, length in (("prefix_length", prefix_length), ("hash_offset", hash_offset)):
        if parsed.shortest - length < MIN_SECRET_LENGTH:
            raise invalid_field(
                f"format.{field}",
                f"must leave at least {MIN_SECRET_LENGTH} characters of the shortest token, which "
                f"has {parsed.shortest}",
            )
    return TokenShape(parsed, lookup, prefix_length, hash_offset)

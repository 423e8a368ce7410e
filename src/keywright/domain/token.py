"""The one grammar of tokens: `kw_<environment>_<prefix:12><secret:43><checksum:6>`.

`prefix`, `secret` and `checksum` are base62 (`0-9A-Za-z`, in that order, most significant digit
first, padded with `0`). The secret is a 256-bit number; the checksum is the CRC-32 (the one of zlib
and PNG) of every character before it. `docs/token-format/` publishes the same for other languages.

CRC-32 finds every error that lies within 32 consecutive bits, so every single wrong character and
every two neighbours exchanged; any other damage passes with probability 2**-32. It is a defence
against typing errors and lets secret scanners be certain; it is none against forgers.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto

from keywright.domain.secret import Secret

Entropy = Callable[[int], bytes]
"""Gives that many unpredictable bytes; in the service it is the operating system's generator."""

DEFAULT_BRAND = "kw"
PREFIX_LENGTH = 12
SECRET_BYTES = 32
VERIFIER_TAG_BYTES = 8

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE = len(_ALPHABET)
_DIGITS = {character: digit for digit, character in enumerate(_ALPHABET)}
# Two at a time, because forged tokens are told by their secrets, and come in floods.
_PAIRS = {a + b: _DIGITS[a] * _BASE + _DIGITS[b] for a in _ALPHABET for b in _ALPHABET}
_WORD = "[a-z][a-z0-9]{0,15}"  # a brand, an environment
_WORD_MAX_LENGTH = 16
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_BODY_LENGTH = PREFIX_LENGTH + _SECRET_LENGTH + _CHECKSUM_LENGTH

MAX_LENGTH = _WORD_MAX_LENGTH + 1 + _WORD_MAX_LENGTH + 1 + _BODY_LENGTH
"""The longest token that any brand and environment can make, in characters."""

# Any brand, because a log may hold another installation's token; whatever stands before the
# environment is left alone, so a brand is neither needed nor lost. Fewer than 8 characters of a
# secret tell nothing and would take common identifiers (`keys_owner_distinguishable`) with them.
# Every part is bounded or runs to the next separator: time is linear in the text.
_TOKEN_LIKE = re.compile(r"(_[0-9A-Za-z]{1,16}_[0-9A-Za-z]{12})[0-9A-Za-z]{8,}")


class TokenDefect(StrEnum):
    """How a text fails to be a token: the first of these that applies. For logs and tests."""

    TOO_LONG = auto()
    """Longer than any token of any brand can be."""
    NOT_ASCII = auto()
    ILLEGAL_CHARACTER = auto()
    """White space, NUL, punctuation, a line break at the end, or one underscore too many."""
    WRONG_BRAND = auto()
    WRONG_ENVIRONMENT = auto()
    """The environment is missing or cannot be the name of one."""
    TRUNCATED = auto()
    EXTENDED = auto()
    WRONG_CHECKSUM = auto()
    OUT_OF_RANGE = auto()
    """The secret is 2**256 or more: well-formed, but never issued."""


class TokenMalformedError(ValueError):
    """A text is not a token. Says how, and never contains the text."""

    def __init__(self, defect: TokenDefect) -> None:
        super().__init__(f"not a token: {defect.value.replace('_', ' ')}")
        self.defect = defect


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. `TokenFormat.parse` and `TokenFormat.mint` make them, well-formed.

    Attributes:
        environment: `[a-z][a-z0-9]{0,15}`.
        prefix: 12 base62 characters; public and unique.
        secret: 32 bytes.
    """

    environment: str
    prefix: str
    secret: Secret[bytes]


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """The grammar for one brand.

    Raises:
        ValueError: the brand is not `[a-z][a-z0-9]{0,15}`.
    """

    brand: str = DEFAULT_BRAND
    _grammar: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_word(self.brand, "a brand")
        grammar = re.compile(
            rf"(?P<checked>{self.brand}_(?P<environment>{_WORD})"
            rf"_(?P<prefix>[0-9A-Za-z]{{{PREFIX_LENGTH}}})"
            rf"(?P<secret>[0-9A-Za-z]{{{_SECRET_LENGTH}}}))"
            rf"(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
        )
        object.__setattr__(self, "_grammar", grammar)

    @property
    def grammar(self) -> str:
        """A regular expression that every token of this brand matches as a whole."""
        return rf"{self.brand}_{_WORD}_[0-9A-Za-z]{{{_BODY_LENGTH}}}"

    @property
    def pattern(self) -> str:
        """The published regular expression, for finding tokens in text (Python, RE2, PCRE)."""
        return rf"\b{self.grammar}\b"

    @property
    def beginning(self) -> str:
        """What every token of this brand begins with."""
        return f"{self.brand}_"

    def parse(self, text: str) -> Token:
        """What `text` says, if it is exactly one token.

        Takes microseconds whatever the input, so that it can stand before every look-up.

        Raises:
            TokenMalformedError: it is not a token of this brand.
        """
        if len(text) > MAX_LENGTH:  # before anything whose time grows with the length
            raise TokenMalformedError(TokenDefect.TOO_LONG)
        match = self._grammar.fullmatch(text)  # not match() and `$`, which lets a line break pass
        if match is None:
            raise TokenMalformedError(self._defect(text))
        checked, environment, prefix, secret, checksum = match.groups()
        if _checksum(checked) != checksum:
            raise TokenMalformedError(TokenDefect.WRONG_CHECKSUM)
        number = _number(secret)
        if number >> (8 * SECRET_BYTES):
            raise TokenMalformedError(TokenDefect.OUT_OF_RANGE)
        return Token(environment, prefix, Secret(number.to_bytes(SECRET_BYTES, "big")))

    def render(self, token: Token) -> Secret[str]:
        """The text of `token`, as it is shown once; `parse` gives the same token back."""
        secret = _base62(int.from_bytes(token.secret.reveal(), "big"), _SECRET_LENGTH)
        checked = f"{self.brand}_{token.environment}_{token.prefix}{secret}"
        return Secret(checked + _checksum(checked))

    def mint(self, environment: str, entropy: Entropy) -> Token:
        """A new token: prefix and secret are uniformly distributed if `entropy` is.

        Raises:
            ValueError: the environment is not `[a-z][a-z0-9]{0,15}`.
        """
        _check_word(environment, "an environment")
        return Token(environment, *mint_parts(entropy))

    def _defect(self, text: str) -> TokenDefect:
        """Why the grammar does not match `text`, which is at most `MAX_LENGTH` long."""
        brand, _, rest = text.partition("_")
        environment, separator, body = rest.partition("_")
        legal = re.fullmatch("[0-9A-Za-z_]*", text) and "_" not in body
        cut_in_brand = not rest and f"{self.brand}_".startswith(text)
        cut_in_body = not separator or len(body) < _BODY_LENGTH
        symptoms = (
            (not text.isascii(), TokenDefect.NOT_ASCII),
            (not legal, TokenDefect.ILLEGAL_CHARACTER),
            (cut_in_brand, TokenDefect.TRUNCATED),
            (brand != self.brand, TokenDefect.WRONG_BRAND),
            (not re.fullmatch(_WORD, environment), TokenDefect.WRONG_ENVIRONMENT),
            (cut_in_body, TokenDefect.TRUNCATED),
        )
        return next((defect for holds, defect in symptoms if holds), TokenDefect.EXTENDED)


def redact(text: str) -> str:
    """`text` with the secret of every token-like thing replaced: `kw_live_3fK9aZ01bQxY...`.

    Brand, environment and prefix stay, so that a person can find the key. Tokens of any brand,
    tokens cut short or continued, and tokens in the middle of a word are found; what is left of a
    secret is never 8 characters or more. It needs the environment and the whole prefix to know a
    token: a secret alone is base62 like any other. Takes time linear in the length.
    """
    return _TOKEN_LIKE.sub(r"\1...", text)


def mint_parts(entropy: Entropy) -> tuple[str, Secret[bytes]]:
    """A prefix and a secret for a new token, whatever its environment will be."""
    return _mint_prefix(entropy), Secret(entropy(SECRET_BYTES))


def is_prefix(text: str) -> bool:
    """Whether `text` can be the prefix of a token."""
    return re.fullmatch(rf"[0-9A-Za-z]{{{PREFIX_LENGTH}}}", text) is not None


def is_environment(text: str) -> bool:
    """Whether `text` can be the environment of a token."""
    return re.fullmatch(_WORD, text) is not None


def verifier_tag(secret: Secret[bytes]) -> bytes:
    """The 8 bytes that tell a wrong secret in microseconds: truncated SHA-256 of the 32 bytes.

    It may be stored beside the hash: 192 bits of the secret remain unknown to its reader. Compare
    it with `hmac.compare_digest`.
    """
    return hashlib.sha256(secret.reveal()).digest()[:VERIFIER_TAG_BYTES]


def _check_word(text: str, what: str) -> None:
    if not re.fullmatch(_WORD, text):
        raise ValueError(
            f"{what} is 1 to {_WORD_MAX_LENGTH} lower-case letters and digits, a letter first"
        )


def _mint_prefix(entropy: Entropy) -> str:
    # Numbers at or above 62**12 are drawn again; taking the remainder would favour the low ones.
    size = 9  # 72 bits, the fewest whole bytes that hold 62**12: two draws in three are kept
    while (number := int.from_bytes(entropy(size), "big")) >= _BASE**PREFIX_LENGTH:
        pass
    return _base62(number, PREFIX_LENGTH)


def _checksum(checked: str) -> str:
    return _base62(zlib.crc32(checked.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    characters = []
    for _ in range(length):
        number, digit = divmod(number, _BASE)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))


def _number(base62: str) -> int:
    number = 0
    for index in range(0, len(base62) - 1, 2):
        number = number * _BASE**2 + _PAIRS[base62[index : index + 2]]
    return number * _BASE + _DIGITS[base62[-1]] if len(base62) % 2 else number

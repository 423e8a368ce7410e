"""Hashes that other products stored: read into one text each, and verified against.

| what is stored here | read from |
|---|---|
| `sha256$<hex>`, `sha512$<hex>` | digests in hex or base64; `sha512$$<hex>`, as REST API keys of \
Django are |
| `$argon2id$...` (also `i`, `d`) | PHC strings; Django's `argon2$argon2id$...` |
| `$2b$...` | modular crypt strings (also `2a`, `2y`); Django's `bcrypt$$2b$...` |
| `bcrypt_sha256$$2b$...` | Django's: bcrypt of the hex SHA-256 |
| `pbkdf2$<digest>$<iterations>$<salt>$<hash>` | Django's `pbkdf2_sha256$...`; PHC strings, \
passlib's with rounds in place of `i=` too |

No message contains a hash.
"""

import base64
import binascii
import hashlib
import re
from hmac import compare_digest
from typing import NoReturn

import bcrypt
from argon2 import extract_parameters

from keywright.domain.imported import HashForm
from keywright.domain.secret import Secret
from keywright.security import hashing

BCRYPT_MAX_BYTES = 72
"""What bcrypt reads of a secret; of two longer ones that begin alike it cannot tell which."""
MAX_BCRYPT_COST = 15  # two seconds or so
MAX_PBKDF2_ITERATIONS = 2_000_000

_DIGESTS = {"sha256": 32, "sha512": 64}
_TAG_BYTES = (16, 64)

_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?m=[0-9]{1,10},t=[0-9]{1,10},p=[0-9]{1,10}"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,171})\$(?P<tag>[A-Za-z0-9+/]{22,86})"
)
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_MIN_BCRYPT_COST = 4
_PBKDF2_PHC = re.compile(
    r"\$pbkdf2-(?P<digest>sha256|sha512)\$(?:i=)?(?P<iterations>[0-9]{1,10})(?:,l=[0-9]{1,3})?"
    r"\$(?P<salt>[A-Za-z0-9+/.]{0,172})\$(?P<tag>[A-Za-z0-9+/.]{22,86})"
)
_PBKDF2_DJANGO = re.compile(
    r"pbkdf2_(?P<digest>sha1|sha256)\$(?P<iterations>[0-9]{1,10})\$(?P<salt>[^$]{1,128})"
    r"\$(?P<tag>[A-Za-z0-9+/]{22,86}=?=?)"
)
_FORMS = {
    HashForm.PHC: "must be $argon2id$..., $2b$... or $pbkdf2-sha256$...",
    HashForm.DJANGO: "must be as Django stores it: pbkdf2_sha256$..., argon2$..., "
    "bcrypt_sha256$..., bcrypt$... or sha512$$...",
}


class HashFormError(ValueError):
    """A hash cannot be imported: says what would be right, and never contains the hash."""


def read_hash(form: HashForm, text: str) -> str:
    """The text to store for `text`, which another product stored.

    Raises:
        HashFormError: unknown form, wrong length, or absurd cost.
    """
    match form:
        case HashForm.SHA256_HEX | HashForm.SHA512_HEX:
            return _hex_digest(form.value.partition("_")[0].lower(), text)
        case HashForm.SHA256_BASE64 | HashForm.SHA512_BASE64:
            name = form.value.partition("_")[0].lower()
            raw = _base64(text.replace("-", "+").replace("_", "/"))
            if raw is None or len(raw) != _DIGESTS[name]:
                raise HashFormError(f"must be the {_DIGESTS[name]} bytes of a {name} in base64")
            return f"{name}${raw.hex()}"
        case HashForm.PHC:
            return _phc(text)
        case HashForm.DJANGO:
            return _django(text)


def digest_of(stored: str) -> bytes | None:
    """The digest itself, if that is what is stored; else None: verifying takes long."""
    name, _, digest = stored.partition("$")
    return bytes.fromhex(digest) if name in _DIGESTS else None


def max_secret_bytes(stored: str) -> int | None:
    """How much of a secret the hash tells apart; None is all."""
    return BCRYPT_MAX_BYTES if stored.startswith("$2") else None


def digest_matches(stored: str, secret: Secret[bytes]) -> bool:
    """Whether the stored digest is that of `secret`: in microseconds, and constant time."""
    name, _, digest = stored.partition("$")
    return compare_digest(hashlib.new(name, secret.reveal()).hexdigest(), digest)


def verify(stored: str, secret: Secret[bytes]) -> bool:
    """Whether `stored`, which is no digest, is a hash of `secret`; takes as long as it says.

    Raises:
        UnusableHashError: it is damaged.
    """
    kind, _, rest = stored.partition("$")
    try:
        match kind:
            case "pbkdf2":
                return _pbkdf2_matches(rest, secret)
            case "bcrypt_sha256":
                digested = hashlib.sha256(secret.reveal()).hexdigest().encode()
                return bcrypt.checkpw(digested, rest.encode())
            case _ if stored.startswith("$2"):
                return bcrypt.checkpw(secret.reveal(), stored.encode())
    except ValueError as error:
        raise hashing.UnusableHashError("a stored hash cannot be decoded") from error
    return hashing.verify_secret(stored, secret)


def _hex_digest(name: str, text: str) -> str:
    if not re.fullmatch(f"[0-9A-Fa-f]{{{2 * _DIGESTS[name]}}}", text):
        raise HashFormError(f"must be the {2 * _DIGESTS[name]} hexadecimal digits of a {name}")
    return f"{name}${text.lower()}"


def _phc(text: str) -> str:
    if text.startswith("$argon2"):
        return _argon2(text)
    if text.startswith("$2"):
        return _bcrypt(text)
    if match := _PBKDF2_PHC.fullmatch(text):
        # passlib writes a dot in place of the plus sign.
        salt, tag = (_base64(match[part].replace(".", "+")) for part in ("salt", "tag"))
        return _pbkdf2(match, salt, tag, HashForm.PHC)
    return _refuse(HashForm.PHC)


def _django(text: str) -> str:
    kind, _, rest = text.partition("$")
    match kind:
        case "argon2":
            return _argon2(f"${rest}")
        case "bcrypt":
            return _bcrypt(rest)
        case "bcrypt_sha256":
            return f"bcrypt_sha256${_bcrypt(rest)}"
        case "sha512" if rest.startswith("$"):
            return _hex_digest("sha512", rest.removeprefix("$"))
    if match := _PBKDF2_DJANGO.fullmatch(text):
        return _pbkdf2(match, match["salt"].encode(), _base64(match["tag"]), HashForm.DJANGO)
    return _refuse(HashForm.DJANGO)


def _argon2(text: str) -> str:
    match = _ARGON2.fullmatch(text)
    if match is None or _base64(match["salt"]) is None or _base64(match["tag"]) is None:
        raise HashFormError("must be $argon2id$v=19$m=...,t=...,p=...$<salt>$<hash> in base64")
    parameters = extract_parameters(text)
    try:
        hashing.check_affordable(parameters)
    except hashing.UnusableHashError as error:
        raise HashFormError(str(error)) from None
    if (
        parameters.memory_cost < 8 * parameters.parallelism  # RFC 9106 section 3.1
        or parameters.time_cost < 1
        or parameters.parallelism < 1
    ):
        raise HashFormError("Argon2's t and p must be at least 1, and m at least 8 times p")
    return text


def _bcrypt(text: str) -> str:
    match = _BCRYPT.fullmatch(text)
    if match is None:
        raise HashFormError("must be $2b$<cost>$ and 53 characters of salt and hash")
    if not _MIN_BCRYPT_COST <= int(match["cost"]) <= MAX_BCRYPT_COST:
        raise HashFormError(
            f"bcrypt's cost must be {_MIN_BCRYPT_COST} to {MAX_BCRYPT_COST}, not {match['cost']}"
        )
    return text


def _pbkdf2(match: re.Match[str], salt: bytes | None, tag: bytes | None, form: HashForm) -> str:
    iterations = int(match["iterations"])
    if not 1 <= iterations <= MAX_PBKDF2_ITERATIONS:
        raise HashFormError(
            f"PBKDF2's iterations must be 1 to {MAX_PBKDF2_ITERATIONS}, not {iterations}"
        )
    if salt is None or tag is None or not _TAG_BYTES[0] <= len(tag) <= _TAG_BYTES[1]:
        _refuse(form)
    encoded = (base64.b64encode(part).decode() for part in (salt, tag))
    return "$".join(("pbkdf2", match["digest"], str(iterations), *encoded))


def _pbkdf2_matches(stored: str, secret: Secret[bytes]) -> bool:
    digest, iterations, salt, tag = stored.split("$")
    expected = base64.b64decode(tag, validate=True)
    computed = hashlib.pbkdf2_hmac(
        digest,
        secret.reveal(),
        base64.b64decode(salt, validate=True),
        int(iterations),
        len(expected),
    )
    return compare_digest(computed, expected)


def _base64(text: str) -> bytes | None:
    """What `text` says, with padding or without; None if it is not the one way to say it."""
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None
    return raw if base64.b64encode(raw).decode().rstrip("=") == bare else None


def _refuse(form: HashForm) -> NoReturn:
    raise HashFormError(_FORMS[form])

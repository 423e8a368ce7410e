"""Peppers: secrets of the installation that are mixed into every hash, by version.

A copy of the database without the peppers cannot be used even to test guesses. Several versions are
held at once so that a new one can be introduced while hashes under the old one are still used.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from keywright.domain.secret import Secret

MIN_PEPPER_BYTES = 32
FINGERPRINT_BYTES = 16

_FINGERPRINT_LABEL = b"keywright pepper fingerprint v1"
_ENTRY = re.compile(r"(?P<version>[1-9][0-9]{0,8}):(?P<pepper>[0-9A-Za-z+/]+={0,2})")


class UnknownPepperError(Exception):
    """A hash was made with a pepper version that this process does not have.

    That is our own trouble and says nothing about the secret that was presented.
    """

    def __init__(self, version: int) -> None:
        super().__init__(f"pepper version {version} is not configured")
        self.version = version


class PepperMismatchError(Exception):
    """The database was written with peppers that are missing or differ here: not ready to serve.

    Attributes:
        missing: versions the database knows and this process does not have, ascending.
        differing: versions whose fingerprints differ, ascending.
    """

    def __init__(self, missing: tuple[int, ...], differing: tuple[int, ...]) -> None:
        found = []
        if missing:
            found.append(f"not configured: version {', '.join(map(str, missing))}")
        if differing:
            found.append(
                f"not the one the database was written with: version "
                f"{', '.join(map(str, differing))}"
            )
        super().__init__(f"peppers do not match the database ({'; '.join(found)})")
        self.missing = missing
        self.differing = differing


class PepperFormatError(ValueError):
    """The configured peppers cannot be used. Names every bad entry, and never prints a value."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class PepperRing:
    """Peppers by version; new hashes use `current`. Without peppers `current` is None.

    Raises:
        PepperFormatError: a version below 1, a pepper shorter than 32 bytes, or a `current` that is
            not among them.
    """

    peppers: Mapping[int, Secret[bytes]] = field(default_factory=dict)
    current: int | None = None

    def __post_init__(self) -> None:
        mistakes = _short(self.peppers)
        if any(version < 1 for version in self.peppers):
            mistakes.append("pepper versions begin at 1")
        if self.current is None and self.peppers:
            mistakes.append("there are peppers, but none is the current one")
        if self.current is not None and self.current not in self.peppers:
            mistakes.append(f"the current pepper version {self.current} is not configured")
        if mistakes:
            raise PepperFormatError(*mistakes)
        object.__setattr__(self, "peppers", MappingProxyType(dict(self.peppers)))

    @classmethod
    def parse(cls, text: str, current: int | None = None) -> Self:
        """The ring that `1:<base64>,2:<base64>` says; an empty text is the empty ring.

        `current` defaults to the highest version. Name an older one while a new pepper is being
        given to the servers one after another: a hash must not use it before all of them have it.

        Raises:
            PepperFormatError: with every mistake at once.
        """
        peppers: dict[int, Secret[bytes]] = {}
        mistakes = []
        entries = text.split(",") if text.strip() else []
        for position, entry in enumerate(entries, start=1):
            match = _ENTRY.fullmatch(entry.strip())
            pepper = _decoded(match["pepper"]) if match else None
            if match is None or pepper is None:
                # What looks like a version may be part of a value, so only the position is told.
                mistakes.append(f"pepper entry {position}: must be <version>:<base64>")
                continue
            version = int(match["version"])
            if version in peppers:
                mistakes.append(f"pepper entry {position}: version {version} is there twice")
            peppers[version] = pepper
        if mistakes:
            raise PepperFormatError(*mistakes, *_short(peppers))
        return cls(peppers, max(peppers, default=None) if current is None else current)

    def apply(self, secret: Secret[bytes], version: int | None) -> Secret[bytes]:
        """What is hashed in place of `secret`: HMAC-SHA256 under that pepper; None changes nothing.

        Raises:
            UnknownPepperError: there is no pepper of this version.
        """
        if version is None:
            return secret
        return Secret(self._hmac(version, secret.reveal()))

    def fingerprint(self, version: int) -> bytes:
        """16 bytes that tell peppers apart and may be stored: nothing of the pepper is in them.

        Raises:
            UnknownPepperError: there is no pepper of this version.
        """
        return self._hmac(version, _FINGERPRINT_LABEL)[:FINGERPRINT_BYTES]

    def check(self, stored: Mapping[int, bytes]) -> None:
        """Compare with the fingerprints in the database, by version. More peppers here are fine.

        Raises:
            PepperMismatchError: a server in this state would refuse good tokens; it must not serve.
        """
        missing = sorted(version for version in stored if version not in self.peppers)
        differing = sorted(
            version
            for version, fingerprint in stored.items()
            if version in self.peppers
            and not hmac.compare_digest(fingerprint, self.fingerprint(version))
        )
        if missing or differing:
            raise PepperMismatchError(tuple(missing), tuple(differing))

    def _hmac(self, version: int, message: bytes) -> bytes:
        pepper = self.peppers.get(version)
        if pepper is None:
            raise UnknownPepperError(version)
        return hmac.digest(pepper.reveal(), message, hashlib.sha256)


def _short(peppers: Mapping[int, Secret[bytes]]) -> list[str]:
    return [
        f"pepper version {version}: has {len(pepper.reveal())} bytes; "
        f"at least {MIN_PEPPER_BYTES} are needed"
        for version, pepper in peppers.items()
        if len(pepper.reveal()) < MIN_PEPPER_BYTES
    ]


def _decoded(text: str) -> Secret[bytes] | None:
    try:
        return Secret(base64.b64decode(text, validate=True))
    except binascii.Error:
        return None

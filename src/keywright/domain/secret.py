"""The type that every secret travels in: it does not print, and it does not leave by accident."""

import hmac
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar, final

_Value = TypeVar("_Value", bytes, str)

_REDACTED = "[redacted]"


@final
class Secret(Generic[_Value]):
    """A secret's bytes or text; only `reveal()` gives them.

    It shows as `[redacted]` in `repr`, `str`, f-strings and tracebacks that print locals. It
    refuses `pickle` and `copy` (and with them `dataclasses.asdict`); `json` and `vars` find nothing
    in it. Two secrets are compared in constant time, and it has no hash, because a look-up in a
    dict or a set is not in constant time.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # how Python spells "unhashable"

    _value: _Value

    def __init__(self, value: _Value) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> _Value:
        """The value itself: call it where the value is used, and do not keep what it returns."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if type(self._value) is not type(other._value):
            return False
        return hmac.compare_digest(_comparable(self._value), _comparable(other._value))

    def __repr__(self) -> str:
        return _REDACTED

    def __format__(self, format_spec: str) -> str:
        return _REDACTED

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied; use reveal() where it is needed")


@dataclass(frozen=True, slots=True)
class HashedSecret:
    """What is stored of a token's secret.

    Attributes:
        verifier_tag: 8 bytes; tells a wrong secret without Argon2. None for a secret that can be
            guessed, of which it would be a fast hash.
        phc: Argon2id PHC string of the secret, peppered; of an imported one that was not used yet
            the hash that came with it (`security.imported_hashes`).
        pepper_version: which pepper; None if there was none.
    """

    verifier_tag: bytes | None = field(repr=False)
    phc: str = field(repr=False)
    pepper_version: int | None


def _comparable(value: bytes | str) -> bytes:
    # compare_digest takes text only if it is ASCII.
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")

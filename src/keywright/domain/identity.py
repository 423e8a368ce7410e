"""Ids: of resources, where a client chose none, and of requests that may be repeated."""

from dataclasses import dataclass

from keywright.domain.token import Entropy

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: nothing to misread
_LENGTH = 16


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What makes a repetition known as one: the method, the caller's id, the request's digest."""

    method: str
    request_id: str
    digest: bytes


def mint_id(entropy: Entropy) -> str:
    """A new id of 16 characters (80 random bits), good for the last part of a resource's name."""
    number = int.from_bytes(entropy(_LENGTH * 5 // 8), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(0, _LENGTH * 5, 5))

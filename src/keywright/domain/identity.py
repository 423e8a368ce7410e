"""Ids that we give where a client chose none."""

from keywright.domain.token import Entropy

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: nothing to misread
_LENGTH = 16


def mint_id(entropy: Entropy) -> str:
    """A new id of 16 characters (80 random bits), good for the last part of a resource's name."""
    number = int.from_bytes(entropy(_LENGTH * 5 // 8), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(0, _LENGTH * 5, 5))

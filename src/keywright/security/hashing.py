"""Argon2id (RFC 9106): the named parameter profiles, and hash and verify in PHC string format.

These functions compute for as long as the parameters say, on the calling thread; the server calls
them through `keywright.security.hash_pool`.
"""

from argon2 import Parameters, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, Type
from argon2.low_level import hash_secret as argon2_hash
from argon2.low_level import verify_secret as argon2_verify

from keywright.domain.secret import Secret

TOKEN = Parameters(
    type=Type.ID,
    version=ARGON2_VERSION,
    salt_len=16,
    hash_len=32,
    time_cost=1,
    memory_cost=1024,  # KiB
    parallelism=1,
)
"""For secrets of 256 random bits, which no number of guesses finds: about half a millisecond.

Memory-hard hashing protects what can be guessed. For a token's secret it is a second line, for the
day the generator turns out to be weak. Salt and tag lengths: RFC 9106 section 4.
"""

PASSWORD = Parameters(
    type=Type.ID,
    version=ARGON2_VERSION,
    salt_len=16,
    hash_len=32,
    time_cost=2,
    memory_cost=19 * 1024,  # KiB
    parallelism=1,
)
"""For secrets that people chose or that are shorter: the OWASP Password Storage Cheat Sheet's
m=19 MiB, t=2, p=1; about 20 ms."""

# What a stored hash may ask for; above it a single row could take the machine's memory or a thread
# for minutes. Holds RFC 9106's second choice (64 MiB) and Django's default (100 MiB).
_MAX_MEMORY_COST = 128 * 1024  # KiB
_MAX_TIME_COST = 16
_MAX_PARALLELISM = 8


class UnusableHashError(ValueError):
    """A stored hash cannot be verified against: damaged, or asking for an absurd cost.

    It says nothing about the secret that was presented: answer as for our own trouble, not with a
    denial. The message does not contain the hash.
    """


def hash_secret(secret: Secret[bytes], parameters: Parameters, salt: bytes) -> str:
    """The PHC string of `secret`: `$argon2id$v=19$m=...,t=...,p=...$<salt>$<tag>`.

    `salt` is `parameters.salt_len` random bytes, used for this hash alone.
    """
    if len(salt) != parameters.salt_len:
        raise ValueError(f"the salt has {len(salt)} bytes instead of {parameters.salt_len}")
    return argon2_hash(
        secret.reveal(),
        salt,
        time_cost=parameters.time_cost,
        memory_cost=parameters.memory_cost,
        parallelism=parameters.parallelism,
        hash_len=parameters.hash_len,
        type=parameters.type,
        version=parameters.version,
    ).decode("ascii")


def verify_secret(phc: str, secret: Secret[bytes]) -> bool:
    """Whether `phc` is a hash of `secret`; the comparison takes constant time.

    Raises:
        UnusableHashError: `phc` is no Argon2 hash, or one that costs too much.
    """
    parameters = _affordable_parameters(phc)
    try:
        return argon2_verify(phc.encode("ascii"), secret.reveal(), parameters.type)
    except VerifyMismatchError:
        return False
    except (VerificationError, UnicodeEncodeError) as error:
        raise UnusableHashError("a stored Argon2 hash cannot be decoded") from error


def needs_rehash(phc: str, parameters: Parameters) -> bool:
    """Whether `phc` was made with anything other than `parameters`.

    Raises:
        UnusableHashError: as `verify_secret`.
    """
    return _affordable_parameters(phc) != parameters


def _affordable_parameters(phc: str) -> Parameters:
    try:
        parameters = extract_parameters(phc)
    except InvalidHashError:
        raise UnusableHashError("a stored hash is not an Argon2 hash") from None
    check_affordable(parameters)
    return parameters


def check_affordable(parameters: Parameters) -> None:
    """A hash with these parameters costs no absurd memory or time.

    Raises:
        UnusableHashError: it does.
    """
    if (
        parameters.memory_cost > _MAX_MEMORY_COST
        or parameters.time_cost > _MAX_TIME_COST
        or parameters.parallelism > _MAX_PARALLELISM
    ):
        raise UnusableHashError(
            f"a stored Argon2 hash asks for m={parameters.memory_cost} KiB, "
            f"t={parameters.time_cost}, p={parameters.parallelism}; at most "
            f"m={_MAX_MEMORY_COST}, t={_MAX_TIME_COST}, p={_MAX_PARALLELISM} is computed"
        )

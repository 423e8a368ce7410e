"""From a token's secret to what is stored, and the verdict on what is presented."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from keywright.domain.secret import HashedSecret, Secret
from keywright.domain.token import TokenFormat
from keywright.security import token_hasher
from keywright.security.entropy import system_entropy
from keywright.security.hash_pool import HashPool
from keywright.security.hashing import PASSWORD, UnusableHashError, hash_secret
from keywright.security.pepper import PepperRing, UnknownPepperError
from keywright.security.token_hasher import TokenHasher, Verdict

NO_PEPPER = PepperRing()
OLD = PepperRing({1: Secret(b"1" * 32)}, current=1)
NEW = PepperRing({1: Secret(b"1" * 32), 2: Secret(b"2" * 32)}, current=2)


@pytest.fixture
async def pool() -> AsyncIterator[HashPool]:
    pool = HashPool(threads=1, max_waiting=64)
    yield pool
    pool.close()


def hasher(pool: HashPool, peppers: PepperRing = NO_PEPPER) -> TokenHasher:
    return TokenHasher(pool, peppers, system_entropy)


def a_secret() -> Secret[bytes]:
    return TokenFormat().mint("live", system_entropy).secret


async def argon2_runs_for_wrong_secrets(pool: HashPool, number: int) -> int:
    """How often Argon2 ran for so many secrets that are all wrong and all found to be wrong."""
    stored = await hasher(pool).hash(a_secret())
    before = pool.stats().started
    for _ in range(number):
        verdict = await hasher(pool).verify(a_secret(), stored)
        assert not verdict.is_right
    return pool.stats().started - before


@pytest.mark.parametrize("peppers", [NO_PEPPER, OLD, NEW], ids=["no pepper", "one", "two"])
async def test_the_right_secret_is_right_and_every_other_is_wrong(
    pool: HashPool, peppers: PepperRing
) -> None:
    secret = a_secret()
    stored = await hasher(pool, peppers).hash(secret)
    one_bit_off = Secret(secret.reveal()[:-1] + bytes([secret.reveal()[-1] ^ 1]))

    assert stored.pepper_version == peppers.current
    assert await hasher(pool, peppers).verify(secret, stored) is Verdict.RIGHT
    assert await hasher(pool, peppers).verify(one_bit_off, stored) is Verdict.WRONG
    assert await hasher(pool, peppers).verify(a_secret(), stored) is Verdict.WRONG


async def test_forged_tokens_get_no_argon2_time(pool: HashPool) -> None:
    assert await argon2_runs_for_wrong_secrets(pool, 1000) == 0


async def test_without_the_tag_forged_tokens_would_get_argon2_time(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_hasher, "compare_digest", lambda _presented, _stored: True)

    assert await argon2_runs_for_wrong_secrets(pool, 20) == 20


async def test_the_tag_alone_lets_nobody_in(pool: HashPool) -> None:
    secret, forged = a_secret(), a_secret()
    stored = await hasher(pool).hash(secret)
    forged_stored = await hasher(pool).hash(forged)
    with_forged_tag = dataclasses.replace(stored, verifier_tag=forged_stored.verifier_tag)

    verdict = await hasher(pool).verify(forged, with_forged_tag)

    assert verdict is Verdict.WRONG_DESPITE_TAG
    assert not verdict.is_right


async def test_two_hashes_of_one_secret_differ(pool: HashPool) -> None:
    secret = a_secret()

    first, second = await hasher(pool).hash(secret), await hasher(pool).hash(secret)

    assert first.phc != second.phc
    assert first.verifier_tag == second.verifier_tag


async def test_a_hash_under_old_parameters_is_right_and_renewed(pool: HashPool) -> None:
    secret = a_secret()
    stored = dataclasses.replace(
        await hasher(pool).hash(secret), phc=hash_secret(secret, PASSWORD, b"0123456789abcdef")
    )

    assert await hasher(pool).verify(secret, stored) is Verdict.RIGHT_NEEDS_REHASH
    renewed = await hasher(pool).hash(secret)
    assert await hasher(pool).verify(secret, renewed) is Verdict.RIGHT


@pytest.mark.parametrize("then", [NO_PEPPER, OLD], ids=["no pepper", "old pepper"])
async def test_pepper_rotation_loses_no_one_and_renews_every_hash(
    pool: HashPool, then: PepperRing
) -> None:
    secret = a_secret()
    stored = await hasher(pool, then).hash(secret)

    assert await hasher(pool, NEW).verify(secret, stored) is Verdict.RIGHT_NEEDS_REHASH
    renewed = await hasher(pool, NEW).hash(secret)
    assert renewed.pepper_version == 2
    assert await hasher(pool, NEW).verify(secret, renewed) is Verdict.RIGHT


async def test_a_missing_pepper_is_our_own_trouble_and_not_a_wrong_secret(pool: HashPool) -> None:
    secret = a_secret()
    stored = await hasher(pool, NEW).hash(secret)

    with pytest.raises(UnknownPepperError):
        await hasher(pool, OLD).verify(secret, stored)
    assert await hasher(pool, OLD).verify(a_secret(), stored) is Verdict.WRONG


async def test_a_different_pepper_of_the_same_version_does_not_verify(pool: HashPool) -> None:
    secret = a_secret()
    stored = await hasher(pool, OLD).hash(secret)
    other = PepperRing({1: Secret(b"x" * 32)}, current=1)

    assert await hasher(pool, other).verify(secret, stored) is Verdict.WRONG_DESPITE_TAG


async def test_a_damaged_row_is_our_own_trouble_and_not_a_wrong_secret(pool: HashPool) -> None:
    secret = a_secret()
    stored = dataclasses.replace(await hasher(pool).hash(secret), phc="damaged")

    with pytest.raises(UnusableHashError):
        await hasher(pool).verify(secret, stored)


def test_what_is_stored_does_not_show_when_printed() -> None:
    assert repr(HashedSecret(b"8 bytes!", "$argon2id$...", 1)) == "HashedSecret(pepper_version=1)"

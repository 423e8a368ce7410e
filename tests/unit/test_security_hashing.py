"""Argon2id profiles, and the pool that computes them."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from argon2 import Parameters
from argon2.low_level import Type

from keywright.domain.secret import Secret
from keywright.security import hash_pool
from keywright.security.entropy import system_entropy
from keywright.security.hash_pool import HashPool, HashPoolFullError, HashPoolStats
from keywright.security.hashing import (
    PASSWORD,
    TOKEN,
    UnusableHashError,
    hash_secret,
    needs_rehash,
    verify_secret,
)

SECRET = Secret(b"s" * 32)
SALT = b"0123456789abcdef"
SALT_TEXT = "MDEyMzQ1Njc4OWFiY2RlZg"
PHC = hash_secret(SECRET, TOKEN, SALT)


@pytest.fixture
async def pool() -> AsyncIterator[HashPool]:
    """One thread and two places to wait."""
    pool = HashPool(threads=1, max_waiting=2)
    yield pool
    pool.close()


@contextmanager
def stuck_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, a verify that has begun does not end."""
    released = threading.Event()

    def stuck_verify(phc: str, secret: Secret[bytes]) -> bool:
        released.wait(60)
        return verify_secret(phc, secret)

    with monkeypatch.context() as patched:
        patched.setattr(hash_pool, "verify_secret", stuck_verify)
        try:
            yield
        finally:
            released.set()


async def until(pool: HashPool, expected: HashPoolStats) -> None:
    async with asyncio.timeout(30):
        while pool.stats() != expected:  # noqa: ASYNC110 - the threads signal nothing to the loop
            await asyncio.sleep(0.001)


# Profiles


@pytest.mark.parametrize("parameters", [TOKEN, PASSWORD], ids=["token", "password"])
def test_a_hash_verifies_its_secret_and_no_other(parameters: Parameters) -> None:
    phc = hash_secret(SECRET, parameters, SALT)

    assert verify_secret(phc, SECRET)
    assert not verify_secret(phc, Secret(b"s" * 31 + b"t"))
    assert not verify_secret(phc, Secret(b""))


def test_the_profiles_are_the_ones_that_are_promised() -> None:
    assert PHC.startswith(f"$argon2id$v=19$m=1024,t=1,p=1${SALT_TEXT}$")
    assert hash_secret(SECRET, PASSWORD, SALT).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for parameters in (TOKEN, PASSWORD):
        assert (parameters.type, parameters.salt_len, parameters.hash_len) == (Type.ID, 16, 32)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes instead of 16"):
        hash_secret(SECRET, TOKEN, SALT[:15])


def test_a_hash_under_other_parameters_needs_a_rehash() -> None:
    assert not needs_rehash(PHC, TOKEN)
    assert needs_rehash(PHC, PASSWORD)


@pytest.mark.parametrize(
    "phc",
    [
        "",
        "$",
        "plain text",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        f"$argon2id$v=19$m=4194304,t=1,p=1${SALT_TEXT}$c29tZSB0YWc",
        f"$argon2id$v=19$m=1024,t=4294967295,p=1${SALT_TEXT}$c29tZSB0YWc",
        f"$argon2id$v=19$m=1024,t=1,p=64${SALT_TEXT}$c29tZSB0YWc",
        f"$argon2id$v=19$m=0,t=0,p=0${SALT_TEXT}$c29tZSB0YWc",
        f"$argon2id$v=19$m=-1,t=1,p=1${SALT_TEXT}$c29tZSB0YWc",
        f"$argon2id$v=19$m=1024,t=1,p=1${SALT_TEXT}$",
        f"$argon2id$v=19$m=1024,t=1,p=1${SALT_TEXT}$not+base64!",
        f"$argon2id$v=19$m=1024,t=1,p=1${SALT_TEXT}$ééé",
        PHC[:-1],
    ],
)
def test_a_damaged_or_absurd_hash_is_neither_right_nor_wrong_nor_computed(phc: str) -> None:
    with pytest.raises(UnusableHashError) as caught:
        verify_secret(phc, SECRET)
    assert SALT_TEXT not in str(caught.value)


# The pool


async def test_the_pool_gives_the_same_answers(pool: HashPool) -> None:
    phc = await pool.hash(SECRET, TOKEN, SALT)

    assert phc == PHC
    assert await pool.verify(phc, SECRET)
    assert not await pool.verify(phc, Secret(b"another"))
    with pytest.raises(UnusableHashError):
        await pool.verify("damaged", SECRET)
    assert pool.stats() == HashPoolStats(in_flight=0, waiting=0, started=4, rejected=0)


async def test_the_event_loop_goes_on_while_argon2_computes(pool: HashPool) -> None:
    hashing = asyncio.create_task(pool.hash(SECRET, PASSWORD, SALT))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    # Held by the GIL, the loop would turn a few times in those 20 ms; free, thousands of times.
    assert turns > 50


async def test_a_full_pool_refuses_at_once_and_serves_everyone_it_admitted(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stuck_threads(monkeypatch):
        admitted = [asyncio.create_task(pool.verify(PHC, SECRET)) for _ in range(3)]
        await until(pool, HashPoolStats(in_flight=1, waiting=2, started=1, rejected=0))

        for _ in range(5):
            with pytest.raises(HashPoolFullError):
                await asyncio.wait_for(pool.verify(PHC, SECRET), timeout=10)

        assert pool.stats() == HashPoolStats(in_flight=1, waiting=2, started=1, rejected=5)
    assert await asyncio.gather(*admitted) == [True, True, True]
    assert await pool.verify(PHC, SECRET), "there is room again"


async def test_cancelled_callers_leak_no_slot_and_cost_no_argon2_time(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stuck_threads(monkeypatch):
        callers = [asyncio.create_task(pool.verify(PHC, SECRET)) for _ in range(3)]
        await until(pool, HashPoolStats(in_flight=1, waiting=2, started=1, rejected=0))
        for caller in callers:
            caller.cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

        # What the threads have not reached yet still counts: the queue is really that long.
        with pytest.raises(HashPoolFullError):
            await pool.verify(PHC, SECRET)

    await until(pool, HashPoolStats(in_flight=0, waiting=0, started=1, rejected=1))
    assert await asyncio.gather(*(pool.verify(PHC, SECRET) for _ in range(3))) == [True] * 3


async def test_an_error_that_nobody_waits_for_any_more_is_not_complained_about(
    pool: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    try:
        with stuck_threads(monkeypatch):
            caller = asyncio.create_task(pool.verify("damaged", SECRET))
            await until(pool, HashPoolStats(in_flight=1, waiting=0, started=1, rejected=0))
            caller.cancel()
            await asyncio.wait([caller])
        await until(pool, HashPoolStats(in_flight=0, waiting=0, started=1, rejected=0))
        assert await pool.verify(PHC, SECRET)  # whatever the loop was told before is done by now
        del caller
        gc.collect()  # asyncio complains when the last reference goes
    finally:
        loop.set_exception_handler(before)

    assert not complaints


async def test_a_closed_pool_refuses_and_keeps_its_counters() -> None:
    pool = HashPool(threads=1, max_waiting=1)
    pool.close()

    with pytest.raises(RuntimeError):
        await pool.verify(PHC, SECRET)
    assert pool.stats() == HashPoolStats(in_flight=0, waiting=0, started=0, rejected=0)


@pytest.mark.parametrize(("threads", "max_waiting"), [(0, 1), (-1, 1), (1, 0)])
def test_a_pool_without_threads_or_places_is_refused(threads: int, max_waiting: int) -> None:
    with pytest.raises(ValueError, match="at least 1 thread"):
        HashPool(threads=threads, max_waiting=max_waiting)


def test_system_entropy_gives_what_was_asked_for_and_never_twice() -> None:
    drawn = {system_entropy(32) for _ in range(100)}

    assert len(drawn) == 100
    assert {len(each) for each in drawn} == {32}

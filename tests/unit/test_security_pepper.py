"""The pepper ring."""

import base64
import hashlib
import hmac

import pytest

from keywright.domain.secret import Secret
from keywright.security.pepper import (
    PepperFormatError,
    PepperMismatchError,
    PepperRing,
    UnknownPepperError,
)

ONE, TWO, THREE = (bytes([i]) * 32 for i in (1, 2, 3))
SECRET = Secret(b"s" * 32)


def configured(**peppers: bytes) -> str:
    return ",".join(
        f"{version.removeprefix('v')}:{base64.b64encode(pepper).decode()}"
        for version, pepper in peppers.items()
    )


def test_a_pepper_is_hmac_sha256_under_its_version() -> None:
    ring = PepperRing.parse(configured(v1=ONE, v2=TWO))

    for version, pepper in ((1, ONE), (2, TWO)):
        expected = hmac.new(pepper, b"s" * 32, hashlib.sha256).digest()
        assert ring.apply(SECRET, version) == Secret(expected)


def test_the_highest_version_is_current_unless_another_is_named() -> None:
    text = configured(v2=TWO, v10=THREE, v1=ONE)

    assert PepperRing.parse(text).current == 10
    assert PepperRing.parse(text, current=2).current == 2


@pytest.mark.parametrize("text", ["", "  \n"])
def test_without_peppers_the_secret_is_hashed_as_it_is(text: str) -> None:
    ring = PepperRing.parse(text)

    assert ring.current is None
    assert ring.apply(SECRET, ring.current) == SECRET
    ring.check({})


def test_a_hash_without_pepper_stays_usable_after_peppers_were_introduced() -> None:
    assert PepperRing.parse(configured(v1=ONE)).apply(SECRET, None) == SECRET


def test_an_unknown_version_is_an_error_of_its_own_and_not_a_wrong_secret() -> None:
    ring = PepperRing.parse(configured(v1=ONE))

    with pytest.raises(UnknownPepperError) as caught:
        ring.apply(SECRET, 7)
    assert caught.value.version == 7
    with pytest.raises(UnknownPepperError):
        ring.fingerprint(7)


def test_white_space_around_entries_is_allowed_as_in_a_mounted_file() -> None:
    ring = PepperRing.parse(f" {configured(v1=ONE)} , {configured(v2=TWO)}\n")

    assert set(ring.peppers) == {1, 2}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("c2VjcmV0IHZhbHVlIHRoYXQgbXVzdCBub3QgYmUgc2hvd24", "entry 1: must be"),
        (configured(v1=ONE) + ",", "entry 2: must be"),
        (configured(v0=ONE), "entry 1: must be"),
        (configured(v01=ONE), "entry 1: must be"),
        ("-1:" + "A" * 43 + "=", "entry 1: must be"),
        ("9999999999:" + "A" * 43 + "=", "entry 1: must be"),
        ("\u0661:" + "A" * 43 + "=", "entry 1: must be"),
        ("1:", "entry 1: must be"),
        ("1:" + "A" * 45, "entry 1: must be"),
        ("1:!" + "A" * 43, "entry 1: must be"),
        (configured(v1=ONE) + "," + configured(v1=TWO), "entry 2: version 1 is there twice"),
        (configured(v1=ONE[:31]), "version 1: has 31 bytes; at least 32 are needed"),
    ],
)
def test_a_mistake_in_the_configuration_is_named_without_showing_a_value(
    text: str, complaint: str
) -> None:
    with pytest.raises(PepperFormatError, match=complaint) as caught:
        PepperRing.parse(text)

    shown = f"{caught.value} {caught.value!r}"
    assert caught.value.__context__ is None
    for value in text.replace(",", ":").split(":"):
        assert len(value) < 20 or value not in shown


def test_every_mistake_in_the_configuration_is_named_at_once() -> None:
    with pytest.raises(PepperFormatError) as caught:
        PepperRing.parse(f"{configured(v1=ONE[:3])},nonsense,{configured(v2=TWO, v3=b'')}")

    assert len(caught.value.mistakes) == 3


@pytest.mark.parametrize(
    ("peppers", "current", "complaint"),
    [
        ({0: Secret(ONE)}, 0, "begin at 1"),
        ({1: Secret(b"short")}, 1, "5 bytes"),
        ({1: Secret(ONE)}, 2, "current pepper version 2 is not configured"),
        ({1: Secret(ONE)}, None, "none is the current one"),
        ({}, 1, "current pepper version 1 is not configured"),
    ],
)
def test_a_ring_that_could_not_work_is_not_made(
    peppers: dict[int, Secret[bytes]], current: int | None, complaint: str
) -> None:
    with pytest.raises(PepperFormatError, match=complaint):
        PepperRing(peppers, current)


def test_a_ring_shows_no_pepper_and_does_not_change() -> None:
    peppers = {1: Secret(ONE)}
    ring = PepperRing(peppers, 1)
    peppers[2] = Secret(TWO)

    assert repr(ONE) not in repr(ring)
    assert "[redacted]" in repr(ring)
    assert set(ring.peppers) == {1}


def test_fingerprints_tell_peppers_apart_and_hide_them() -> None:
    ring = PepperRing.parse(configured(v1=ONE, v2=TWO))
    same = PepperRing.parse(configured(v5=ONE))

    assert len(ring.fingerprint(1)) == 16
    assert ring.fingerprint(1) != ring.fingerprint(2)
    assert ring.fingerprint(1) == same.fingerprint(5)
    assert ring.fingerprint(1) not in ONE + hashlib.sha256(ONE).digest()


def test_a_database_written_with_other_peppers_is_noticed_before_any_token_is_refused() -> None:
    stored = {v: PepperRing({v: Secret(p)}, v).fingerprint(v) for v, p in ((1, ONE), (2, TWO))}
    stored[3] = PepperRing({3: Secret(THREE)}, 3).fingerprint(3)
    ring = PepperRing.parse(configured(v1=ONE, v2=THREE, v4=TWO))

    with pytest.raises(PepperMismatchError) as caught:
        ring.check(stored)

    assert caught.value.missing == (3,)
    assert caught.value.differing == (2,)
    assert "version 3" in str(caught.value)
    assert "version 2" in str(caught.value)


def test_a_ring_with_more_peppers_than_the_database_knows_is_ready() -> None:
    ring = PepperRing.parse(configured(v1=ONE, v2=TWO))

    ring.check({})
    ring.check({1: ring.fingerprint(1)})

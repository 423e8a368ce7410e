"""Hashes of other products: which are read, as what, and what is refused with which words."""

import hashlib

import argon2
import bcrypt
import pytest

from keywright.domain.imported import HashForm
from keywright.domain.secret import Secret
from keywright.security.hashing import UnusableHashError
from keywright.security.imported_hashes import (
    HashFormError,
    digest_matches,
    digest_of,
    max_secret_bytes,
    read_hash,
    verify,
)
from tests.support.imported import FORMS, TOKEN, Stored

RIGHT, WRONG = Secret(TOKEN.encode()), Secret(TOKEN.encode() + b"x")


@pytest.mark.parametrize("stored", FORMS.values(), ids=FORMS)
def test_what_products_store_is_read_and_proves_their_token_and_no_other(stored: Stored) -> None:
    text = read_hash(HashForm(stored.form), stored.text)
    check = verify if stored.slow else digest_matches

    assert (digest_of(text) is None) is stored.slow
    assert check(text, RIGHT)
    assert not check(text, WRONG)


def test_the_libraries_of_today_are_understood() -> None:
    for kind in argon2.Type:
        hashed = argon2.PasswordHasher(memory_cost=1024, type=kind).hash(TOKEN)
        assert verify(read_hash(HashForm.PHC, hashed), RIGHT)
    hashed = bcrypt.hashpw(TOKEN.encode(), bcrypt.gensalt(4)).decode()
    assert verify(read_hash(HashForm.PHC, hashed), RIGHT)


def test_the_same_hash_is_stored_as_the_same_text_however_it_was_written() -> None:
    stored = {read_hash(HashForm(each.form), each.text) for each in FORMS.values()}
    # Of 18: two digests, two of their PBKDF2s, Argon2 and bcrypt are there more than once.
    assert len(stored) == 10


def test_of_long_secrets_bcrypt_alone_says_that_it_cannot_tell_them_apart() -> None:
    for name, stored in FORMS.items():
        most = max_secret_bytes(read_hash(HashForm(stored.form), stored.text))
        assert most == (72 if "bcrypt" in name and "SHA-256" not in name else None), name


HEX = hashlib.sha256(b"x").hexdigest()
ARGON2 = "$argon2id$v=19$m={m},t={t},p={p}$WVltS1FjOHoxWFpSajZtNFltVFFmNw$" + "A" * 43
BCRYPT = FORMS["bcrypt"].text
PBKDF2 = FORMS["Django's PBKDF2"].text
REFUSED = {
    "a digest that is too short": ("SHA256_HEX", HEX[:-1], "64 hexadecimal digits of a sha256"),
    "a digest of another length": ("SHA512_HEX", HEX, "128 hexadecimal digits of a sha512"),
    "a digest in hex where base64 is said": ("SHA256_BASE64", HEX, "32 bytes of a sha256"),
    "base64 with a character of another alphabet": ("SHA256_BASE64", "!" * 43, "in base64"),
    "base64 with bits left over": ("SHA256_BASE64", "A" * 42 + "B", "in base64"),
    "an empty hash": ("PHC", "", r"must be \$argon2id"),
    "MD5": ("PHC", "$1$salt$qJH7.N4xYta3aEG/dfqo/0", r"must be \$argon2id"),
    "scrypt": ("PHC", "$scrypt$ln=16,r=8,p=1$aaa$bbb", r"must be \$argon2id"),
    "a digest with a salt": ("DJANGO", f"sha512$salt${'0' * 128}", "must be as Django stores it"),
    "an unusable password of Django": ("DJANGO", "!abc", "must be as Django stores it"),
    "Django's MD5": ("DJANGO", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", "as Django stores it"),
    "Argon2 of 4 GiB": ("PHC", ARGON2.format(m=4 * 2**20, t=1, p=1), "at most m=131072"),
    "Argon2 of 4 GiB in Django": ("DJANGO", "argon2" + ARGON2.format(m=2**22, t=1, p=1), "at most"),
    "Argon2 of hours": ("PHC", ARGON2.format(m=1024, t=10**9, p=1), "at most"),
    "Argon2 of many threads": ("PHC", ARGON2.format(m=10**5, t=1, p=10**4), "at most"),
    "Argon2 of no memory": ("PHC", ARGON2.format(m=0, t=1, p=1), "at least"),
    "Argon2 of no time": ("PHC", ARGON2.format(m=1024, t=0, p=1), "at least"),
    "Argon2 of another version": ("PHC", ARGON2.format(m=9, t=1, p=1).replace("19", "1"), "must"),
    "Argon2 without a hash": ("PHC", "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ", "must be"),
    "bcrypt of cost 31": ("PHC", BCRYPT.replace("$04$", "$31$"), "4 to 15, not 31"),
    "bcrypt of cost 31 in Django": ("DJANGO", f"bcrypt${BCRYPT.replace('04', '31')}", "not 31"),
    "bcrypt of cost 3": ("PHC", BCRYPT.replace("$04$", "$03$"), "4 to 15"),
    "bcrypt cut short": ("PHC", BCRYPT[:-1], "53 characters"),
    "bcrypt with an impossible salt": ("PHC", BCRYPT[:28] + "x" + BCRYPT[29:], "53 characters"),
    "PBKDF2 of an hour": ("DJANGO", PBKDF2.replace("1000", "1000000000"), "1 to 2000000"),
    "PBKDF2 of none": ("DJANGO", PBKDF2.replace("1000", "0"), "1 to 2000000"),
    "PBKDF2 without a hash": ("DJANGO", "pbkdf2_sha256$1000$salt$", "as Django stores it"),
    "a form of Django where PHC is said": ("PHC", PBKDF2, r"must be \$argon2id"),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_verified_or_costs_too_much_is_refused_saying_what_would_be_right(
    refused: tuple[str, str, str],
) -> None:
    form, text, words = refused
    with pytest.raises(HashFormError, match=words) as told:
        read_hash(HashForm(form), text)
    if len(text) > 20:
        assert text[-20:] not in str(told.value)


def test_a_damaged_hash_says_nothing_about_the_secret() -> None:
    for damaged in ("pbkdf2$sha256$x$c2FsdA==$AAAA", "$2b$04$short", "$argon2id$broken"):
        with pytest.raises(UnusableHashError):
            verify(damaged, RIGHT)

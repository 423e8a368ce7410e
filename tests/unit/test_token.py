"""The token grammar, and the published description of it, against each other."""

import copy
import dataclasses
import hashlib
import itertools
import json
import pickle
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keywright.domain.secret import Secret
from keywright.domain.token import (
    MAX_LENGTH,
    TokenDefect,
    TokenFormat,
    TokenMalformedError,
    redact,
    verifier_tag,
)
from keywright.security.entropy import system_entropy

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs" / "token-format"
VECTORS: dict[str, list[dict[str, str]]] = {
    kind: entries
    for kind, entries in json.loads((DOCS / "vectors.json").read_text("utf-8")).items()
    if isinstance(entries, list)
}
README = (DOCS / "README.md").read_text("utf-8")
EXAMPLE = VECTORS["valid"][0]["token"]


def comment(vector: dict[str, str]) -> str:
    return vector.get("reason", "valid") + ": " + vector["comment"]


def defect(text: str, token_format: TokenFormat | None = None) -> TokenDefect:
    with pytest.raises(TokenMalformedError) as caught:
        (token_format or TokenFormat()).parse(text)
    return caught.value.defect


# What is published


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=comment)
def test_a_published_valid_token_says_what_the_file_says(vector: dict[str, str]) -> None:
    token_format = TokenFormat(vector["brand"])

    token = token_format.parse(vector["token"])

    assert token.environment == vector["environment"]
    assert token.prefix == vector["prefix"]
    assert token.secret == Secret(bytes.fromhex(vector["secret_hex"]))
    assert vector["token"].endswith(vector["checksum"])
    assert verifier_tag(token.secret).hex() == vector["verifier_tag_hex"]
    assert token_format.render(token) == Secret(vector["token"])
    assert re.fullmatch(token_format.pattern, vector["token"])


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=comment)
def test_a_published_invalid_token_is_refused_for_the_published_reason(
    vector: dict[str, str],
) -> None:
    assert defect(vector["text"], TokenFormat(vector["brand"])) == vector["reason"]


def test_every_way_of_being_malformed_has_a_vector_and_a_line_in_the_document() -> None:
    assert {vector["reason"] for vector in VECTORS["invalid"]} == set(TokenDefect)
    assert all(f"| `{each}` |" in README for each in TokenDefect)


def test_the_longest_token_and_one_character_more_are_among_the_vectors() -> None:
    assert max(len(vector["token"]) for vector in VECTORS["valid"]) == MAX_LENGTH
    assert MAX_LENGTH + 1 in {len(vector["text"]) for vector in VECTORS["invalid"]}


def test_published_tokens_cannot_be_taken_for_issued_ones() -> None:
    chosen = {0, 1, 61, 62, 2**255, 2**256 - 1}
    derived = {
        int.from_bytes(hashlib.sha256(f"keywright test vector {i}".encode()).digest(), "big")
        for i in range(1000)
    }
    for vector in VECTORS["valid"]:
        assert vector["prefix"].startswith("EXAMPLE")
        assert int(vector["secret_hex"], 16) in chosen | derived


def test_scanners_are_given_the_pattern_of_the_code() -> None:
    pattern = TokenFormat().pattern
    (rule,) = tomllib.loads((DOCS / "gitleaks.toml").read_text("utf-8"))["rules"]
    github = (DOCS / "github-secret-scanning.md").read_text("utf-8")

    assert rule["regex"] == pattern
    assert f"    {pattern}\n" in README
    assert f"secret  {pattern.removeprefix(chr(92) + 'b').removesuffix(chr(92) + 'b')}\n" in github
    assert EXAMPLE in README
    assert EXAMPLE in github


def test_the_scanner_rule_finds_tokens_but_lets_the_published_ones_be() -> None:
    (rule,) = tomllib.loads((DOCS / "gitleaks.toml").read_text("utf-8"))["rules"]
    (allowed,) = rule["allowlists"][0]["regexes"]
    issued = TokenFormat().render(TokenFormat().mint("live", system_entropy)).reveal()

    assert re.search(rule["regex"], f'KEY="{issued}"')
    assert not re.search(allowed, issued)
    assert all(re.search(allowed, vector["token"]) for vector in VECTORS["valid"])


def test_the_documented_python_agrees_with_the_vectors() -> None:
    snippet = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert snippet
    namespace: dict[str, Any] = {}
    exec(snippet[1], namespace)  # our own documentation
    is_token: Callable[[str], bool] = namespace["is_token"]

    assert all(is_token(v["token"]) for v in VECTORS["valid"] if v["brand"] == "kw")
    assert not any(is_token(v["text"]) for v in VECTORS["invalid"] if v["brand"] == "kw")


# Reading and writing


def test_a_malformed_token_is_not_repeated_by_its_error() -> None:
    with pytest.raises(TokenMalformedError) as caught:
        TokenFormat().parse(EXAMPLE + "\n")

    assert caught.value.defect is TokenDefect.ILLEGAL_CHARACTER
    assert EXAMPLE[9:] not in f"{caught.value!r} {caught.value}"
    assert caught.value.__context__ is None


def test_a_huge_text_is_refused_before_it_is_looked_at() -> None:
    class Unreadable(str):
        __slots__ = ()

        def isascii(self) -> bool:
            raise AssertionError("the text was looked at")

        partition = encode = isascii  # type: ignore[assignment]

    assert defect(Unreadable("a" * 2**20)) is TokenDefect.TOO_LONG


@pytest.mark.parametrize("brand", ["", "Kw", "1kw", "k-w", "kw_", "kw\n", "k" * 17, "ƙw"])
def test_a_brand_that_would_break_the_grammar_is_refused(brand: str) -> None:
    with pytest.raises(ValueError, match="brand"):
        TokenFormat(brand)


@pytest.mark.parametrize("environment", ["", "Live", "1st", "a_b", "live\n", "e" * 17])
def test_a_token_is_not_minted_for_an_impossible_environment(environment: str) -> None:
    with pytest.raises(ValueError, match="environment"):
        TokenFormat().mint(environment, system_entropy)


def test_minted_tokens_are_all_different_and_parse() -> None:
    token_format = TokenFormat()
    tokens = [token_format.mint("live", system_entropy) for _ in range(200)]

    assert len({token.prefix for token in tokens}) == 200
    assert len({token.secret.reveal() for token in tokens}) == 200
    for token in tokens:
        assert token_format.parse(token_format.render(token).reveal()) == token


def test_a_prefix_is_drawn_again_rather_than_folded_onto_the_low_ones() -> None:
    above = (62**12).to_bytes(9, "big")
    highest = (62**12 - 1).to_bytes(9, "big")
    draws = iter([b"\xff" * 9, above, highest, b"s" * 32])

    token = TokenFormat().mint("live", lambda _size: next(draws))

    assert token.prefix == "z" * 12
    assert token.secret == Secret(b"s" * 32)


def test_every_single_wrong_character_of_a_token_is_found() -> None:
    token_format = TokenFormat()
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_- \n\0é"
    for position, wrong in itertools.product(range(len(EXAMPLE)), alphabet):
        damaged = EXAMPLE[:position] + wrong + EXAMPLE[position + 1 :]
        if damaged != EXAMPLE:
            defect(damaged, token_format)


def test_every_exchange_of_neighbours_is_found() -> None:
    for i in range(len(EXAMPLE) - 1):
        exchanged = EXAMPLE[:i] + EXAMPLE[i + 1] + EXAMPLE[i] + EXAMPLE[i + 2 :]
        if exchanged != EXAMPLE:
            defect(exchanged)


def test_without_the_checksum_typing_errors_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = EXAMPLE[:30] + ("a" if EXAMPLE[30] != "a" else "b") + EXAMPLE[31:]
    assert defect(damaged) is TokenDefect.WRONG_CHECKSUM

    monkeypatch.setattr("keywright.domain.token._checksum", lambda _checked: damaged[-6:])
    TokenFormat().parse(damaged)


# Not showing


def test_redaction_leaves_what_names_the_key_and_nothing_of_the_secret() -> None:
    other = VECTORS["valid"][10]["token"]
    text = f'Authorization: Bearer {EXAMPLE}\n{{"key":"{other}"}} x{EXAMPLE}y'

    assert redact(text) == (
        'Authorization: Bearer kw_live_EXAMPLE00001...\n{"key":"acme_live_EXAMPLE00011..."} '
        "xkw_live_EXAMPLE00001..."
    )


@pytest.mark.parametrize("kept", range(len(EXAMPLE)))
def test_a_token_that_is_cut_short_is_redacted(kept: int) -> None:
    shown = redact(EXAMPLE[:kept])

    assert shown.startswith(EXAMPLE[: min(kept, 20)])
    assert len(shown) < 20 + 8


@pytest.mark.parametrize(
    "harmless",
    [
        "",
        "no token here",
        "kw_live_EXAMPLE00001...",
        "public.key_secrets_prefix_unique",
        "keys_owner_distinguishable",
        "request_id=0f8fad5b-d9cb-469f-a165-70867728950e",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_text_without_tokens_is_left_as_it_is(harmless: str) -> None:
    assert redact(harmless) == harmless


def test_a_token_shows_no_secret_when_printed() -> None:
    token = TokenFormat().parse(EXAMPLE)

    for shown in (repr(token), str(token), f"{token}", repr([token])):
        assert "EXAMPLE00001" in shown
        assert "[redacted]" in shown
        assert token.secret.reveal().hex() not in shown
        assert repr(token.secret.reveal()) not in shown


@pytest.mark.parametrize("secret", [Secret(b"hidden"), Secret("hidden")])
def test_a_secret_does_not_leave_by_accident(secret: Secret[Any]) -> None:
    leaks: list[Callable[[], object]] = [
        lambda: pickle.dumps(secret),
        lambda: copy.copy(secret),
        lambda: copy.deepcopy(secret),
        lambda: json.dumps(secret),
        lambda: vars(secret),
        lambda: dataclasses.asdict(TokenFormat().parse(EXAMPLE)),
        lambda: hash(secret),
        lambda: list(secret),  # type: ignore[call-overload]
    ]

    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{secret!r}"):
        assert shown == "[redacted]"
    assert json.dumps(secret, default=str) == '"[redacted]"'
    for leak in leaks:
        with pytest.raises(TypeError):
            leak()
    assert secret.reveal() in (b"hidden", "hidden")


def test_a_secret_cannot_be_changed() -> None:
    secret = Secret("kept")

    with pytest.raises(AttributeError):
        secret._value = "changed"
    with pytest.raises(AttributeError):
        del secret._value
    assert secret.reveal() == "kept"


def test_secrets_are_equal_by_type_and_value() -> None:
    assert Secret("ä") == Secret("ä")
    assert Secret(b"a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("\ud800") != Secret("a")
    assert Secret("a") != Secret(b"a")
    assert Secret("a") != "a"


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keywright.domain.secret.hmac.compare_digest", lambda _a, _b: True)

    assert Secret(b"one") == Secret(b"two"), "the comparison did not go through compare_digest"

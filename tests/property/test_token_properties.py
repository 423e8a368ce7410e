"""Properties of the token grammar that hold for every token and every text."""

import hashlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keywright.domain.secret import Secret
from keywright.domain.token import Token, TokenFormat, TokenMalformedError, redact

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

words = st.from_regex(r"[a-z][a-z0-9]{0,15}", fullmatch=True)
formats = st.builds(TokenFormat, words)
tokens = st.builds(
    Token,
    environment=words,
    prefix=st.text(BASE62, min_size=12, max_size=12),
    secret=st.builds(Secret, st.binary(min_size=32, max_size=32)),
)


def assert_refused(token_format: TokenFormat, text: str) -> None:
    with pytest.raises(TokenMalformedError):
        token_format.parse(text)


@given(formats, tokens)
def test_what_is_rendered_parses_to_the_same_token(token_format: TokenFormat, token: Token) -> None:
    text = token_format.render(token).reveal()

    assert token_format.parse(text) == token
    assert re.fullmatch(token_format.pattern, text)


# CRC-32 has a generator polynomial of degree 32 with a constant term, so it divides no polynomial
# of lower degree: an error confined to 32 consecutive bits always changes the checksum. One ASCII
# character is 8 bits. A change in the checksum itself differs from the one correct rendering.
@given(formats, tokens, st.data())
def test_any_single_changed_character_is_refused(
    token_format: TokenFormat, token: Token, data: st.DataObject
) -> None:
    text = token_format.render(token).reveal()
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.one_of(st.sampled_from(BASE62), st.characters()))
    damaged = text[:position] + other + text[position + 1 :]

    if damaged != text:
        assert_refused(token_format, damaged)


@given(formats, tokens, st.data())
def test_any_truncation_is_refused(
    token_format: TokenFormat, token: Token, data: st.DataObject
) -> None:
    text = token_format.render(token).reveal()
    length = data.draw(st.integers(0, len(text) - 1))

    assert_refused(token_format, text[:length])
    assert_refused(token_format, text[len(text) - length :])


@given(formats, tokens, st.one_of(st.text(BASE62, min_size=1), st.text(min_size=1)))
def test_any_extension_is_refused(token_format: TokenFormat, token: Token, more: str) -> None:
    text = token_format.render(token).reveal()

    assert_refused(token_format, text + more)
    assert_refused(token_format, more + "_" + text)


@given(formats, st.text())
def test_any_text_is_a_token_or_malformed_and_nothing_else(
    token_format: TokenFormat, text: str
) -> None:
    try:
        token = token_format.parse(text)
    except TokenMalformedError:
        return
    assert token_format.render(token).reveal() == text


@given(st.text(st.sampled_from(f"{BASE62[:14]}klvwz__\n\0 -é"), max_size=110))
def test_nearly_a_token_is_malformed_and_nothing_else(text: str) -> None:
    try:
        token = TokenFormat().parse(text)
    except TokenMalformedError:
        return
    assert TokenFormat().render(token).reveal() == text


# Secrets that no generator draws twice: eight of their characters stand elsewhere only by leaking.
unique_tokens = st.builds(
    Token,
    environment=words,
    prefix=st.text(BASE62, min_size=12, max_size=12),
    secret=st.binary(max_size=16).map(lambda seed: Secret(hashlib.sha256(seed).digest())),
)
surroundings = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["_", "x", "a_b_", "a_b_" + "Z" * 30, "kw_live_", "0" * 50, "é", "\n"]),
)


def public_part(token: Token) -> str:
    return f"_{token.environment}_{token.prefix}"


def leaked(token_text: str, shown: str) -> list[str]:
    """The runs of 8 characters of secret and checksum that are to be seen in `shown`."""
    hidden = token_text[-49:]
    return [hidden[i : i + 8] for i in range(len(hidden) - 7) if hidden[i : i + 8] in shown]


@given(formats, unique_tokens, surroundings, surroundings, st.integers(1, 49))
def test_redaction_leaves_no_eight_characters_of_a_secret(
    token_format: TokenFormat, token: Token, before: str, after: str, kept: int
) -> None:
    text = token_format.render(token).reveal()
    cut = text[: len(text) - 49 + kept]

    shown = redact(before + cut + after)

    assert not leaked(text, shown)
    assert public_part(token) in shown


@given(unique_tokens, unique_tokens, st.sampled_from(["", "_", " ", "\n"]))
def test_each_of_several_tokens_in_a_row_is_redacted(
    first: Token, second: Token, between: str
) -> None:
    texts = [TokenFormat().render(token).reveal() for token in (first, second)]

    shown = redact(between.join(texts))

    assert not [run for text in texts for run in leaked(text, shown)]
    assert public_part(first) + "..." in shown
    assert public_part(second) + "..." in shown


@given(st.text())
def test_redaction_is_done_after_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)

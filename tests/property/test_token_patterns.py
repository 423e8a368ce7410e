"""Patterns of tokens: matched in one pass, exactly as the regular expression says."""

import re
import string
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from keywright.domain.token import TokenFormat
from keywright.domain.token_pattern import Item, TokenPattern, TokenPatternError

OURS = TokenPattern.parse(TokenFormat().grammar)
ALPHABET = "ab01_-.]\\^"
CLASSES = ("[ab]", "[0-9]", "[a-z]", r"[\]\\^-]", "[_.]")
COUNTS = ("", "?", "{3}", "{1,4}", "{0,2}", "{20}", "{16,30}")


@st.composite
def patterns(draw: st.DrawFn) -> TokenPattern:
    """Patterns that are taken: of parts, those that can stand before what follows them."""
    literals = st.sampled_from([re.escape(each) for each in ALPHABET])
    parts = draw(
        st.lists(
            st.tuples(st.one_of(literals, st.sampled_from(CLASSES)), st.sampled_from(COUNTS)),
            min_size=1,
            max_size=6,
        )
    )
    pattern = TokenPattern.parse(draw(st.sampled_from(("[ab]{20}", "b{16}[a-z]{3,5}"))))
    for part, count in parts:
        with suppress(TokenPatternError):
            pattern = TokenPattern.parse(f"{part}{count}{pattern.text}")
    return pattern


@st.composite
def texts_like(draw: st.DrawFn, pattern: TokenPattern) -> str:
    """A text that matches, perhaps with a character changed, left out or put in."""
    text = "".join(
        "".join(
            draw(
                st.lists(
                    st.sampled_from(sorted(item.characters)),
                    min_size=item.least,
                    max_size=item.most,
                )
            )
        )
        for item in pattern.items
    )
    at = draw(st.integers(0, len(text)))
    how = draw(st.sampled_from(("as it is", "changed", "left out", "put in")))
    if how == "as it is":
        return text
    more = "" if how == "left out" else draw(st.sampled_from(ALPHABET + "\n"))
    return text[:at] + more + text[at + (how != "put in") :]


def steps(pattern: TokenPattern, text: str) -> tuple[bool, int]:
    """Whether the text matches, read once from left to right; and how many steps that takes."""
    taken = at = 0
    for item in pattern.items:
        begun = at
        while at < len(text) and at - begun < item.most and text[at] in item.characters:
            at += 1
            taken += 1
        taken += 1
        if at - begun < item.least:
            return False, taken
    return at == len(text), taken


@given(st.data())
def test_one_pass_finds_what_trying_everything_would(data: st.DataObject) -> None:
    pattern = data.draw(patterns())
    text = data.draw(texts_like(pattern))

    found, taken = steps(pattern, text)

    assert pattern.matches(text) is found
    assert found is (re.fullmatch(pattern.text, text) is not None)
    assert taken <= len(text) + len(pattern.items)


@given(patterns())
def test_nothing_in_it_lets_the_engine_go_back(pattern: TokenPattern) -> None:
    """What is compiled are classes with a fixed count, or with one that gives nothing back."""
    part = r"\[(?:\\.|[^\]\\])+\]\{\d+(?:\}|,\d+\}\+)"
    assert re.fullmatch(f"(?:{part})+", pattern._regex.pattern)


@given(st.data())
def test_what_a_token_begins_with_may_begin_one(data: st.DataObject) -> None:
    pattern = data.draw(patterns())
    text = data.draw(texts_like(pattern))
    if pattern.matches(text):
        assert all(pattern.may_begin_with(text[:end]) for end in range(len(text) + 1))


@given(st.data())
def test_two_patterns_overlap_if_a_text_matches_both(data: st.DataObject) -> None:
    one, other = data.draw(patterns()), data.draw(patterns())
    overlap = one.overlaps(other)
    assert overlap is other.overlaps(one)
    assert one.overlaps(one)
    text = data.draw(texts_like(one))
    if one.matches(text) and other.matches(text):
        assert overlap
    if overlap:
        assert one.shortest <= other.longest
        assert other.shortest <= one.longest


@given(st.text(string.ascii_lowercase, min_size=1, max_size=4), st.integers(55, 66), st.data())
def test_whether_a_pattern_overlaps_our_grammar_is_told_exactly(
    environment: str, length: int, data: st.DataObject
) -> None:
    """Patterns around our own, where the answer is plain."""
    brand = data.draw(st.sampled_from(("kw", "kx", "[a-k]w")))
    body = Item(frozenset(string.ascii_letters + string.digits), length, length)
    pattern = TokenPattern.parse(f"{brand}_{environment}_[0-9A-Za-z]{{{length}}}")
    assert pattern.items[-1] == body
    assert pattern.overlaps(OURS) is (brand != "kx" and length == 61)

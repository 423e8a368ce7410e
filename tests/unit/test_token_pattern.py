"""Patterns of other products' tokens: what is taken, and what is refused with which words."""

import pytest

from keywright.domain.errors import InvalidFields
from keywright.domain.imported import TokenLookup, check_shape
from keywright.domain.token import TokenFormat
from keywright.domain.token_pattern import TokenPattern, TokenPatternError

DRF = r"[A-Za-z0-9]{8}\.[A-Za-z0-9]{32}"
TAKEN = {
    DRF: ("Nvfr4Lc6." + "a" * 32, "Nvfr4Lc6_" + "a" * 32),
    "[A-Za-z]{64}": ("x" * 64, "x" * 63 + "1"),
    "sk_live_[A-Za-z0-9_-]{24}": ("sk_live_" + "a-_" * 8, "sk_test_" + "a" * 24),
    "ab?c[0-9]{16,20}x?": ("ac" + "1" * 20 + "x", "abbc" + "1" * 16),
    r"[\]\\^-]{1}[0-9a-f]{32}": ("^" + "0" * 32, "[" + "0" * 32),
    r"\[key\][a-z ]{20}": ("[key]" + "a " * 10, "[key]" + "a" * 19),
    "[A-Za-z0-9_-]{22}": ("a" * 22, "a" * 23),
}


@pytest.mark.parametrize(("text", "tokens"), TAKEN.items(), ids=TAKEN)
def test_a_pattern_matches_the_whole_token_and_nothing_else(
    text: str, tokens: tuple[str, str]
) -> None:
    pattern = TokenPattern.parse(text)
    right, wrong = tokens

    assert pattern.matches(right)
    assert pattern.shortest <= len(right) <= pattern.longest
    for other in (wrong, right + "a", "a" + right, right + "\n", right[:-1] + "é", ""):
        assert not pattern.matches(other)


REFUSED = {
    "": "1 to 256 characters",
    "a" * 257: "1 to 256 characters",
    "[a-z]{15}": "at least 16",
    "[a-z]{257}": "may of 256",
    "[a-z]{40}[0-9]{300}": "may of 256",
    "[ -~]{40}": "matches almost everything",
    "[!-~]{40,256}": "matches almost everything",
    "(abc|def)[a-z]{30}": r"position 1: '\('",
    "abc.[a-z]{30}": r"position 4: '\.'",
    "[a-z]*": r"position 6: '\*'",
    "[a-z]{20}+": r"position 10: '\+'",
    "^[a-z]{20}": r"position 1: '\^'",
    "[a-z]{20}$": r"position 10: '\$'",
    "[a-z]{20}{2}": r"position 10: a count is \{m\} or \{m,n\}",
    "[a-z]{20,}": r"position 6: a count is \{m\} or \{m,n\}",
    r"\d{30}": "position 2: a backslash",
    r"(?i)[a-z]{30}": r"position 1: '\('",
    "[^a-z]{30}": "position 2: a class says which",
    "[a-z": "position 1: the class",
    "[]{30}": "position 1: the class",
    "[z-a]{30}": "ends before it begins",
    "[a-z]{30,20}": "n at least m",
    "[a-z]{0}[a-z]{30}": "at least 1",
    "é[a-z]{30}": "position 1: must be printable ASCII",
    "[a-\N{SNOWMAN}]{30}": "must be printable ASCII",
    "abc\n[a-z]{30}": "must be printable ASCII",
    "abc[a-z]{20}\\": "a backslash",
    # What makes `re` go back and try again.
    "[a-z]{1,30}[a-z]{16,30}": "slow to match: part 1",
    "[a-z]{1,30}[0-9]?[a-z]{20}": "slow to match: part 1",
    "a?a?a?a?a?a?a?a?[a]{20}": "slow to match",
    "x[a-z_]{8,16}_[a-z]{20}": "slow to match: part 2 has a variable length, and '_'",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items(), ids=REFUSED)
def test_another_pattern_is_refused_saying_where_and_what_would_be_right(
    text: str, words: str
) -> None:
    with pytest.raises(TokenPatternError, match=words):
        TokenPattern.parse(text)


def test_a_prefix_is_told_from_what_begins_no_token() -> None:
    pattern = TokenPattern.parse("ab?c[0-9]{2,4}x[a-z]{16}")
    for prefix in ("", "a", "abc", "ac12", "ac1234x", "ac12xa"):
        assert pattern.may_begin_with(prefix), prefix
    for prefix in ("b", "abb", "ac1x", "ac12345", "ac12y", "ac12x" + "a" * 17):
        assert not pattern.may_begin_with(prefix), prefix


def shape(
    pattern: str = DRF,
    lookup: TokenLookup = TokenLookup.PREFIX,
    prefix_length: int = 8,
    hash_offset: int = 0,
) -> None:
    check_shape(pattern, lookup, prefix_length, hash_offset, TokenFormat())


def test_the_shape_of_tokens_leaves_enough_of_them_secret() -> None:
    shape()
    shape(prefix_length=25)
    shape(hash_offset=25)
    for wrong, field in (
        ({"prefix_length": 26}, "format.prefix_length"),
        ({"prefix_length": 3}, "format.prefix_length"),
        ({"prefix_length": 0}, "format.prefix_length"),
        ({"hash_offset": 26}, "format.hash_offset"),
        ({"lookup": TokenLookup.DIGEST}, "format.prefix_length"),
        ({"pattern": "(a)"}, "format.pattern"),
    ):
        with pytest.raises(InvalidFields) as refused:
            shape(**wrong)
        assert [each.field for each in refused.value.violations] == [field]


@pytest.mark.parametrize(
    "pattern",
    [
        "kw_live_[0-9A-Za-z]{61}",
        "kw_[a-z]{1,10}_[0-9A-Za-z]{61}",
        "[a-z]{2}_[a-z]{4}_[0-9A-Za-z]{61}",
        "[0-9A-Za-z_]{69}",
        "kw_test_[A-Z]{12}[a-z]{43}[0-9]{6}",
        "kw_a[a-z]{0,3}[0-9]{0,20}_[0-9A-Za-z]{61}",
    ],
)
def test_a_pattern_that_could_match_a_token_of_ours_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFields, match="tokens of this service, which begin with kw_"):
        shape(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "kw_live_[0-9A-Za-z]{60}",
        "kw_live_[0-9A-Za-z]{62}",
        "kw-live_[0-9A-Za-z]{61}",
        "kw_LIVE_[0-9A-Za-z]{61}",
        "kw_[0-9]{4}_[0-9A-Za-z]{61}",
        "xy_live_[0-9A-Za-z]{61}",
        "[0-9A-Za-z_]{64}",
    ],
)
def test_a_pattern_that_cannot_is_taken(pattern: str) -> None:
    shape(pattern)

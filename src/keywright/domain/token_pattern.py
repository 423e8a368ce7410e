"""Patterns of other products' tokens: a bounded part of regular expressions.

A pattern is a sequence of items, each a character, as itself or after a backslash, or a class such
as `[A-Za-z0-9_-]`, with an optional count: `?`, `{32}` or `{16,64}`. It is matched as a whole.

There is no backtracking: an item of variable length shares no character with what may follow it, so
how far it reaches is decided by the text alone, and a text is read once from left to right. That is
checked here, and told to `re` by possessive quantifiers.
"""

import math
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import NoReturn, Self

MAX_LENGTH = 256
"""Of a pattern, and of the tokens that it matches."""
MIN_TOKEN_LENGTH = 16
MIN_SELECTIVITY = 8.0
"""Bits: of random printable text at least this is told apart. 16 characters of base64url have 9,
40 of any printable kind have 0."""

_PRINTABLE = frozenset(map(chr, range(0x20, 0x7F)))
_SPECIAL = frozenset(".^$*+?{}[]()|\\")
_COUNT = re.compile(r"\{(\d{1,3})(?:,(\d{1,3}))?\}|\?")


class TokenPatternError(ValueError):
    """A pattern cannot be used: says where, counted from 1, and what would be right."""


@dataclass(frozen=True, slots=True)
class Item:
    """`least` to `most` of these characters."""

    characters: frozenset[str]
    least: int
    most: int

    @property
    def regex(self) -> str:
        """The same for `re`; possessive where the length varies."""
        characters = "".join(re.escape(each) for each in sorted(self.characters))
        if self.least == self.most:
            return f"[{characters}]{{{self.least}}}"
        return f"[{characters}]{{{self.least},{self.most}}}+"


@dataclass(frozen=True, slots=True)
class TokenPattern:
    """A pattern; `parse` makes them, safe to match against whatever is presented."""

    text: str
    items: tuple[Item, ...]
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_regex", re.compile("".join(each.regex for each in self.items)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pattern that `text` says.

        Raises:
            TokenPatternError: other syntax, slow to match, matching almost everything, or matching
                texts that are too short or too long for tokens.
        """
        if not 1 <= len(text) <= MAX_LENGTH:
            raise TokenPatternError(f"must have 1 to {MAX_LENGTH} characters")
        pattern = cls(text, _Parser(text).items())
        pattern._check_lengths()
        pattern._check_linear()
        pattern._check_selective()
        return pattern

    @property
    def shortest(self) -> int:
        """The length of the shortest text that it matches."""
        return sum(each.least for each in self.items)

    @property
    def longest(self) -> int:
        """The length of the longest text that it matches."""
        return sum(each.most for each in self.items)

    @property
    def selectivity(self) -> float:
        """How much of random printable text it tells apart, in bits."""
        return sum(
            each.least * math.log2(len(_PRINTABLE) / len(each.characters)) for each in self.items
        )

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` matches, in time linear in its length."""
        return self._regex.fullmatch(text) is not None

    def may_begin_with(self, text: str) -> bool:
        """Whether some text that it matches begins with `text`."""
        index = count = 0
        for character in text:
            while index < len(self.items) and (
                count == self.items[index].most or character not in self.items[index].characters
            ):
                if count < self.items[index].least:
                    return False
                index, count = index + 1, 0
            if index == len(self.items):
                return False
            count += 1
        return True

    def overlaps(self, other: Self) -> bool:
        """Whether some text matches both: walked through exactly, position by position."""
        seen: set[tuple[int, int, int, int]] = set()
        reached = [(0, 0, 0, 0)]  # in which item of each, and how many of its characters are read
        while reached:
            state = reached.pop()
            if state in seen:
                continue
            seen.add(state)
            i, n, j, m = state
            mine = self.items[i] if i < len(self.items) else None
            others = other.items[j] if j < len(other.items) else None
            if mine is None and others is None:
                return True
            if mine is not None and n >= mine.least:
                reached.append((i + 1, 0, j, m))
            if others is not None and m >= others.least:
                reached.append((i, n, j + 1, 0))
            if (
                mine is not None
                and others is not None
                and n < mine.most
                and m < others.most
                and mine.characters & others.characters
            ):
                reached.append((i, n + 1, j, m + 1))
        return False

    def _check_lengths(self) -> None:
        if self.shortest < MIN_TOKEN_LENGTH:
            raise TokenPatternError(
                f"matches texts of {self.shortest} characters: a token that can be relied on has "
                f"at least {MIN_TOKEN_LENGTH}"
            )
        if self.longest > MAX_LENGTH:
            raise TokenPatternError(
                f"matches texts of up to {self.longest} characters, and may of {MAX_LENGTH}"
            )

    def _check_linear(self) -> None:
        following: frozenset[str] = frozenset()  # what may stand right behind the item
        for index, item in reversed(tuple(enumerate(self.items))):
            if item.least < item.most and (shared := item.characters & following):
                raise TokenPatternError(
                    f"is slow to match: part {index + 1} has a variable length, and "
                    f"{min(shared)!r} may be of it or of what follows; give it a fixed length, or "
                    "characters that cannot follow it"
                )
            following = item.characters | (following if not item.least else frozenset())

    def _check_selective(self) -> None:
        if self.selectivity < MIN_SELECTIVITY:
            raise TokenPatternError(
                "matches almost everything: fix a part of the token, such as its beginning, or the "
                "characters that it is made of, such as [A-Za-z0-9]"
            )


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def items(self) -> tuple[Item, ...]:
        found = []
        while self._at < len(self._text):
            characters = self._class() if self._text[self._at] == "[" else self._literal()
            found.append(self._counted(characters))
        return tuple(found)

    def _literal(self) -> frozenset[str]:
        character = self._text[self._at]
        if character == "{":
            self._refuse(
                f"a count is {{m}} or {{m,n}}, at most {MAX_LENGTH}; write a backslash before '{{' "
                "to mean it"
            )
        if character in _SPECIAL and character != "\\":
            self._refuse(
                f"{character!r} is not for patterns of tokens: they are characters, classes such "
                "as [A-Za-z0-9], and counts {m} or {m,n}; write a backslash before it to mean it"
            )
        return frozenset(self._character())

    def _class(self) -> frozenset[str]:
        opened = self._at
        self._at += 1
        ranges: list[frozenset[str]] = []
        while self._at < len(self._text) and self._text[self._at] != "]":
            if self._text[self._at] == "^" and not ranges:
                self._refuse("a class says which characters are allowed, not which are not")
            if self._text[self._at] == "[":
                self._refuse("write a backslash before '[' within a class")
            ranges.append(self._range())
        if self._at == len(self._text) or not ranges:
            self._at = opened
            self._refuse("the class is empty, or has no ']'")
        self._at += 1
        return reduce(frozenset.union, ranges)

    def _range(self) -> frozenset[str]:
        first = self._character()
        rest = self._text[self._at : self._at + 2]
        if not rest.startswith("-") or rest in {"-", "-]"}:
            return frozenset(first)
        self._at += 1
        last = self._character()
        if last < first:
            self._refuse(f"{first}-{last} is no range: it ends before it begins")
        return frozenset(map(chr, range(ord(first), ord(last) + 1)))

    def _character(self) -> str:
        character = self._text[self._at]
        if character == "\\":
            self._at += 1
            character = self._text[self._at] if self._at < len(self._text) else ""
            if not character or character.isalnum():
                self._refuse("a backslash stands before a character that is meant as itself only")
        if character not in _PRINTABLE:
            self._refuse("must be printable ASCII")
        self._at += 1
        return character

    def _counted(self, characters: frozenset[str]) -> Item:
        match = _COUNT.match(self._text, self._at)
        if match is None:
            return Item(characters, 1, 1)
        self._at = match.end()
        least = 0 if match[0] == "?" else int(match[1])
        most = 1 if match[0] == "?" else int(match[2] or match[1])
        if not 1 <= most >= least:
            self._refuse("a count is {m} or {m,n}, with n at least m and at least 1")
        return Item(characters, least, most)

    def _refuse(self, what: str) -> NoReturn:
        raise TokenPatternError(f"at position {min(self._at + 1, len(self._text))}: {what}")

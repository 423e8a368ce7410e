"""Patterns of paths: `/health`, `/projects/{project}/files`, `/projects/{project}/**`.

A segment of a pattern is a text that stands for itself, or `{name}` or `*`, which stand for any
one segment that is not empty. `/**` at the end stands for the path before it and everything below.
Capital letters matter; `/a` and `/a/` are two paths.

Of the patterns that match a path the most specific one counts: compared from the left, at the
first segment where they differ, a text is more specific than `{name}` and `*`, and these than
`/**`. The order that they are given in means nothing.
"""

import re
from dataclasses import dataclass
from itertools import zip_longest

from keywright.sdk.drop_ins.targets import PLAIN

_TEXT = re.compile(f"[{PLAIN}]+")
_NAME = re.compile(r"\{(?P<name>[a-z][a-z0-9_]*)\}")
_REST = "**"


@dataclass(frozen=True, slots=True)
class AnySegment:
    """`{name}`, or `*` where the name is empty."""

    name: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of paths. `rest`: whether `/**` ends it."""

    text: str
    parts: tuple[str | AnySegment, ...]
    rest: bool

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """The pattern that `text` says.

        Raises:
            ValueError: it says none, or one that no path could match; the message says why.
        """
        if not text.startswith("/"):
            raise ValueError("a path begins with /")
        pieces = text[1:].split("/")
        rest = pieces[-1] == _REST
        if rest:
            pieces.pop()
        last = len(pieces) - 1
        parts = tuple(
            _part(piece, may_be_empty=index == last and not rest)
            for index, piece in enumerate(pieces)
        )
        names = [part.name for part in parts if isinstance(part, AnySegment) and part.name]
        if len(names) != len(set(names)):
            raise ValueError("a name stands for one segment; it is there twice")
        return cls(text, parts, rest)

    @property
    def names(self) -> frozenset[str]:
        """What `{name}`s it has."""
        return frozenset(part.name for part in self.parts if isinstance(part, AnySegment)) - {""}

    @property
    def precedence(self) -> tuple[tuple[int, str], ...]:
        """Sorts the more specific first; the same for patterns that match the same paths."""
        parts = tuple((0, part) if isinstance(part, str) else (1, "") for part in self.parts)
        return (*parts, (2, "")) if self.rest else parts

    def other_end(self) -> "Pattern":
        """The same with a `/` more or less at its end."""
        parts = self.parts[:-1] if self.parts[-1] == "" else (*self.parts, "")
        return Pattern(self.text, parts, self.rest)

    def matches(self, segments: tuple[str, ...]) -> bool:
        """Whether it matches a path of these segments (decoded)."""
        count = len(self.parts)
        if len(segments) != count and not (self.rest and len(segments) > count):
            return False
        for part, segment in zip(self.parts, segments, strict=False):
            if part != segment and (isinstance(part, str) or not segment):
                return False
        return True

    def captured(self, segments: tuple[str, ...]) -> dict[str, str]:
        """What each `{name}` stands for in a path that matches."""
        return {
            part.name: segment
            for part, segment in zip(self.parts, segments, strict=False)
            if isinstance(part, AnySegment) and part.name
        }

    def examples(self, depth: int, fresh: str) -> list[tuple[str, ...]]:
        """Paths that it matches, one of each kind that other patterns could tell apart.

        Args:
            depth: no pattern that it is compared with has more segments.
            fresh: a segment that is a text in none of them.
        """
        filled = tuple(part if isinstance(part, str) else fresh for part in self.parts)
        if not self.rest:
            return [filled]
        below = [filled + (fresh,) * more for more in range(1, max(depth - len(filled), 0) + 2)]
        here = [filled] if filled else []
        return [*here, *below, *[(*path, "") for path in [filled, *below]]]

    def common(self, other: "Pattern", fresh: str) -> tuple[str, ...] | None:
        """A path that both match; None if there is none."""
        path = []
        for one, another in zip_longest(self.parts, other.parts):
            if (one is None and not self.rest) or (another is None and not other.rest):
                return None
            texts = {part for part in (one, another) if isinstance(part, str)}
            if len(texts) > 1 or (texts == {""} and _has_any(one, another)):
                return None
            path.append(texts.pop() if texts else fresh)
        return tuple(path) or ("",)


def _has_any(*parts: str | AnySegment | None) -> bool:
    return any(isinstance(part, AnySegment) for part in parts)


def _part(piece: str, *, may_be_empty: bool) -> str | AnySegment:
    if piece == _REST:
        raise ValueError("** is only for the end of a path: /projects/**")
    if piece == "*":
        return AnySegment("")
    if name := _NAME.fullmatch(piece):
        return AnySegment(name["name"])
    if "{" in piece or "}" in piece or "*" in piece:
        raise ValueError(
            f"{piece!r}: a segment is a text, {{name}} (lower-case letters, digits, _) or *, whole"
        )
    if not piece and may_be_empty:
        return piece
    if _TEXT.fullmatch(piece) is None or piece.endswith("."):
        raise ValueError(
            f"could never match: a path with the segment {piece!r} is refused before it is "
            "compared (docs/guides/sidecar.md tells which are)"
        )
    return piece

"""A document with parts that benchmarks write; all between them is written by people.

The part of the benchmark `warm` stands between two lines:

    <!-- bench: warm -->
    <!-- /bench: warm -->
"""

import re
from collections.abc import Iterable


class PartMissingError(Exception):
    """The document has no place for what a benchmark shows."""


def names(document: str) -> list[str]:
    """The benchmarks that have a part, in the order of the document."""
    return re.findall(r"^<!-- bench: ([a-z0-9-]+) -->$", document, re.MULTILINE)


def require(document: str, wanted: Iterable[str]) -> None:
    """Check that each of the benchmarks has one part.

    Raises:
        PartMissingError: names those that have none, or more.
    """
    lacking = [name for name in wanted if len(_pattern(name).findall(document)) != 1]
    if lacking:
        example = lacking[0]
        raise PartMissingError(
            f"there is not one part for {', '.join(lacking)}: a part is a line "
            f"`{_begin(example)}` and, below it, a line `{_end(example)}`"
        )


def replaced(document: str, name: str, body: str) -> str:
    """The document with `body` as the part of a benchmark.

    Raises:
        PartMissingError: there is no such part, or more than one.
    """
    require(document, [name])
    part = f"{_begin(name)}\n\n{body}\n\n{_end(name)}"
    return _pattern(name).sub(lambda _: part, document)


def _begin(name: str) -> str:
    return f"<!-- bench: {name} -->"


def _end(name: str) -> str:
    return f"<!-- /bench: {name} -->"


def _pattern(name: str) -> re.Pattern[str]:
    # Whole lines, so that a mention in the middle of a sentence is none.
    begin, end = re.escape(_begin(name)), re.escape(_end(name))
    return re.compile(rf"^{begin}$(?:(?!^<!-- bench: ).)*?^{end}$", re.MULTILINE | re.DOTALL)

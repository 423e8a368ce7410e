"""Markdown of what a benchmark shows."""

from collections.abc import Iterable, Iterator, Sequence

from bench.report.shown import Bars, Item, Lines, Remark, Table

PLOTS = "performance"
"""The directory of the plots, beside the document."""
_LEFT_ALIGNED_COLUMNS = 1


def table(shown: Table) -> list[str]:
    """The lines of a titled table, the first column aligned left and the others right."""
    header, *rows = [[_cell(cell) for cell in row] for row in (shown.header, *shown.rows)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    dashes = [
        "-" * width if index < _LEFT_ALIGNED_COLUMNS else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    ]
    return [
        f"### {_inline(shown.title)}",
        "",
        _inline(shown.note),
        "",
        *(_row(cells, widths) for cells in (header, dashes, *rows)),
    ]


def body(command: str, circumstances: str, items: Iterable[Item]) -> str:
    """A part of the document: which command made it, on what and when, and what it showed."""
    blocks = [[f"`{command}`: {_inline(circumstances)}"], *map(_block, items)]
    return "\n\n".join("\n".join(block) for block in blocks)


def file_name(name: str) -> str:
    """The file of a plot, from the document."""
    return f"{PLOTS}/{name}.svg"


def _block(item: Item) -> list[str]:
    match item:
        case Table():
            return table(item)
        case Remark():
            return [_inline(item.text)]
        case Bars() | Lines():
            alternative = item.title.replace("[", "(").replace("]", ")")
            return [f"![{_inline(alternative)}]({file_name(item.name)})"]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(_aligned(cells, widths))} |"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.ljust(width) if index < _LEFT_ALIGNED_COLUMNS else cell.rjust(width)


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return _inline(text).replace("|", r"\|")


def _inline(text: str) -> str:
    """Text that stays in its line, and forges no marker."""
    return " ".join(text.split()).replace("<!--", "&lt;!--")

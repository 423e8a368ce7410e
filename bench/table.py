"""Tables, in Markdown: they are read in a terminal and pasted into docs/performance.md."""

from collections.abc import Sequence

_LEFT_ALIGNED_COLUMNS = 1


def show(title: str, note: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a titled table, the first column aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print(f"\n### {title}\n\n{note}\n")
    _line(header, widths)
    dashes = [
        "-" * width if index < _LEFT_ALIGNED_COLUMNS else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    ]
    _line(dashes, widths)
    for row in rows:
        _line(row, widths)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}" if seconds >= 1e-5 else f"{seconds * 1e6:.1f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> None:
    aligned = [
        cell.ljust(width) if index < _LEFT_ALIGNED_COLUMNS else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    print(f"| {' | '.join(aligned)} |", flush=True)

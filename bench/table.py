"""Tables, in Markdown: they are read in a terminal, and written into docs/performance.md."""

from collections.abc import Sequence

from bench.report import markdown, shown


def show(title: str, note: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show a titled table, the first column aligned left and the others right."""
    table = shown.Table(title, note, header, rows)
    shown.add(table)
    print("", *markdown.table(table), sep="\n", flush=True)


def remark(text: str) -> None:
    """Show a paragraph, in Markdown."""
    shown.add(shown.Remark(text))
    print(f"\n{text}", flush=True)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}" if seconds >= 1e-5 else f"{seconds * 1e6:.1f}"

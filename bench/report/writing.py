"""What a benchmark has shown, written into a document and the directory of its plots."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import drawing, markdown, parts
from bench.report.shown import Bars, Item, Lines

FILE = "performance.md"
DOCS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Report:
    """The document in a directory, and its plots in another one below."""

    directory: Path

    @property
    def document(self) -> Path:
        """Where the parts are."""
        return self.directory / FILE

    def check(self, benchmarks: Iterable[str]) -> None:
        """Check, before anything is measured, that each of the benchmarks has a part.

        Raises:
            PartMissingError: names those that have none.
            OSError: there is no document.
        """
        parts.require(self.document.read_text(encoding="utf-8"), benchmarks)

    def write(self, benchmark: str, circumstances: str, items: Sequence[Item]) -> None:
        """Write the part of one benchmark and draw its plots; all else stays as it is.

        Raises:
            PartMissingError: there is no such part.
        """
        body = markdown.body(f".venv/bin/python -m bench {benchmark}", circumstances, items)
        document = self.document.read_text(encoding="utf-8")
        changed = parts.replaced(document, benchmark, body)
        plots = [each for each in items if isinstance(each, Bars | Lines)]
        for plot in plots:
            file = self.directory / markdown.file_name(plot.name)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(drawing.svg(plot))
        self.document.write_text(changed, encoding="utf-8")

"""A smoke run of a benchmark, and what becomes of what it shows."""

import asyncio
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.report.writing import DOCS

pytestmark = pytest.mark.slow  # starts a PostgreSQL of its own


async def bench(*arguments: str) -> str:
    """Run it; returns what it has printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *arguments),
        cwd=DOCS.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0
    return out.decode()


async def test_a_benchmark_writes_its_tables_and_plots_and_leaves_the_prose(
    tmp_path: Path,
) -> None:
    document = tmp_path / "performance.md"
    document.write_text("# Ours\n\n<!-- bench: batch -->\n<!-- /bench: batch -->\n\nThe end.\n")
    printed = await bench("--quick", "--into", str(tmp_path), "batch")
    written = document.read_text()
    assert written.startswith("# Ours\n\n<!-- bench: batch -->\n\n`.venv/bin/python -m bench ")
    assert written.endswith("\n<!-- /bench: batch -->\n\nThe end.\n")
    (table,) = (part for part in printed.split("\n\n") if part.startswith("| "))
    assert table.rstrip() in written
    assert "PostgreSQL " in written
    assert "](performance/batch-cpu.svg)" in written
    ET.fromstring((tmp_path / "performance" / "batch-cpu.svg").read_bytes())


async def test_a_smoke_run_leaves_the_documentation_alone() -> None:
    before = (DOCS / "performance.md").read_bytes()
    assert "BatchAuthenticate" in await bench("--quick", "batch")
    assert (DOCS / "performance.md").read_bytes() == before

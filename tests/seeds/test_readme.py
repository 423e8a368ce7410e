"""The tables of README.md name every test of a product, and no other."""

import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
MODULES = ["test_fiftyone.py", "test_labelbox.py", "test_teamai.py", "test_encord.py"]


def test_the_tables_name_every_test_of_the_products_once() -> None:
    links = re.findall(r"\[([^\]]+)\]\((test_\w+\.py)\)", (HERE / "README.md").read_text())
    named = Counter(
        (file, "test_" + re.sub(r"\W+", "_", text)) for text, file in links if file in MODULES
    )
    there = Counter(
        (file, test)
        for file in MODULES
        for test in re.findall(r"^async def (test_\w+)", (HERE / file).read_text(), re.MULTILINE)
    )
    assert named == there


def test_every_test_quotes_what_it_proves() -> None:
    for file in MODULES:
        tests = re.findall(
            r'^async def (test_\w+)\([^)]*\) -> None:\n    """“.+?”"""$',
            (HERE / file).read_text(),
            re.MULTILINE | re.DOTALL,
        )
        there = re.findall(r"^async def (test_\w+)", (HERE / file).read_text(), re.MULTILINE)
        assert tests == there

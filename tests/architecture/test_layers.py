"""The import rule (docs: the arrows between packages) and the order of the interceptors."""

import os
import re
import subprocess
import sys
from pathlib import Path

from keywright.wire.interceptors import INTERCEPTORS

ROOT = Path(__file__).resolve().parents[2]


def test_every_contract_between_the_packages_is_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout), done.stdout


def test_the_interceptors_come_in_the_order_that_their_work_needs() -> None:
    assert [interceptor.__name__ for interceptor in INTERCEPTORS] == [
        "call_id",
        "access_log",
        "metrics",
        "error_mapping",
        "deadline",
        "caller",
        "denied_calls",
        "validation",
    ]

"""The commands of programs that serve, where they are not installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_WITHOUT = """
import sys
sys.modules["uvicorn"] = sys.modules["starlette"] = None
sys.argv = ["keywright", *sys.argv[1:]]
from keywright.__main__ import main
main()
"""


@pytest.mark.parametrize("program", ["sidecar", "console"])
@pytest.mark.parametrize("how", ["--config", "check-config"])
def test_what_has_to_be_installed_is_told(program: str, how: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.touch()
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, program, how, str(file)],
        env={**os.environ, "KEYWRIGHT_API_KEY": "kw_own"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"a {program} needs: pip install 'keywright[{program}]'" in done.stderr
    assert "Traceback" not in done.stderr

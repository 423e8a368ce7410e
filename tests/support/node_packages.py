"""What tests need of npm, installed below `.data` as `tests/support/node` locks it."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("node")


def installed() -> Path:
    """A copy of `tests/support/node` with its packages; made if it is not there."""
    npm = shutil.which("npm")
    assert npm, "npm is not installed: make system-deps"
    files = sorted(SOURCE.iterdir())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    directory = ROOT / ".data" / "node" / digest[:16]
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Whoever else runs tests at the same time waits until it is there, whole.
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "whole").exists():
            shutil.copytree(SOURCE, directory, dirs_exist_ok=True)
            subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                cwd=directory,
                check=True,
            )
            (directory / "whole").touch()
    return directory


def axe_core() -> str:
    """axe-core's source, to be run in a page."""
    return (installed() / "node_modules" / "axe-core" / "axe.min.js").read_text()

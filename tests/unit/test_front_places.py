"""The private directory of a front: nobody else's as long as somebody has it, and no longer."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keywright.front import places

LEAVE = "from keywright.front import places; print(places.left().directory)"


@pytest.fixture(name="temporary", autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this process and of its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind() -> Path:
    """One that a process has left which has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", LEAVE], check=True, capture_output=True, text=True
    )
    return Path(ended.stdout.strip())


def test_what_a_process_has_left_behind_is_removed_with_all_that_is_in_it() -> None:
    first = left_behind()
    (first / "renewals").mkdir()
    (first / "envoy.json").touch()
    with places.private() as ours:
        assert not first.exists()
        assert ours.directory.stat().st_mode & 0o777 == 0o700
    assert not ours.directory.exists()


def those_in_use_stay() -> None:
    with places.private() as first, places.private() as second:
        assert first.directory.exists()
        assert second.directory != first.directory


def test_those_in_use_stay() -> None:
    those_in_use_stay()


def test_one_stays_as_long_as_the_process_that_was_started_there(temporary: Path) -> None:
    ours = temporary / "keywright-envoy-12345678"  # whoever has made it has ended
    ours.mkdir()
    inside = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from keywright.front import places; places.here(); print(flush=True); input()",
        ],
        cwd=ours,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert inside.stdout is not None
    inside.stdout.readline()
    with places.private():
        assert ours.exists()
    inside.communicate(b"\n")
    with places.private():
        assert not ours.exists()


@pytest.mark.parametrize(
    "make",
    [Path.touch, lambda path: path.symlink_to(path.parent / "other"), os.mkfifo],
    ids=["a file", "a link", "a pipe"],
)
def test_what_is_no_directory_stays(temporary: Path, make: Callable[[Path], None]) -> None:
    (temporary / "other").mkdir()
    make(temporary / "keywright-envoy-12345678")
    with places.private():
        pass
    assert (temporary / "keywright-envoy-12345678").lstat()
    assert (temporary / "other").exists()


def test_the_directory_of_another_user_stays(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary / "keywright-envoy-12345678").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with places.private():
        assert (temporary / "keywright-envoy-12345678").exists()


def test_without_a_lock_those_in_use_would_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: nobody says that it has one."""
    monkeypatch.setattr(places, "_locked", lambda path: os.open(path, os.O_RDONLY))
    with pytest.raises(AssertionError):
        those_in_use_stay()

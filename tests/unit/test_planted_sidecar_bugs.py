"""The tests of the sidecar's core fail where one of its guards is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.planted import SOURCE

pytestmark = pytest.mark.slow  # each runs the core's tests in a process of its own

ROOT = Path(__file__).parents[2]
BUGS = {
    "other-spellings": (
        "inspection.py",
        "elif name in _OVERRIDES or _ODD.search(name):",
        "elif False:",
    ),
    "tunnels": ("inspection.py", "elif name == _UPGRADE:", "elif False:"),
    "hidden-by-connection": ("inspection.py", "if name == _CONNECTION:", "if False:"),
    "doubled-keys": ("credentials.py", "if len(sent) > 1:", "if False:"),
    "joined-keys": ("credentials.py", 'r"[!-+\\--~]+"', 'r"[!-~ ]+"'),
    "keys-not-stripped": ("gate.py", "removed=self.key_headers,", "removed=(),"),
    "role-of-narrowed-keys": (
        "headers.py",
        "whole = principal.credential.kind is CredentialKind.SESSION",
        "whole = True",
    ),
    "empty-headers-left-out": (
        "headers.py",
        "return tuple(values.items())",
        "return tuple(pair for pair in values.items() if pair[1])",
    ),
    "values-not-encoded": (
        "headers.py",
        "quote(principal.user.name, _PLAIN)",
        "principal.user.name",
    ),
    "empty-segments": ("targets.py", 'if "//" in path:', "if False:"),
    "dot-segments": ("targets.py", 'segment.endswith(".")', "False"),
    "ambiguous-encodings": ("targets.py", "octet < 0 or octet in _NEVER_ENCODED", "octet < 0"),
    "methods-fall-through": (
        "rules.py",
        "if routes[0].pattern.matches(path.segments):\n                return _of",
        "if any(r.takes(method) and r.pattern.matches(path.segments) for r in routes): return _of",
    ),
    "401-for-the-sidecars-own-key": ("decisions.py", " or error.about_caller:", ":"),
    "out-of-turn": ("limited_http.py", "self._is_idle()\n", "True\n"),
    "tunnels-at-once": ("limited_http.py", "and not parser.should_upgrade()", ""),
    "ends-are-missed": ("limited_http.py", "and parser.should_keep_alive()", ""),
    "headers-of-any-size": ("limited_http.py", "self._size() > self._header_bytes", "False"),
    "connections-without-end": (
        "limited_http.py",
        "and (limit is None or len(self.connections) < limit)",
        "",
    ),
    "headers-that-end-early": ("http.py", "if any(_ENDS_HEADER", "if False and any(_ENDS_HEADER"),
    "too-many-at-a-time": ("gate.py", "if self.in_flight >= self._max_concurrent:", "if False:"),
}


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_missing_guard_of_the_sidecar_is_noticed(name: str, tmp_path: Path) -> None:
    file, guard, instead = BUGS[name]
    shutil.copytree(SOURCE, tmp_path / "keywright")
    source = tmp_path / "keywright" / "sidecar" / file
    text = source.read_text()
    assert guard in text, f"{file} has changed: where is its guard now?"
    source.write_text(text.replace(guard, instead))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("tests/unit/test_sidecar_gate.py", "tests/unit/test_sidecar_paths.py"),
            "tests/unit/test_sidecar_http.py",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-2000:]
    assert "1 failed" in run.stdout

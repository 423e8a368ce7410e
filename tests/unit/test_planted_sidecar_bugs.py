"""The tests of the sidecar's core, and of what drop-ins share with it, notice missing guards."""

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
        "sidecar/inspection.py",
        "elif name in _OVERRIDES or _ODD.search(name):",
        "elif False:",
    ),
    "mounted-elsewhere": ("sidecar/inspection.py", '        "script-name",\n', ""),
    "tunnels": ("sidecar/inspection.py", "elif name == _UPGRADE:", "elif False:"),
    "hidden-by-connection": ("sidecar/inspection.py", "if name == _CONNECTION:", "if False:"),
    "doubled-keys": ("sdk/drop_ins/presented.py", "if len(sent) > 1:", "if False:"),
    "joined-keys": ("sdk/drop_ins/presented.py", 'r"[!-+\\--~]+"', 'r"[!-~ ]+"'),
    "keys-not-stripped": ("sidecar/gate.py", "removed=self.key_headers,", "removed=(),"),
    "role-of-narrowed-keys": (
        "sidecar/headers.py",
        'role = principal.role if principal.whole_authority else ""',
        "role = principal.role",
    ),
    "empty-headers-left-out": (
        "sidecar/headers.py",
        "return tuple(values.items())",
        "return tuple(pair for pair in values.items() if pair[1])",
    ),
    "values-not-encoded": (
        "sidecar/headers.py",
        "quote(principal.user.name, _PLAIN)",
        "principal.user.name",
    ),
    "empty-segments": ("sdk/drop_ins/targets.py", 'if "//" in path:', "if False:"),
    "dot-segments": (
        "sdk/drop_ins/targets.py",
        'if "./" in path or path.endswith("."):',
        "if False:",
    ),
    "ambiguous-encodings": (
        "sdk/drop_ins/targets.py",
        "octet < 0 or octet in _NEVER_ENCODED",
        "octet < 0",
    ),
    "what-was-sent": (
        "sdk/drop_ins/route_rules.py",
        'if sent not in {"", path} and',
        "if False and",
    ),
    "methods-of-no-request": (
        "sdk/drop_ins/route_rules.py",
        "method == _WEBSOCKET or METHOD.fullmatch(method) is None",
        "False",
    ),
    "encoded-in-resources": (
        "sdk/drop_ins/routes.py",
        "if _CAPTURED.fullmatch(captured[name]) is None:",
        "if False:",
    ),
    "too-long-for-a-resource": (
        "sdk/drop_ins/routes.py",
        "if not is_resource(resource):",
        "if False:",
    ),
    "other-ends-fall-through": (
        "sdk/drop_ins/routes.py",
        "_by_shape(_ordered([*routes, *shut]))",
        "self._given",
    ),
    "methods-fall-through": (
        "sdk/drop_ins/routes.py",
        "routes := self._deciding(path.segments)",
        "routes := [r for r in self.ordered if r.pattern.matches(path.segments)]",
    ),
    "401-for-the-sidecars-own-key": ("sdk/drop_ins/challenge.py", " or error.about_caller:", ":"),
    "too-many-at-a-time": (
        "sidecar/gate.py",
        "if self.in_flight >= self._max_concurrent:",
        "if False:",
    ),
    "out-of-turn": ("programs/limited_http.py", "self._is_idle()\n", "True\n"),
    "tunnels-at-once": ("programs/limited_http.py", "and not parser.should_upgrade()", ""),
    "ends-are-missed": ("programs/limited_http.py", "and parser.should_keep_alive()", ""),
    "headers-of-any-size": (
        "programs/limited_http.py",
        "self._size() > self._header_bytes",
        "False",
    ),
    "connections-without-end": (
        "programs/limited_http.py",
        "and (limit is None or len(self.connections) < limit)",
        "",
    ),
    "headers-that-end-early": (
        "sidecar/http.py",
        "if any(_ENDS_HEADER",
        "if False and any(_ENDS_HEADER",
    ),
}


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_missing_guard_of_the_sidecar_is_noticed(name: str, tmp_path: Path) -> None:
    file, guard, instead = BUGS[name]
    shutil.copytree(SOURCE, tmp_path / "keywright")
    source = tmp_path / "keywright" / file
    text = source.read_text()
    assert guard in text, f"{file} has changed: where is its guard now?"
    source.write_text(text.replace(guard, instead))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("tests/unit/test_sidecar_gate.py", "tests/unit/test_sidecar_paths.py"),
            *("tests/unit/test_asgi_paths.py", "tests/unit/test_sidecar_http.py"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-2000:]
    assert "1 failed" in run.stdout

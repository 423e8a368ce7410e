"""How Envoy is started, with Python inside, and how it judges its configuration without."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from keywright.front.places import Places

# Envoy would end at once, and its calls with it. So it is started with these blocked; a thread of
# the application waits for them, and has Envoy end when the calls have.
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
# As our own lines are; %_ and %j are as JSON has them in a string.
_JSON_LINE = (
    '{"event": "%j", "logger": "envoy", "level": "%l", "timestamp": "%Y-%m-%dT%H:%M:%S.%fZ"}'
)


def command(envoy: Path, places: Places, *, json_lines: bool) -> Sequence[str]:
    """How Envoy is started."""
    return (
        *_given(envoy, places),
        *("--concurrency", "1"),
        *("--log-level", "warning"),
        *(("--log-format", _JSON_LINE) if json_lines else ()),
    )


def refusal(envoy: Path, places: Places) -> str:
    """Why Envoy refuses its configuration, in its words; empty if it does not.

    There may be no Python in it: that would be run.
    """
    judged = subprocess.run(  # noqa: S603  the program is the one that is installed
        (
            *_given(envoy, places),
            *("--mode", "validate"),
            *("--log-level", "error"),
            *("--log-format", "%v"),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    if not judged.returncode:
        return ""
    return judged.stderr.strip() or f"it ends with status {judged.returncode}"


def _given(envoy: Path, places: Places) -> Sequence[str]:
    return str(envoy), "--config-path", str(places.bootstrap), "--disable-hot-restart"


def environ(libpython: Path) -> Mapping[str, str]:
    """What a Python needs to be the one that runs here, without being its program."""
    return {
        **os.environ,
        "LD_PRELOAD": str(libpython),
        "PYTHONHOME": f"{sys.prefix}{os.pathsep}{sys.exec_prefix}",
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        # As PYTHON's -P has it for its children.
        "PYTHONSAFEPATH": "1",
    }

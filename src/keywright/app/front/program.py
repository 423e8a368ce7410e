"""What the supervisor starts as a front: Envoy, with its configuration in a private directory."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from keywright.app import descriptors
from keywright.app.config import Config
from keywright.app.front import envoy, installation
from keywright.app.listen import ListenAddress, TcpAddress
from keywright.app.workers.port import resolved
from keywright.app.workers.process import Program

APPLICATION = "keywright.app.front.application:app"
# Envoy would end at once, and its calls with it. So a thread of the application waits for these,
# and has Envoy end when the calls have (`application`).
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


@contextmanager
def front(
    config: Config, listen: ListenAddress, application: str = APPLICATION
) -> Iterator[Program]:
    """What is started, and its directory (0700) as long as the block runs."""
    found = installation.find()
    descriptors.connections(config)  # raises the limit, which Envoy inherits
    with tempfile.TemporaryDirectory(prefix="keywright-", ignore_cleanup_errors=True) as name:
        places = envoy.Places(Path(name))
        inside = envoy.Inside(found.module, application)
        bootstrap = envoy.bootstrap(config, _addresses(listen), inside, places)
        places.bootstrap.write_text(envoy.written(bootstrap), encoding="utf-8")
        yield Program(
            envoy.command(found.envoy, places, json_lines=config.log_format == "json"),
            environ=_environ(found.libpython),
            # Where nobody else can put a module: pyvoy looks for them where it is started.
            directory=places.directory,
            blocked=STOP_SIGNALS,
        )


def _addresses(listen: ListenAddress) -> list[ListenAddress]:
    """As Envoy takes them, which does not look up names."""
    if isinstance(listen, TcpAddress):
        return [TcpAddress(host, listen.port) for _, host in resolved(listen)]
    return [listen]


def _environ(libpython: Path) -> Mapping[str, str]:
    """What a Python needs to be the one that runs here, without being its program."""
    return {
        **os.environ,
        "LD_PRELOAD": str(libpython),
        "PYTHONHOME": f"{sys.prefix}{os.pathsep}{sys.exec_prefix}",
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        # As PYTHON's -P has it for its children.
        "PYTHONSAFEPATH": "1",
    }

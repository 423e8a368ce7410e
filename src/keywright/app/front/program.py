"""What the supervisor starts as a front: Envoy, with its configuration in a private directory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keywright.app import descriptors
from keywright.app.config import Config
from keywright.app.front.envoy import bootstrap
from keywright.app.listen import ListenAddress, TcpAddress
from keywright.app.workers.port import resolved
from keywright.app.workers.process import Program
from keywright.front import installation
from keywright.front.envoy import Inside, written
from keywright.front.places import Places
from keywright.front.program import STOP_SIGNALS, command, environ

APPLICATION = "keywright.app.front.application:app"


@contextmanager
def front(
    config: Config, listen: ListenAddress, application: str = APPLICATION
) -> Iterator[Program]:
    """What is started, and its directory (0700) as long as the block runs."""
    found = installation.find()
    descriptors.connections(config)  # raises the limit, which Envoy inherits
    with tempfile.TemporaryDirectory(prefix="keywright-", ignore_cleanup_errors=True) as name:
        places = Places(Path(name))
        inside = Inside(found.module, application)
        configuration = bootstrap(config, _addresses(listen), inside, places)
        places.bootstrap.write_text(written(configuration), encoding="utf-8")
        yield Program(
            command(found.envoy, places, json_lines=config.log_format == "json"),
            environ=environ(found.libpython),
            # Where nobody else can put a module: pyvoy looks for them where it is started.
            directory=places.directory,
            blocked=STOP_SIGNALS,
        )


def _addresses(listen: ListenAddress) -> list[ListenAddress]:
    """As Envoy takes them, which does not look up names."""
    if isinstance(listen, TcpAddress):
        return [TcpAddress(host, listen.port) for _, host in resolved(listen)]
    return [listen]

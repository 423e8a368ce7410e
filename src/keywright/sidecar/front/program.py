"""How the sidecar becomes Envoy with the sidecar inside."""

import json
import os
import signal
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import NoReturn

from keywright.front import installation, places
from keywright.front.envoy import STAT_PREFIX, Inside, bootstrapped, python, written
from keywright.front.messages import Message, named, pipe, port
from keywright.front.places import Places
from keywright.front.program import STOP_SIGNALS, command, environ
from keywright.programs.addresses import Address, TcpAddress, listening_socket
from keywright.programs.caller import Caller
from keywright.sidecar.config import Config, Limits
from keywright.sidecar.serve import cannot_listen

_APPLICATION = "keywright.sidecar.front.application:app"
_HEADERS_MAX_KIB = 8_192  # as much as Envoy takes


@dataclass(frozen=True, slots=True)
class Order:
    """What the sidecar inside is to be.

    Attributes:
        directory: where it was started, from which files are named.
        config: its configuration.
        caller: how it calls the server.
    """

    directory: str
    config: str
    caller: Caller

    def write(self, ours: Places) -> None:
        """Leave it where `read` finds it."""
        _file(ours).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, ours: Places) -> "Order":
        """What was left there."""
        told = json.loads(_file(ours).read_text(encoding="utf-8"))
        return cls(told["directory"], told["config"], Caller(**told["caller"]))


def become_envoy(config: Config, order: Order) -> NoReturn:
    """Go on as Envoy, with the sidecar inside.

    Raises:
        NoEnvoyError: there is none.
        ConfigurationError: `LISTEN_FAILED`.
    """
    found = installation.find()
    assert config.envoy is not None, "the configuration is verified"  # noqa: S101
    try:
        # Envoy would say it in more words, and takes over a socket that somebody listens on.
        listening_socket(config.envoy).close()
    except OSError as error:
        raise cannot_listen(config.envoy, error.strerror or str(error)) from error
    ours = places.left()
    order.write(ours)
    configuration = bootstrap(config.envoy, config.limits, Inside(found.module, _APPLICATION), ours)
    ours.bootstrap.write_text(written(configuration), encoding="utf-8")
    argv = command(found.envoy, ours, json_lines=True)
    environment = environ(found.libpython)
    # Where nobody else can put a module: pyvoy looks for them where it is started.
    os.chdir(ours.directory)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    os.execve(argv[0], list(argv), environment)  # noqa: S606  it is no shell's to find


def bootstrap(listen: Address, limits: Limits, inside: Inside, ours: Places) -> Message:
    """config.bootstrap.v3.Bootstrap: one listener, and nothing behind it."""
    listener = _listener(listen, limits, inside)
    return bootstrapped(ours, [listener], connections=limits.connections)


def _listener(listen: Address, limits: Limits, inside: Inside) -> Message:
    """config.listener.v3.Listener."""
    return {
        "name": "envoy",
        "address": _address(listen),
        # Two sidecars at one port would be a mistake.
        "enable_reuse_port": False,
        # What is buffered of one request: else Envoy ends longer ones in words of its own.
        "per_connection_buffer_limit_bytes": 2 * limits.message_bytes,
        "filter_chains": [{"filters": [_http(limits, inside)]}],
    }


def _address(listen: Address) -> Message:
    """config.core.v3.Address."""
    if isinstance(listen, TcpAddress):
        return port(listen.host, listen.port)
    return pipe(listen.path)


def _http(limits: Limits, inside: Inside) -> Message:
    """extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."""
    return named(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.filters.network.http_connection_manager",
        stat_prefix=STAT_PREFIX,
        codec_type="HTTP2",
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        max_request_headers_kb=min(ceil(limits.header_bytes / 1024), _HEADERS_MAX_KIB),
        route_config={},
        http_filters=[python(inside)],
    )


def _file(ours: Places) -> Path:
    return ours.directory / "order.json"

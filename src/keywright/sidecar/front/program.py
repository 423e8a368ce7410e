"""How the sidecar becomes Envoy with the sidecar inside."""

import json
import os
import signal
import tempfile
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import NoReturn

from keywright.front import installation
from keywright.front.envoy import STAT_PREFIX, Inside, bootstrapped, python, written
from keywright.front.messages import Message, named, pipe, port
from keywright.front.places import Places
from keywright.front.program import STOP_SIGNALS, command, environ
from keywright.programs.addresses import Address, TcpAddress, listening_socket
from keywright.sidecar.caller import Caller
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

    def write(self, places: Places) -> None:
        """Leave it where `read` finds it."""
        _file(places).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, places: Places) -> "Order":
        """What was left there."""
        told = json.loads(_file(places).read_text(encoding="utf-8"))
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
    places = Places(Path(tempfile.mkdtemp(prefix="keywright-")))
    order.write(places)
    configuration = bootstrap(
        config.envoy, config.limits, Inside(found.module, _APPLICATION), places
    )
    places.bootstrap.write_text(written(configuration), encoding="utf-8")
    argv = command(found.envoy, places, json_lines=True)
    environment = environ(found.libpython)
    # Where nobody else can put a module: pyvoy looks for them where it is started.
    os.chdir(places.directory)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    os.execve(argv[0], list(argv), environment)  # noqa: S606  it is no shell's to find


def bootstrap(listen: Address, limits: Limits, inside: Inside, places: Places) -> Message:
    """config.bootstrap.v3.Bootstrap: one listener, and nothing behind it."""
    return {
        **bootstrapped(places, [_listener(listen, limits, inside)]),
        "overload_manager": _overload(limits),
    }


def _overload(limits: Limits) -> Message:
    """config.overload.v3.OverloadManager: one connection more is closed at once."""
    monitor = named(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "envoy.resource_monitors.global_downstream_max_connections",
        max_active_downstream_connections=limits.connections,
    )
    return {"resource_monitors": [monitor]}


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


def _file(places: Places) -> Path:
    return places.directory / "order.json"

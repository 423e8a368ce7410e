"""Envoy's configuration, made of ours (api-v3 of envoyproxy.io; JSON as protobuf has it).

Each function makes one message, which is named in its first line. Nothing here is secret: files are
named, and not read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from keywright.app.config import Config
from keywright.app.listen import ListenAddress, TcpAddress
from keywright.wire.peers import ADDRESS_KEY, CERTIFIED_KEY

Message = Mapping[str, Any]
IN_PYTHON = ("Authenticate", "BatchAuthenticate")
"""The methods of AuthService that are worth it: what is asked in masses, and answered from memory.
"""
_AUTH_SERVICE = "/keywright.v1.AuthService/"
_STAT_PREFIX = "front"
ACTIVE_CALLS = f"http.{_STAT_PREFIX}.downstream_rq_active"
_KEPT = {"exact": ACTIVE_CALLS}
_REST = "grpc_aio"
_TYPE = "type.googleapis.com/envoy."
_HTTP = "extensions.filters.http."
_NO_LIMIT = "0s"
_CONNECT_TIMEOUT = timedelta(seconds=5)
_LAST_WORD = timedelta(seconds=1)  # Python's comes first, which says more
_PLENTY = 1_000_000
# gRPC keeps a header that it could not parse ("grpc-timeout: soon") in the table of its connection,
# and fails every later call that refers to its name there; that connection is everybody's. So none
# of them are kept, which costs little on a socket.
_UNREMEMBERED = {"hpack_table_size": 0}
_STREAM_WINDOW_BYTES = 2**16
_CONNECTION_WINDOW_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Places:
    """What is in the private directory of one process."""

    directory: Path

    @property
    def bootstrap(self) -> Path:
        """Envoy's configuration."""
        return self.directory / "envoy.json"

    @property
    def admin(self) -> Path:
        """The UNIX socket of Envoy's administration."""
        return self.directory / "admin.sock"

    @property
    def grpc_aio(self) -> Path:
        """The UNIX socket of grpc.aio."""
        return self.directory / "grpc.sock"


def written(bootstrap: Message) -> str:
    """A configuration as Envoy reads it."""
    return json.dumps(bootstrap, indent=1)


@dataclass(frozen=True, slots=True)
class Inside:
    """What runs inside Envoy: pyvoy's library, and the application that it is to find."""

    module: Path
    application: str


def bootstrap(
    config: Config, listen: Sequence[ListenAddress], inside: Inside, places: Places
) -> Message:
    """config.bootstrap.v3.Bootstrap: one listener, and one cluster behind it."""
    return {
        "admin": {"address": {"pipe": {"path": str(places.admin), "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(config, listen, inside)],
            "clusters": [_cluster(places.grpc_aio)],
        },
        # Every other counter would be kept for nobody.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [_KEPT]}}},
    }


def _listener(config: Config, listen: Sequence[ListenAddress], inside: Inside) -> Message:
    """config.listener.v3.Listener: of all addresses that the name to listen on has here.

    The port is shared with other workers, and with the supervisor, who keeps it for them.
    """
    first, *others = map(_address, listen)
    return {
        "name": "front",
        "address": first,
        "additional_addresses": [{"address": each} for each in others],
        "enable_reuse_port": isinstance(listen[0], TcpAddress),
        # What is buffered of one request: else Envoy ends longer ones in words of its own.
        "per_connection_buffer_limit_bytes": 4 * config.max_request_bytes,
        "filter_chains": [{"filters": [_http(config, inside)]}],
    }


def _address(listen: ListenAddress) -> Message:
    """config.core.v3.Address."""
    if isinstance(listen, TcpAddress):
        return {"socket_address": {"address": listen.host, "port_value": listen.port}}
    return {"pipe": {"path": str(listen.path)}}


def _http(config: Config, inside: Inside) -> Message:
    """extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."""
    return _named(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.filters.network.http_connection_manager",
        stat_prefix=_STAT_PREFIX,
        codec_type="AUTO",
        # The address of a call is that of its connection, whatever its headers say.
        use_remote_address=True,
        skip_xff_append=True,
        xff_num_trusted_hops=0,
        # A client's own id is the call's id; without one the server gives it.
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        # Streams may be silent for as long as they like.
        stream_idle_timeout=_NO_LIMIT,
        max_request_headers_kb=config.max_metadata_bytes // 1024,
        common_http_protocol_options={
            "idle_timeout": _seconds(config.max_connection_idle),
            "max_connection_duration": _seconds(config.max_connection_age),
        },
        http2_protocol_options={
            "max_concurrent_streams": config.max_concurrent_streams,
            "initial_stream_window_size": _STREAM_WINDOW_BYTES,
            "initial_connection_window_size": _CONNECTION_WINDOW_BYTES,
        },
        route_config=_routes(config),
        http_filters=[_to_python(inside), _router()],
    )


def _routes(config: Config) -> Message:
    """config.route.v3.RouteConfiguration: what does not go to Python at once goes to grpc.aio."""
    address = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [
            *(_route({"path": f"{_AUTH_SERVICE}{name}"}, _in_time(config)) for name in IN_PYTHON),
            _route({"prefix": "/"}, {}),
        ],
        "request_headers_to_add": [
            _overwritten(ADDRESS_KEY, address),
            _overwritten(CERTIFIED_KEY, "false"),
        ],
    }
    return {"name": "all", "virtual_hosts": [host]}


def _route(match: Message, bounds: Message) -> Message:
    """config.route.v3.Route."""
    return {"match": match, "route": {"cluster": _REST, "timeout": _NO_LIMIT, **bounds}}


def _in_time(config: Config) -> Message:
    """The deadline of a call that goes to Python, which knows it once the whole body is there."""
    times = {
        "grpc_timeout_header_max": _seconds(config.max_deadline + _LAST_WORD),
        "max_stream_duration": _seconds(config.default_deadline + _LAST_WORD),
    }
    return {"max_stream_duration": times}


def _overwritten(key: str, value: str) -> Message:
    """config.core.v3.HeaderValueOption: whatever a client has sent under this key is gone."""
    return {
        "header": {"key": key, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        "keep_empty_value": True,
    }


def _to_python(inside: Inside) -> Message:
    """extensions.common.matching.v3.ExtensionWithMatcher: some paths end in Python.

    One action for all of them: each action would be an application of its own.
    """
    paths = [_is_path(f"{_AUTH_SERVICE}{name}") for name in IN_PYTHON]
    python = _named(
        f"{_HTTP}composite.v3.ExecuteFilterAction", "python", typed_config=_python(inside)
    )
    matched = {"predicate": {"or_matcher": {"predicate": paths}}, "on_match": {"action": python}}
    composite = "envoy.filters.http.composite"
    return _named(
        "extensions.common.matching.v3.ExtensionWithMatcher",
        composite,
        xds_matcher={"matcher_list": {"matchers": [matched]}},
        extension_config=_named(f"{_HTTP}composite.v3.Composite", composite),
    )


def _is_path(path: str) -> Message:
    """xds.type.matcher.v3.Matcher.MatcherList.Predicate."""
    return {
        "single_predicate": {
            "input": _named(
                "type.matcher.v3.HttpRequestHeaderMatchInput", "path", header_name=":path"
            ),
            "value_match": {"exact": path},
        }
    }


def _python(inside: Inside) -> Message:
    """extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter: the application."""
    settings = {
        "app": inside.application,
        "interface": "asgi",
        "root_path": "",
        "worker_threads": 1,
        "lifespan": True,
        "loop": "uvloop",
    }
    return _named(
        f"{_HTTP}dynamic_modules.v3.DynamicModuleFilter",
        "python",
        dynamic_module_config={"module": {"local": {"filename": str(inside.module)}}},
        filter_name="pyvoy",
        terminal_filter=True,
        filter_config={
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(settings),
        },
    )


def _router() -> Message:
    """extensions.filters.http.router.v3.Router."""
    return _named(
        f"{_HTTP}router.v3.Router", "envoy.filters.http.router", suppress_envoy_headers=True
    )


def _cluster(socket: Path) -> Message:
    """config.cluster.v3.Cluster: grpc.aio in this process. Its limits are its own."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    limits = ("max_connections", "max_pending_requests", "max_requests")
    http2 = "extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": _REST,
        "type": "STATIC",
        "connect_timeout": _seconds(_CONNECT_TIMEOUT),
        "load_assignment": {"cluster_name": _REST, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, _PLENTY)]},
        "typed_extension_protocol_options": {
            f"envoy.{http2}": {
                "@type": f"{_TYPE}{http2}",
                "explicit_http_config": {"http2_protocol_options": _UNREMEMBERED},
            }
        },
    }


def _named(kind: str, name: str, **fields: Any) -> Message:
    """config.core.v3.TypedExtensionConfig, and what is like it."""
    return {"name": name, "typed_config": {"@type": f"{_TYPE}{kind}", **fields}}


def _seconds(value: timedelta) -> str:
    """protobuf.Duration."""
    return f"{value.total_seconds():.3f}s"


def command(envoy: Path, places: Places, *, json_lines: bool) -> Sequence[str]:
    """How Envoy is started."""
    return (
        str(envoy),
        *("--config-path", str(places.bootstrap)),
        *("--concurrency", "1"),
        "--disable-hot-restart",
        *("--log-level", "warning"),
        *(("--log-format", _JSON_LINE) if json_lines else ()),
    )


# As our own lines are; %_ and %j are as JSON has them in a string.
_JSON_LINE = (
    '{"event": "%j", "logger": "envoy", "level": "%l", "timestamp": "%Y-%m-%dT%H:%M:%S.%fZ"}'
)

"""Envoy's configuration, made of ours (api-v3 of envoyproxy.io; JSON as protobuf has it).

Each function makes one message, which is named in its first line. Nothing here is secret: files are
named, and not read.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from keywright.app.config import Config
from keywright.app.listen import ListenAddress, TcpAddress
from keywright.front.envoy import STAT_PREFIX, Inside, bootstrapped, python
from keywright.front.messages import NO_LIMIT, Message, named, pipe, port, seconds, typed
from keywright.front.places import Places
from keywright.wire.peers import ADDRESS_KEY, CERTIFIED_KEY

IN_PYTHON = ("Authenticate", "BatchAuthenticate")
"""The methods of AuthService that are worth it: what is asked in masses, and answered from memory.
"""
_AUTH_SERVICE = "/keywright.v1.AuthService/"
_REST = "grpc_aio"
_HTTP = "extensions.filters.http."
_CONNECT_TIMEOUT = timedelta(seconds=5)
_LAST_WORD = timedelta(seconds=1)  # Python's comes first, which says more
_PLENTY = 1_000_000
# gRPC keeps a header that it could not parse ("grpc-timeout: soon") in the table of its connection,
# and fails every later call that refers to its name there; that connection is everybody's. So none
# of them are kept, which costs little on a socket.
_UNREMEMBERED = {"hpack_table_size": 0}
_STREAM_WINDOW_BYTES = 2**16
_CONNECTION_WINDOW_BYTES = 2**20


def bootstrap(
    config: Config, listen: Sequence[ListenAddress], inside: Inside, places: Places
) -> Message:
    """One listener, and one cluster behind it."""
    return bootstrapped(places, [_listener(config, listen, inside)], [_cluster(places.grpc_aio)])


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
        return port(listen.host, listen.port)
    return pipe(listen.path)


def _http(config: Config, inside: Inside) -> Message:
    """extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."""
    return named(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.filters.network.http_connection_manager",
        stat_prefix=STAT_PREFIX,
        codec_type="AUTO",
        # The address of a call is that of its connection, whatever its headers say.
        use_remote_address=True,
        skip_xff_append=True,
        xff_num_trusted_hops=0,
        # A client's own id is the call's id; without one the server gives it.
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        # Streams may be silent for as long as they like.
        stream_idle_timeout=NO_LIMIT,
        max_request_headers_kb=config.max_metadata_bytes // 1024,
        common_http_protocol_options={
            "idle_timeout": seconds(config.max_connection_idle),
            "max_connection_duration": seconds(config.max_connection_age),
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
    return {"match": match, "route": {"cluster": _REST, "timeout": NO_LIMIT, **bounds}}


def _in_time(config: Config) -> Message:
    """The deadline of a call that goes to Python, which knows it once the whole body is there."""
    times = {
        "grpc_timeout_header_max": seconds(config.max_deadline + _LAST_WORD),
        "max_stream_duration": seconds(config.default_deadline + _LAST_WORD),
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
    action = named(
        f"{_HTTP}composite.v3.ExecuteFilterAction", "python", typed_config=python(inside)
    )
    matched = {"predicate": {"or_matcher": {"predicate": paths}}, "on_match": {"action": action}}
    composite = "envoy.filters.http.composite"
    return named(
        "extensions.common.matching.v3.ExtensionWithMatcher",
        composite,
        xds_matcher={"matcher_list": {"matchers": [matched]}},
        extension_config=named(f"{_HTTP}composite.v3.Composite", composite),
    )


def _is_path(path: str) -> Message:
    """xds.type.matcher.v3.Matcher.MatcherList.Predicate."""
    return {
        "single_predicate": {
            "input": named(
                "type.matcher.v3.HttpRequestHeaderMatchInput", "path", header_name=":path"
            ),
            "value_match": {"exact": path},
        }
    }


def _router() -> Message:
    """extensions.filters.http.router.v3.Router."""
    return named(
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
        "connect_timeout": seconds(_CONNECT_TIMEOUT),
        "load_assignment": {"cluster_name": _REST, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, _PLENTY)]},
        "typed_extension_protocol_options": {
            f"envoy.{http2}": typed(
                http2, explicit_http_config={"http2_protocol_options": _UNREMEMBERED}
            )
        },
    }

"""Envoy's configuration, made of ours.

Nothing here is secret: files are named, and not read.

What a connection may do is what `grpc_server.connection_options` says, in Envoy's words. Beside
that Envoy has bounds of its own, and they are on: it ends a connection on which most of 500 calls
were reset within a second (CVE-2023-44487, `overload.premature_reset_*`), that does not read a
thousand answers to PING and SETTINGS, that sends frames with nothing in them, or PRIORITY and
WINDOW_UPDATE without end (CVE-2019-9511 to 9518).
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from keywright.app import descriptors
from keywright.app.config import Config
from keywright.app.front import calls, certificates
from keywright.front.envoy import STAT_PREFIX, Inside, bootstrapped
from keywright.front.messages import NO_LIMIT, Message, named, pipe, port, seconds, typed
from keywright.front.places import Places
from keywright.listening import ListenAddress, TcpAddress
from keywright.wire.json_body import PATH_KEY

_EVERY_ADDRESS = "::"
_CONNECT_TIMEOUT = timedelta(seconds=5)
# After which an ending connection takes no call any more: a client has long heard of the end.
_DRAIN_TIMEOUT = timedelta(seconds=1)
_PLENTY = 1_000_000
_FIELD_BYTES = 32  # what each header counts for beside what is in it (RFC 9113, section 6.5.2)
_STREAM_WINDOW_BYTES = 2**16
_CONNECTION_WINDOW_BYTES = 2**20


def bootstrap(
    config: Config, listen: Sequence[ListenAddress], inside: Inside | None, places: Places
) -> Message:
    """config.bootstrap.v3.Bootstrap: one listener, and one cluster behind it.

    Without anything `inside` it is for Envoy to judge, and not to run: no Python is in it.
    """
    return bootstrapped(
        places,
        [_listener(config, listen, inside, places)],
        [_cluster(config, places.grpc_aio)],
        connections=descriptors.connections(config),
        # What is remembered takes more than it counts.
        memory_bytes=config.max_memory_bytes + 2 * config.cache_bytes,
    )


def _listener(
    config: Config, listen: Sequence[ListenAddress], inside: Inside | None, places: Places
) -> Message:
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
        # Who does not begin to speak: in plain text waited for here, with TLS below.
        "listener_filters_timeout": seconds(config.handshake_timeout),
        "listener_filters": [] if config.tls else [_first_words()],
        "filter_chains": [_chain(config, inside, places)],
    }


def _address(listen: ListenAddress) -> Message:
    """config.core.v3.Address."""
    if isinstance(listen, TcpAddress):
        # What stands for every address of IPv6 stands for those of IPv4 as well, as at grpc.aio.
        every = {"ipv4_compat": True} if listen.host == _EVERY_ADDRESS else {}
        return port(listen.host, listen.port, **every)
    return pipe(listen.path)


def _first_words() -> Message:
    """extensions.filters.listener.http_inspector.v3.HttpInspector."""
    return named(
        "extensions.filters.listener.http_inspector.v3.HttpInspector",
        "envoy.filters.listener.http_inspector",
    )


def _chain(config: Config, inside: Inside | None, places: Places) -> Message:
    """config.listener.v3.FilterChain."""
    chain = {"filters": [_http(config, inside, places)]}
    if config.tls is None:
        return chain
    return {
        **chain,
        "transport_socket": (
            certificates.transport_socket(config.tls, places)
            if inside
            else certificates.judged_transport_socket(config.tls)
        ),
        "transport_socket_connect_timeout": seconds(config.handshake_timeout),
    }


def _http(config: Config, inside: Inside | None, places: Places) -> Message:
    """extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."""
    # Envoy ends longer ones without a word of ours, so grpc.aio has the real limit.
    headers_max_bytes = 2 * config.max_metadata_bytes
    return named(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.filters.network.http_connection_manager",
        stat_prefix=STAT_PREFIX,
        codec_type="AUTO",
        # The address of a call is that of its connection, whatever its headers say; and what they
        # say of a certificate is gone.
        use_remote_address=True,
        skip_xff_append=True,
        xff_num_trusted_hops=0,
        forward_client_cert_details="SANITIZE",
        # A client's own id is the call's id; without one the server gives it.
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        # Streams may be silent for as long as they like, but not half a request.
        stream_idle_timeout=NO_LIMIT,
        request_headers_timeout=seconds(config.handshake_timeout),
        # Who does not read the last of a reply.
        stream_flush_timeout=seconds(config.keepalive_timeout),
        max_request_headers_kb=headers_max_bytes // 1024,
        drain_timeout=seconds(min(_DRAIN_TIMEOUT, config.max_connection_age_grace)),
        common_http_protocol_options={
            "idle_timeout": seconds(config.max_connection_idle),
            "max_connection_duration": seconds(config.max_connection_age),
            "max_stream_duration": seconds(calls.longest(config)),
            # Else a hundred, and more of them fit into what is to be taken.
            "max_headers_count": headers_max_bytes // _FIELD_BYTES,
        },
        # Its connections end with an answer, and not between a call and its answer.
        http1_safe_max_connection_duration=True,
        http2_protocol_options=_http2(config),
        local_reply_config=_words(),
        route_config=calls.routes(config),
        http_filters=calls.filters(config, inside, places),
    )


def _words() -> Message:
    """extensions.filters.network.http_connection_manager.v3.LocalReplyConfig: errors of Envoy's.

    In JSON; to a client of gRPC, which is told the same in a header, without it.
    """
    grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    # What was JSON looks the same by then, but for this.
    not_json = {"name": PATH_KEY, "present_match": True, "invert_match": True}
    both = {"filters": [{"header_filter": {"header": each}} for each in (grpc, not_json)]}
    plain = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}
    return {
        "mappers": [{"filter": {"and_filter": both}, "body_format_override": plain}],
        "body_format": {"json_format": {"message": "%LOCAL_REPLY_BODY%"}},
    }


def _http2(config: Config) -> Message:
    """config.core.v3.Http2ProtocolOptions."""
    return {
        "max_concurrent_streams": config.max_concurrent_streams,
        "initial_stream_window_size": _STREAM_WINDOW_BYTES,
        "initial_connection_window_size": _CONNECTION_WINDOW_BYTES,
        "connection_keepalive": {
            "interval": seconds(config.keepalive_time),
            "timeout": seconds(config.keepalive_timeout),
        },
        # What is wrong with one call ends that one.
        "override_stream_error_on_invalid_http_message": True,
    }


def _cluster(config: Config, socket: Path) -> Message:
    """config.cluster.v3.Cluster: grpc.aio in this process. Its limits are its own.

    A connection has no more calls than a client's, so that not all streams end with one.
    """
    endpoint = {"endpoint": {"address": pipe(socket)}}
    limits = ("max_connections", "max_pending_requests", "max_requests")
    http2 = "extensions.upstreams.http.v3.HttpProtocolOptions"
    streams = {"max_concurrent_streams": config.max_concurrent_streams}
    return {
        "name": calls.REST,
        "type": "STATIC",
        "connect_timeout": seconds(_CONNECT_TIMEOUT),
        "load_assignment": {
            "cluster_name": calls.REST,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, _PLENTY)]},
        "typed_extension_protocol_options": {
            f"envoy.{http2}": typed(
                http2,
                explicit_http_config={"http2_protocol_options": streams},
            )
        },
    }

"""What becomes of a call at Envoy: from gRPC, gRPC-Web or JSON to Python, or to grpc.aio."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from keywright.app.config import Config
from keywright.app.front import contract
from keywright.front.envoy import Inside, python
from keywright.front.messages import NO_LIMIT, Message, named, seconds, typed
from keywright.front.places import Places
from keywright.wire.interceptors.call_id import METADATA_KEY
from keywright.wire.peers import ADDRESS_KEY, CERTIFIED, CERTIFIED_KEY

REST = "grpc_aio"
"""The cluster of all that does not end in Python."""
IN_PYTHON = ("Authenticate", "BatchAuthenticate")
"""The methods of AuthService that are worth it: what is asked in masses, and answered from memory.
"""
_PATHS = [f"/keywright.v1.AuthService/{name}" for name in IN_PYTHON]
_HTTP = "extensions.filters.http."
_LAST_WORD = timedelta(seconds=1)  # Python's comes first, which says more
_ADDRESS = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
_CORS = "envoy.filters.http.cors"
# What clients of gRPC-Web send and read beside what every page may (fetch.spec.whatwg.org, CORS).
_SENT = "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"
_READ = "grpc-status,grpc-message,grpc-status-details-bin"
_METHODS = "GET,POST,PATCH,DELETE"
_PREFLIGHT_HOLDS_SECONDS = 3600
# To read so much holds the event loop for a tenth of a second.
_JSON_MAX_BYTES = 2**18


def filters(config: Config, inside: Inside | None, places: Places) -> Sequence[Message]:
    """extensions.filters.network.http_connection_manager.v3.HttpFilter, in the order of a call.

    1. Pages of other origins, if any may call. 2. gRPC-Web and 3. JSON become gRPC, and the replies
    what they were. 4. Some paths end in Python. 5. The rest goes to grpc.aio.

    Without anything `inside` all of it does.
    """
    return [
        *([named(f"{_HTTP}cors.v3.Cors", _CORS)] if config.browser_origins else ()),
        named(f"{_HTTP}grpc_web.v3.GrpcWeb", "envoy.filters.http.grpc_web"),
        _json(config, places),
        *([_to_python(inside)] if inside else ()),
        named(f"{_HTTP}router.v3.Router", "envoy.filters.http.router", suppress_envoy_headers=True),
    ]


def longest(config: Config) -> timedelta:
    """How long a call may last.

    An old connection takes no new calls and ends with its last. Those of grpc.aio it has ended by
    then (`listener`), at an age that it varies by a tenth.
    """
    return 1.2 * config.max_connection_age + config.max_connection_age_grace


def routes(config: Config) -> Message:
    """config.route.v3.RouteConfiguration: what does not go to Python at once goes to grpc.aio."""
    host: dict[str, Any] = {
        "name": "all",
        "domains": ["*"],
        "routes": [
            *(_route({"path": path}, _in_time(config)) for path in _PATHS),
            _route({"prefix": "/"}, {}),
        ],
        "request_headers_to_add": [
            _overwritten(ADDRESS_KEY, _ADDRESS),
            # No connection comes to be without a certificate that its authority has signed.
            _overwritten(CERTIFIED_KEY, CERTIFIED if config.certifies_clients else "false"),
        ],
    }
    if config.browser_origins:
        host["typed_per_filter_config"] = {_CORS: _pages(config)}
    return {"name": "all", "virtual_hosts": [host]}


def _route(match: Message, bounds: Message) -> Message:
    """config.route.v3.Route."""
    return {"match": match, "route": {"cluster": REST, "timeout": NO_LIMIT, **bounds}}


def _in_time(config: Config) -> Message:
    """The deadline of a call that goes to Python, which knows it once the whole body is there."""
    most = longest(config)
    times = {
        "grpc_timeout_header_max": seconds(min(most, config.max_deadline + _LAST_WORD)),
        "max_stream_duration": seconds(min(most, config.default_deadline + _LAST_WORD)),
    }
    return {"max_stream_duration": times}


def _overwritten(key: str, value: str) -> Message:
    """config.core.v3.HeaderValueOption: whatever a client has sent under this key is gone."""
    return {
        "header": {"key": key, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        "keep_empty_value": True,
    }


def _pages(config: Config) -> Message:
    """extensions.filters.http.cors.v3.CorsPolicy: no cookies, because nothing is in any."""
    return typed(
        f"{_HTTP}cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": each} for each in config.browser_origins],
        allow_methods=_METHODS,
        allow_headers=f"{_SENT},{METADATA_KEY}",
        expose_headers=f"{_READ},{METADATA_KEY}",
        max_age=str(_PREFLIGHT_HOLDS_SECONDS),
    )


def _json(config: Config, places: Places) -> Message:
    """extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder."""
    return named(
        f"{_HTTP}grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "envoy.filters.http.grpc_json_transcoder",
        proto_descriptor=str(places.descriptors),
        services=contract.names(),
        convert_grpc_status=True,
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        max_request_body_size=min(config.max_request_bytes, _JSON_MAX_BYTES),
        # Of a whole reply, which is to be turned at once, and of what it becomes.
        max_response_body_size=4 * config.max_response_bytes,
    )


def _to_python(inside: Inside) -> Message:
    """extensions.common.matching.v3.ExtensionWithMatcher: some paths end in Python.

    One action for all of them: each action would be an application of its own.
    """
    paths = [_is_path(path) for path in _PATHS]
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

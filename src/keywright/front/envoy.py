"""What every configuration of Envoy has that has Python inside (api-v3 of envoyproxy.io)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from keywright.front.messages import Message, file, named, pipe, seconds
from keywright.front.places import Places

STAT_PREFIX = "front"
ACTIVE_CALLS = f"http.{STAT_PREFIX}.downstream_rq_active"
WORKERS_STARTED = "listener_manager.workers_started"
_NEARLY_FULL = 0.8
_MEASURED_EVERY = timedelta(milliseconds=100)
_SHEDDING = (
    "envoy.load_shed_points.http2_server_go_away_and_close_on_dispatch",
    "envoy.load_shed_points.http1_server_abort_dispatch",
)
_RELEASED_BYTES, _RELEASED_EVERY = 2**26, timedelta(seconds=1)
_KEPT = [{"exact": name} for name in (ACTIVE_CALLS, WORKERS_STARTED)]


@dataclass(frozen=True, slots=True)
class Inside:
    """What runs inside Envoy: pyvoy's library, and the application that it is to find."""

    module: Path
    application: str


def written(message: Message) -> str:
    """A message as Envoy reads it from a file."""
    return json.dumps(message, indent=1)


def bootstrapped(
    places: Places,
    listeners: Sequence[Message],
    clusters: Sequence[Message] = (),
    *,
    connections: int,
    memory_bytes: int,
) -> Message:
    """config.bootstrap.v3.Bootstrap, for at most so many connections and so much memory."""
    return {
        "node": {"id": "keywright", "cluster": "keywright"},  # Envoy reads no file without
        "admin": {
            "address": pipe(places.admin, mode=0o600),
            "ignore_global_conn_limit": True,
        },
        "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
        "overload_manager": _overload(connections, memory_bytes),
        # Python's memory is Envoy's, too, which would keep whatever it has had once: 1.7 GB after
        # an attack, of which 0.6 are left like this half a minute later.
        "memory_allocator_manager": {
            "bytes_to_release": _RELEASED_BYTES,
            "memory_release_interval": seconds(_RELEASED_EVERY),
        },
        # Every other counter would be kept for nobody.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _KEPT}}},
    }


def _overload(connections: int, memory_bytes: int) -> Message:
    """config.overload.v3.OverloadManager.

    One connection more is closed at once. The nearer memory is to its bound, the more likely a
    connection is closed on which something comes in: most comes from whoever fills it. Without that
    anybody could, without a credential, by requests that are long and never end.
    """
    kinds = "extensions.resource_monitors"
    connected = named(
        f"{kinds}.downstream_connections.v3.DownstreamConnectionsConfig",
        "envoy.resource_monitors.global_downstream_max_connections",
        max_active_downstream_connections=connections,
    )
    taken = named(
        f"{kinds}.fixed_heap.v3.FixedHeapConfig",
        "envoy.resource_monitors.fixed_heap",
        max_heap_size_bytes=memory_bytes,
    )
    near = {"scaling_threshold": _NEARLY_FULL, "saturation_threshold": 1}
    triggers = [{"name": taken["name"], "scaled": near}]
    return {
        "refresh_interval": seconds(_MEASURED_EVERY),
        "resource_monitors": [connected, taken],
        "loadshed_points": [{"name": each, "triggers": triggers} for each in _SHEDDING],
    }


def python(inside: Inside) -> Message:
    """extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter: the application."""
    settings = {
        "app": inside.application,
        "interface": "asgi",
        "root_path": "",
        "worker_threads": 1,
        "lifespan": True,
        "loop": "uvloop",
    }
    return named(
        "extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        "python",
        dynamic_module_config={"module": {"local": file(inside.module)}},
        filter_name="pyvoy",
        terminal_filter=True,
        filter_config={
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(settings),
        },
    )

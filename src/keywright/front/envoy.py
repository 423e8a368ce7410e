"""What every configuration of Envoy has that has Python inside (api-v3 of envoyproxy.io)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keywright.front.messages import Message, file, named, pipe
from keywright.front.places import Places

STAT_PREFIX = "front"
ACTIVE_CALLS = f"http.{STAT_PREFIX}.downstream_rq_active"
WORKERS_STARTED = "listener_manager.workers_started"
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
) -> Message:
    """config.bootstrap.v3.Bootstrap, for at most so many connections."""
    return {
        "node": {"id": "keywright", "cluster": "keywright"},  # Envoy reads no file without
        "admin": {
            "address": pipe(places.admin, mode=0o600),
            "ignore_global_conn_limit": True,
        },
        "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
        "overload_manager": _overload(connections),
        # Every other counter would be kept for nobody.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _KEPT}}},
    }


def _overload(connections: int) -> Message:
    """config.overload.v3.OverloadManager: one connection more is closed at once."""
    monitor = named(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "envoy.resource_monitors.global_downstream_max_connections",
        max_active_downstream_connections=connections,
    )
    return {"resource_monitors": [monitor]}


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

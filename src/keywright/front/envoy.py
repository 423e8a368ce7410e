"""What every configuration of Envoy has that has Python inside (api-v3 of envoyproxy.io)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]
STAT_PREFIX = "front"
ACTIVE_CALLS = f"http.{STAT_PREFIX}.downstream_rq_active"
_KEPT = {"exact": ACTIVE_CALLS}
TYPE = "type.googleapis.com/envoy."


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
        """The UNIX socket of grpc.aio, where there is one beside Envoy."""
        return self.directory / "grpc.sock"


@dataclass(frozen=True, slots=True)
class Inside:
    """What runs inside Envoy: pyvoy's library, and the application that it is to find."""

    module: Path
    application: str


def written(bootstrap: Message) -> str:
    """A configuration as Envoy reads it."""
    return json.dumps(bootstrap, indent=1)


def bootstrapped(
    places: Places, listeners: Sequence[Message], clusters: Sequence[Message] = ()
) -> Message:
    """config.bootstrap.v3.Bootstrap."""
    return {
        "admin": {"address": {"pipe": {"path": str(places.admin), "mode": 0o600}}},
        "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
        # Every other counter would be kept for nobody.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [_KEPT]}}},
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
        dynamic_module_config={"module": {"local": {"filename": str(inside.module)}}},
        filter_name="pyvoy",
        terminal_filter=True,
        filter_config={
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(settings),
        },
    )


def at_port(host: str, port: int) -> Message:
    """config.core.v3.Address."""
    return {"socket_address": {"address": host, "port_value": port}}


def at_path(path: Path) -> Message:
    """config.core.v3.Address: of a UNIX socket."""
    return {"pipe": {"path": str(path)}}


def named(kind: str, name: str, **fields: Any) -> Message:
    """config.core.v3.TypedExtensionConfig, and what is like it."""
    return {"name": name, "typed_config": {"@type": f"{TYPE}{kind}", **fields}}


def seconds(value: timedelta) -> str:
    """protobuf.Duration."""
    return f"{value.total_seconds():.3f}s"

"""What Envoy's messages are made of (api-v3 of envoyproxy.io; JSON as protobuf has it).

Each function here and in the modules that stand on it makes one message, which its first line
names.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]
NO_LIMIT = "0s"
_TYPE = "type.googleapis.com/envoy."


def named(kind: str, name: str, **fields: Any) -> Message:
    """config.core.v3.TypedExtensionConfig, and what is like it."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def typed(kind: str, **fields: Any) -> Message:
    """google.protobuf.Any."""
    return {"@type": f"{_TYPE}{kind}", **fields}


def seconds(value: timedelta) -> str:
    """google.protobuf.Duration."""
    return f"{value.total_seconds():.3f}s"


def file(path: Path) -> Message:
    """config.core.v3.DataSource; Envoy is started elsewhere, so that the path has to be whole."""
    return {"filename": str(path.absolute())}


def port(host: str, number: int, **fields: Any) -> Message:
    """config.core.v3.Address."""
    return {"socket_address": {"address": host, "port_value": number, **fields}}


def pipe(path: Path, **fields: Any) -> Message:
    """config.core.v3.Address, of a UNIX socket."""
    return {"pipe": {"path": str(path), **fields}}

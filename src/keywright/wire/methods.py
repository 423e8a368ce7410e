"""Every method of the contract, from its descriptors, with its handler where there is one."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message_factory import GetMessageClass

from keywright import v1
from keywright.wire.handlers import (
    auth,
    grants,
    key_changes,
    key_import,
    keys,
    roles,
    users,
    workspaces,
)
from keywright.wire.rpc import Method

_HANDLERS: Mapping[str, Mapping[str, Any]] = {
    "AuthService": auth.HANDLERS,
    "GrantService": grants.HANDLERS,
    "KeyService": keys.HANDLERS | key_changes.HANDLERS | key_import.HANDLERS,
    "RoleService": roles.HANDLERS,
    "UserService": users.HANDLERS,
    "WorkspaceService": workspaces.HANDLERS,
}


# Whatever is called that the contract does not have. A stream takes any body, also none.
UNKNOWN = Method("unknown", "unknown", Empty, handler=None, streaming=True)


def services() -> list[ServiceDescriptor]:
    """The services of `keywright.v1`."""
    return [
        service
        for module in pkgutil.iter_modules(v1.__path__)
        if module.name.endswith("_service_pb2")
        for service in import_module(
            f"{v1.__name__}.{module.name}"
        ).DESCRIPTOR.services_by_name.values()
    ]


def methods() -> list[Method]:
    """All methods of all services."""
    return [_method(service, method) for service in services() for method in service.methods]


def _method(service: ServiceDescriptor, method: MethodDescriptor) -> Method:
    return Method(
        service=service.name,
        name=method.name,
        request_type=GetMessageClass(method.input_type),
        handler=_HANDLERS.get(service.name, {}).get(method.name),
        streaming=method.client_streaming or method.server_streaming,
    )

"""Every method of the contract, from its descriptors, with its handler where there is one."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message_factory import GetMessageClass

from keywright.wire.contract import services
from keywright.wire.handlers import (
    audit,
    auth,
    authenticate_stream,
    explain,
    grants,
    key_changes,
    key_import,
    keys,
    leaks,
    roles,
    sessions,
    usage,
    users,
    watch,
    workspaces,
)
from keywright.wire.rpc import Method

_HANDLERS: Mapping[str, Mapping[str, Any]] = {
    "AuditService": audit.HANDLERS,
    "AuthService": (
        auth.HANDLERS | authenticate_stream.HANDLERS | watch.HANDLERS | explain.HANDLERS
    ),
    "GrantService": grants.HANDLERS,
    "KeyService": keys.HANDLERS | key_changes.HANDLERS | key_import.HANDLERS | leaks.HANDLERS,
    "RoleService": roles.HANDLERS,
    "SessionService": sessions.HANDLERS,
    "UsageService": usage.HANDLERS,
    "UserService": users.HANDLERS,
    "WorkspaceService": workspaces.HANDLERS,
}


# Whatever is called that the contract does not have. A stream takes any body, also none.
UNKNOWN = Method("unknown", "unknown", Empty, handler=None, streaming=True)


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

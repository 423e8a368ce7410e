"""The contract as an attacker reads it: every method, and every place in a request for text."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import field_behavior_pb2, resource_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from keywright.v1 import auth_service_pb2, key_pb2, key_service_pb2, user_pb2, user_service_pb2
from keywright.wire.methods import methods
from keywright.wire.rpc import Method
from tests.support.service import PARENT, Service

METHODS = methods()
IMPLEMENTED = [method for method in METHODS if method.handler is not None]
UNIMPLEMENTED = [method for method in METHODS if method.handler is None]

_TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_IGNORED = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}


@dataclass(frozen=True)
class Place:
    """A place in the request of a method that takes text.

    `path` is the field's as errors name it; `of_key` says that it is the keys of a map; `ignored`
    that the server does not read it.
    """

    method: Method
    steps: tuple[FieldDescriptor, ...]
    of_key: bool = False

    def __str__(self) -> str:
        return f"{self.method.name}.{self.path}{'(key)' if self.of_key else ''}"

    @property
    def path(self) -> str:
        return ".".join(step.name for step in self.steps)

    @property
    def field(self) -> FieldDescriptor:
        return self.steps[-1]

    @property
    def ignored(self) -> bool:
        return any(
            behavior in _IGNORED
            for step in self.steps
            for behavior in step.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        )

    def put(self, request: Any, text: str) -> None:
        """Write `text` here."""
        *outer, field = self.steps
        for step in outer:
            inner = getattr(request, step.name)
            request = inner.add() if step.is_repeated else inner
        if _is_map(field):
            pair = {text: "x"} if self.of_key else {"x": text}
            getattr(request, field.name).update(pair)
            return
        value = text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        if field.is_repeated:
            getattr(request, field.name).append(value)
        else:
            setattr(request, field.name, value)

    @property
    def names(self) -> str:
        """The kind of resource that is named here, `User`; empty if none is."""
        reference = self.field.GetOptions().Extensions[resource_pb2.resource_reference]
        if reference.child_type:
            return "Workspace"
        return str(reference.type).removeprefix("keywright.dev/").replace("*", "")


def text_places(method: Method) -> list[Place]:
    """Every place for text in the request of `method`, in nested messages too."""
    message: Any = method.request_type.DESCRIPTOR
    return list(_places(method, message, ()))


def named_places() -> list[Place]:
    """Every place in an implemented method's request where a resource is named."""
    return [
        place
        for method in IMPLEMENTED
        for place in text_places(method)
        if place.names and not place.ignored
    ]


def _places(
    method: Method, message: Descriptor, outer: tuple[FieldDescriptor, ...]
) -> Iterator[Place]:
    for field in message.fields:
        steps = (*outer, field)
        if _is_map(field):
            yield Place(method, steps, of_key=True)
            yield Place(method, steps)
        elif field.type in _TEXT:
            yield Place(method, steps)
        elif field.message_type is not None:
            yield from _places(method, field.message_type, steps)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


async def good_request(service: Service, method: Method) -> Message:
    """A request of the method that succeeds, on resources of its own."""
    match method.name:
        case "Authenticate":
            return auth_service_pb2.AuthenticateRequest(token=service.admin_token)
        case "CreateKey":
            return key_service_pb2.CreateKeyRequest(parent=PARENT, key=key_pb2.Key())
        case "CreateUser":
            user = user_pb2.User(email=f"{uuid.uuid4().hex}@example.com")
            return user_service_pb2.CreateUserRequest(parent=PARENT, user=user)
        case "ListKeys" | "ListUsers":
            return method.request_type(parent=PARENT)
        case "GetKey" | "RevokeKey" | "DeleteKey":
            created = await service.admin.create_key()
            return method.request_type(name=created.key.name)
        case "GetUser" | "DisableUser" | "EnableUser":
            user = await service.admin.create_user(f"u-{uuid.uuid4().hex}")
            return method.request_type(name=user.name)
    raise AssertionError(f"say how a good {method.name} looks, so that bad ones are tried too")

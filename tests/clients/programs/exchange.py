"""What a client program is told and tells, as JSON, a line each; the same in all languages.

It is told to begin a call, by its number, or to cancel one:

    {"id": 1, "path": "/keywright.v1.AuthService/Authenticate", "requests": [{...}],
     "metadata": [["x-request-id", "a1"]], "deadline": 20, "gzip": false, "open": false}
    {"id": 1, "cancel": true}

`requests` are in protobuf's JSON; `open` means that the client says nothing more on a stream, and
does not end it either; `deadline` is in seconds. The values of metadata whose name ends in `-bin`
are base64. It tells each reply as it comes, and then how the call has ended:

    {"id": 1, "reply": {...}}
    {"id": 1, "code": 0, "message": "", "details": [], "headers": [], "trailers": []}

Calls that it is told of run at the same time, over one connection to the address of its argument.
This module is the Python programs' part in it.
"""

import base64
import json
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import Default
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2 as _found_by_name  # noqa: F401  in details
from google.rpc import status_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from keywright.v1.auth_service_pb2_grpc import AuthServiceStub
from keywright.v1.key_service_pb2_grpc import KeyServiceStub
from keywright.v1.user_service_pb2_grpc import UserServiceStub

_STUBS: dict[str, Any] = {
    "keywright.v1.AuthService": AuthServiceStub,
    "keywright.v1.KeyService": KeyServiceStub,
    "keywright.v1.UserService": UserServiceStub,
    "grpc.health.v1.Health": HealthStub,
    "grpc.reflection.v1alpha.ServerReflection": ServerReflectionStub,
}
_telling = threading.Lock()


@dataclass(frozen=True)
class Call:
    """A call to be made; `given` are the keyword arguments that every kind of stub takes."""

    number: int
    method: Any
    requests: list[Any]
    given: dict[str, Any]
    is_unary: bool
    is_open: bool


def asked(channel: Any, told: dict[str, Any]) -> Call:
    """The call that was told of, on a channel of either kind."""
    service, _, name = told["path"].lstrip("/").partition("/")
    stub = _STUBS[service](channel) if service in _STUBS else None
    if hasattr(stub, name):
        descriptor = Default().FindMethodByName(f"{service}.{name}")
        request_type: Any = GetMessageClass(descriptor.input_type)
        method, streams = getattr(stub, name), descriptor.server_streaming
    else:  # as a stub of another version of the contract would have it
        method, request_type, streams = channel.unary_unary(told["path"], bytes), bytes, False
    return Call(
        told["id"],
        method,
        [_parsed(each, request_type) for each in told["requests"]],
        {
            "metadata": tuple(_value(*each) for each in told["metadata"]),
            "timeout": told["deadline"],
            "compression": grpc.Compression.Gzip if told["gzip"] else None,
        },
        is_unary=not streams,
        is_open=told["open"],
    )


def _parsed(request: dict[str, Any], request_type: Any) -> Any:
    if request_type is bytes:
        return json_format.ParseDict(request, Empty()).SerializeToString()
    return json_format.ParseDict(request, request_type())


def _value(name: str, text: str) -> tuple[str, str | bytes]:
    return name, base64.b64decode(text) if name.endswith("-bin") else text


def tell_reply(number: int, reply: Any) -> None:
    """Say what has come."""
    _tell({"id": number, "reply": json_format.MessageToDict(reply)})


def tell_end(number: int, headers: Any, trailers: Any, end: tuple[Any, Any]) -> None:
    """Say how a call has ended; `end` is its code and message."""
    status = status_pb2.Status()
    for key, value in trailers or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    code, message = end
    _tell(
        {
            "id": number,
            "code": code.value[0],
            "message": message or "",
            "details": [json_format.MessageToDict(each) for each in status.details],
            "headers": _texts(headers),
            "trailers": _texts(trailers),
        }
    )


def _texts(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[str, str]]:
    return [
        (key, value if isinstance(value, str) else base64.b64encode(value).decode())
        for key, value in metadata or ()
    ]


def _tell(what: dict[str, Any]) -> None:
    line = json.dumps(what)
    with _telling:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

"""The contract as Envoy needs it to turn JSON into calls, and replies into JSON.

It is made of the generated code, with two things more. Every method that is no stream has a path
beside the one that it is annotated with: that of gRPC. And a body is not read by Envoy but left to
us (`wire.json_body`), in a field of the request that is known to nobody else.
"""

from collections.abc import Iterable

from google.api import annotations_pb2, httpbody_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from keywright.v1 import denial_pb2
from keywright.wire.contract import services
from keywright.wire.json_body import FIELD

# What an error has in it (`wire.errors`): JSON without them would be an error of its own.
_OF_ERRORS = (status_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR, denial_pb2.DESCRIPTOR)
_HTTP_BODY = httpbody_pb2.HttpBody.DESCRIPTOR
_BODY = "http_body"


def names() -> list[str]:
    """The services."""
    return [service.full_name for service in services()]


def descriptor_set() -> bytes:
    """A serialised google.protobuf.FileDescriptorSet, of all files in the order of their needs."""
    found: dict[str, FileDescriptor] = {}
    _gather((_HTTP_BODY.file, *(each.file for each in services()), *_OF_ERRORS), found)
    files = FileDescriptorSet()
    for each in found.values():
        each.CopyToProto(files.file.add())
    for file in files.file:
        _bind(file, files)
    return files.SerializeToString(deterministic=True)


def _gather(files: Iterable[FileDescriptor], found: dict[str, FileDescriptor]) -> None:
    for each in files:
        if each.name not in found:
            _gather(each.dependencies, found)
            found[each.name] = each


def _bind(file: FileDescriptorProto, files: FileDescriptorSet) -> None:
    """Give the methods of a file their paths, and the requests of those their bodies.

    Envoy treats all paths of a method as the first one has it: so all have a body, and of which
    part that is, is not told there.
    """
    for service in file.service:
        for method in service.method:
            if method.client_streaming or method.server_streaming:
                continue
            _add_body(*_message(method.input_type, files))
            rule = method.options.Extensions[annotations_pb2.http]
            bound = rule.additional_bindings.add() if rule.WhichOneof("pattern") else rule
            bound.post = f"/{file.package}.{service.name}/{method.name}"
            for each in (rule, *rule.additional_bindings):
                each.body = _BODY


def _message(
    full_name: str, files: FileDescriptorSet
) -> tuple[FileDescriptorProto, DescriptorProto]:
    """A message by its name, which begins with a dot; requests are in no other message."""
    return next(
        (file, message)
        for file in files.file
        for message in file.message_type
        if f".{file.package}.{message.name}" == full_name
    )


def _add_body(file: FileDescriptorProto, request: DescriptorProto) -> None:
    """The field that is in place of what is the body, if it is not there yet."""
    if any(each.name == _BODY for each in request.field):
        return
    field = request.field.add(name=_BODY, number=FIELD)
    field.label, field.type = field.LABEL_OPTIONAL, field.TYPE_MESSAGE
    field.type_name = f".{_HTTP_BODY.full_name}"
    if _HTTP_BODY.file.name not in file.dependency:
        file.dependency.append(_HTTP_BODY.file.name)

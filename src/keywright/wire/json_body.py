"""Requests in JSON, which a proxy has turned into calls of gRPC.

Envoy finds the method by its path and reads the variables in it, but drops what it does not know of
a body: a misspelt `requiredPermissions` would be no question, and a misspelt `scopes` no limit. So
the body is left as it is, in a field that no request has (`app.front.contract` tells Envoy so), and
read here: a field that the contract does not know is an error that names it.
"""

from collections.abc import Mapping
from functools import cache

from google.api import annotations_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from keywright.domain.errors import Reason, ServiceError
from keywright.wire.contract import services

PATH_KEY = "x-envoy-original-path"
"""Metadata of such a call: the path that it was called by. Envoy takes away what a client has sent
under that name, and nobody else is believed: to read JSON takes long, and its bound is Envoy's."""
FIELD = 100_000
"""The field with a `google.api.HttpBody`: what of the request that is, the path tells."""
_ALL = "*"
_BYTES = 2  # a wire type (protobuf.dev, "Encoding")


def merged(request: Message, method: str, called: str) -> Message:
    """The request, of its body and of what was in its path; the path prevails.

    Args:
        request: what Envoy has made of it.
        method: its path of gRPC.
        called: the path that it was called by.

    Raises:
        ServiceError: REQUEST_MALFORMED.
    """
    whole = type(request)()
    part = _ALL if called.partition("?")[0] == method else _annotated()[method]
    into = whole if part in {_ALL, ""} else getattr(whole, part)
    into.SetInParent()
    unknown_fields = UnknownFieldSet(request)
    for index in range(len(unknown_fields)):
        unknown = unknown_fields[index]
        if unknown.wire_type == _BYTES and unknown.field_number == FIELD:
            _read(unknown.data, into if part else None)
    request.DiscardUnknownFields()
    whole.MergeFrom(request)
    return whole


@cache
def _annotated() -> Mapping[str, str]:
    """What the body is of each method's own path: everything, a field by its name, or nothing."""
    return {
        f"/{service.full_name}/{method.name}": method.GetOptions()
        .Extensions[annotations_pb2.http]
        .body
        for service in services()
        for method in service.methods
    }


def _read(body: bytes, into: Message | None) -> None:
    try:
        text = HttpBody.FromString(body).data
        if not text.strip():  # nothing is to be said beside the path
            return
        if into is None:
            raise _malformed("by this path there is none")
        if not text.lstrip().startswith(b"{"):
            raise _malformed("it is no object")
        json_format.Parse(text, into)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError) as error:
        raise _malformed(" ".join(str(error).split())) from None


def _malformed(why: str) -> ServiceError:
    return ServiceError(
        Reason.REQUEST_MALFORMED, f"the body is not what JSON should be here: {why}"
    )

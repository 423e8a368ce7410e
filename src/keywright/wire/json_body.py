"""Requests in JSON, which a proxy has turned into calls of gRPC.

Envoy finds the method by its path and reads the variables in it, but drops what it does not know of
a body: a misspelt `requiredPermissions` would be no question, and a misspelt `scopes` no limit. So
the body is left as it is, in a field that no request has (`app.front.contract` tells Envoy so), and
read here: a field that the contract does not know is an error that names it.
"""

from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from keywright.domain.errors import Reason, ServiceError

PATH_KEY = "x-envoy-original-path"
"""Metadata of such a call. Envoy takes away what a client has sent under that name, and nobody else
is believed: to read JSON takes long, and its bound is Envoy's."""
WHOLE = 100_000
"""The field with a `google.api.HttpBody` that is the request; of one that is a part of it, the
number is higher by that of the part."""
_BYTES = 2  # a wire type (protobuf.dev, "Encoding")


def merged(request: Message) -> Message:
    """The request, of its body and of what was in its path; the path prevails.

    Raises:
        ServiceError: REQUEST_MALFORMED.
    """
    whole = type(request)()
    unknown_fields = UnknownFieldSet(request)
    for index in range(len(unknown_fields)):
        unknown = unknown_fields[index]
        number = unknown.field_number - WHOLE
        part = request.DESCRIPTOR.fields_by_number.get(number)
        if unknown.wire_type == _BYTES and (part is not None or number == 0):
            _read(unknown.data, whole if part is None else getattr(whole, part.name))
    request.DiscardUnknownFields()
    whole.MergeFrom(request)
    return whole


def _read(body: bytes, into: Message) -> None:
    into.SetInParent()
    try:
        text = HttpBody.FromString(body).data
        if not text.strip():  # nothing is to be said beside the path
            return
        if not text.lstrip().startswith(b"{"):
            raise _malformed("it is no object")
        json_format.Parse(text, into)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError) as error:
        raise _malformed(" ".join(str(error).split())) from None


def _malformed(why: str) -> ServiceError:
    return ServiceError(
        Reason.REQUEST_MALFORMED, f"the body is not what JSON should be here: {why}"
    )

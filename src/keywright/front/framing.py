"""gRPC over HTTP/2, as far as it is bytes: messages, deadlines, metadata, statuses.

The specification is PROTOCOL-HTTP2.md of grpc/grpc, whose terms stand in quotes here. HTTP/2 itself
is the server's, and so are headers that are no valid HTTP.

- A "Length-Prefixed-Message" is one byte, 1 if it is compressed, its length in four bytes, the most
  significant first, and the message. A unary call has exactly one.
- "Message-Encoding" (`grpc-encoding`) is `identity` or `gzip`; what is compressed is inflated up to
  the limit of a message and not one byte further. Others are UNIMPLEMENTED; the answer names ours.
- "Timeout" is at most eight digits and a unit: H, M, S, m, u or n.
- "Binary-Header"s have keys that end in `-bin` and values in Base64, padded or not; several under
  one key may have been joined by commas.
- "Status-Message" is percent-encoded UTF-8 ("Percent-Encoded").
"""

import base64
import binascii
import re
import urllib.parse
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

PREFIX_BYTES = 5
ACCEPTED = "identity,gzip"
# Of google.rpc.Code.
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 8, 12, 13
Headers = list[tuple[bytes, bytes]]
Metadata = tuple[tuple[str, str | bytes], ...]
_BINARY = "-bin"
_IDENTITY, _GZIP = b"identity", b"gzip"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # with the header and trailer of gzip (zlib.h)
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# What may stand in a status message as it is: printable ASCII but for "%".
_UNRESERVED = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
# Of a call's headers, what is the protocol's and nobody's metadata ("Call-Definition").
_RESERVED = frozenset({"host", "te", "content-type", "user-agent"})
_RESERVED_BEGINNING = "grpc-"


class RefusedCall(Exception):
    """It is no gRPC, or none that is taken here; the message says why.

    `code` is what is answered: INTERNAL for what is malformed, as by every server of gRPC.
    """

    code = INTERNAL


class UnknownEncoding(RefusedCall):
    """It is compressed in another way than is known here."""

    code = UNIMPLEMENTED


class TooLargeCall(RefusedCall):
    """Its message has, or says that it has, `size` bytes, and may not."""

    code = RESOURCE_EXHAUSTED

    def __init__(self, size: int) -> None:
        super().__init__(f"the message has {size} bytes, which is too much")
        self.size = size


def framed(message: bytes) -> bytes:
    """A message as it is sent, not compressed."""
    return b"\0" + len(message).to_bytes(4) + message


def unframed(body: bytes, encoding: bytes | None, limit: int) -> bytes:
    """The one message that `body` is.

    Raises:
        RefusedCall: it is none, or more than one, or broken off; it is compressed in another way;
            it is longer than `limit`.
    """
    if len(body) < PREFIX_BYTES:
        raise RefusedCall("a call needs one message, and here is none, or the beginning of one")
    length = int.from_bytes(body[1:PREFIX_BYTES])
    if length > limit:
        raise TooLargeCall(length)
    message = body[PREFIX_BYTES:]
    if length > len(message):
        raise RefusedCall(f"the message has {len(message)} bytes, and says that it has {length}")
    if length < len(message):
        raise RefusedCall("a call of this method has one message, and here is more")
    if not body[0]:
        return message
    if body[0] != 1:
        raise RefusedCall("the first byte of a message must be 0, or 1 if it is compressed")
    return _inflated(message, encoding, limit)


def whole(event: Mapping[str, Any]) -> bytes | None:
    """The message of a request that came in one piece, and is not compressed; None otherwise."""
    body: bytes = event.get("body", b"")
    if event.get("more_body") or len(body) < PREFIX_BYTES or body[0]:
        return None
    if int.from_bytes(body[1:PREFIX_BYTES]) != len(body) - PREFIX_BYTES:
        return None
    return body[PREFIX_BYTES:]


def announced(beginning: bytes | bytearray) -> int:
    """How many bytes the message has that begins so; 0 as long as that has not arrived."""
    return int.from_bytes(beginning[1:PREFIX_BYTES]) if len(beginning) >= PREFIX_BYTES else 0


def _inflated(message: bytes, encoding: bytes | None, limit: int) -> bytes:
    if encoding is None or encoding == _IDENTITY:
        raise RefusedCall("the message is compressed, and grpc-encoding does not say how")
    if encoding != _GZIP:
        raise UnknownEncoding(f"messages may be compressed by gzip, or not at all ({ACCEPTED})")
    inflating = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        inflated = inflating.decompress(message, limit + 1)
    except zlib.error:
        raise RefusedCall("the message is not gzip") from None
    if len(inflated) > limit:
        raise TooLargeCall(len(inflated))
    if not inflating.eof or inflating.unused_data:
        raise RefusedCall("the message is gzip that is broken off, or followed by something else")
    return inflated


def timeout(value: bytes) -> float:
    """A deadline, in seconds from now.

    Raises:
        RefusedCall: it is none.
    """
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise RefusedCall("grpc-timeout must be up to eight digits and a unit, such as 500m")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def metadata(headers: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """What the caller has sent beside the request.

    Raises:
        RefusedCall: a key that ends in -bin has no Base64.
    """
    found: list[tuple[str, str | bytes]] = []
    for raw_key, value in headers:
        key = raw_key.decode("ascii")
        if key in _RESERVED or key.startswith(_RESERVED_BEGINNING):
            continue
        if key.endswith(_BINARY):
            found += ((key, _binary(key, each)) for each in value.split(b","))
        else:
            found.append((key, value.decode("latin-1")))
    return tuple(found)


def _binary(key: str, value: bytes) -> bytes:
    value = value.strip()
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise RefusedCall(f"the metadata {key} is not Base64") from None


def headers_of(metadata: Iterable[tuple[str, str | bytes]]) -> Headers:
    """What goes beside a reply, as it is sent."""
    return [
        (key.encode(), value.encode() if isinstance(value, str) else _unpadded(value))
        for key, value in metadata
    ]


def _unpadded(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


@lru_cache(maxsize=1024)  # denials are of a few kinds
def percent_encoded(message: str) -> bytes:
    """A status message, as it is sent."""
    return urllib.parse.quote(message, safe=_UNRESERVED).encode()

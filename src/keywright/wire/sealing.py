"""Opaque strings that we give out and take back: page tokens and revisions.

Not secret, but not to be forged: each carries a MAC under the installation's signing key, over its
kind, its content and what it is bound to. A string of another kind, version, installation or
binding is refused as a whole.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import Message

from keywright.domain.errors import Reason, invalid_field
from keywright.domain.position import Position

_MAC_BYTES = 16
_PAGE = b"page"
_REVISION = b"revision"


@dataclass(frozen=True, slots=True)
class Seal:
    """Makes and reads opaque strings with the installation's signing key."""

    signing_key: bytes

    def page_token(self, after: str, *, caller: str, query: Message) -> str:
        """The next page begins after this cursor, for this caller and query only (AIP-158)."""
        return self._seal(_PAGE, after.encode(), _binding(caller, query))

    def page_after(self, token: str, *, caller: str, query: Message) -> str | None:
        """Where a page begins; None for the first.

        Raises:
            InvalidFields: PAGE_TOKEN_INVALID: changed, another query's, or another caller's.
        """
        if not token:
            return None
        content = self._open(_PAGE, token, _binding(caller, query))
        if content is None:
            raise invalid_field(
                "page_token",
                "must be the next_page_token of a reply to the same query by the same caller; "
                "leave it out to begin anew",
                reason=Reason.PAGE_TOKEN_INVALID,
            )
        return content.decode()

    def revision(self, position: Position) -> str:
        """A position, for the outside."""
        return self._seal(_REVISION, struct.pack(">q", position.revision) + position.tag.bytes, b"")

    def position(self, revision: str, field: str) -> Position:
        """The position that a revision stands for.

        Raises:
            InvalidFields: it was not given out by this installation.
        """
        content = self._open(_REVISION, revision, b"")
        if content is None:
            raise invalid_field(field, "must be a revision from a reply of this installation")
        return Position(struct.unpack(">q", content[:8])[0], UUID(bytes=content[8:]))

    def _seal(self, kind: bytes, content: bytes, binding: bytes) -> str:
        return _text(content + self._mac(kind, content, binding))

    def _open(self, kind: bytes, text: str, binding: bytes) -> bytes | None:
        try:
            sealed = base64.b64decode(
                text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
            )
        except (UnicodeEncodeError, binascii.Error):
            return None
        content, mac = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(kind, content, binding)):
            return None
        # base64 has several spellings of the same bytes; what we gave out has one.
        return content if _text(sealed) == text else None

    def _mac(self, kind: bytes, content: bytes, binding: bytes) -> bytes:
        parts = b"".join(struct.pack(">I", len(part)) + part for part in (kind, content, binding))
        # Keyed BLAKE2b (RFC 7693): each reply of a change has one, and OpenSSL takes a hundred
        # times as long to set an HMAC up.
        key = self.signing_key[: hashlib.blake2b.MAX_KEY_SIZE]
        return hashlib.blake2b(parts, key=key, digest_size=_MAC_BYTES).digest()


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _binding(caller: str, query: Message) -> bytes:
    """The caller and the query without its paging: what may not change between two pages.

    The query's type is part of it: two lists' requests can be the same bytes.
    """
    same = type(query)()
    same.CopyFrom(query)
    for paging in ("page_token", "page_size"):
        same.ClearField(paging)
    content = same.SerializeToString(deterministic=True)
    return b"\0".join((caller.encode(), query.DESCRIPTOR.full_name.encode(), content))

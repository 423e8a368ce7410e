"""The reply of `Authenticate` in parts that are serialised once.

Fields of a protobuf message may come in any order, and a message is the concatenation of its parts
(protobuf encoding, "Field order"), so a reply is put together from what does not change between
calls.
"""

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from keywright.domain.decision import Principal
from keywright.domain.dependency import ChangeKind
from keywright.domain.permissions import PermissionSet
from keywright.domain.position import Position
from keywright.v1 import auth_service_pb2 as pb
from keywright.wire import replies
from keywright.wire.sealing import Seal

_MARK_BYTES = 9


@dataclass(frozen=True, slots=True)
class Rendering:
    """Makes the parts; `seal` makes what is opaque to clients."""

    seal: Seal

    def head(self, principal: Principal, rests_on: Iterable[int]) -> bytes:
        """All but permissions and revision."""
        record = principal.credential.record
        is_session = principal.credential.kind is ChangeKind.SESSION
        return pb.AuthenticateResponse(
            workspace=f"workspaces/{principal.workspace_id}",
            user=replies.principal_user(principal),
            credential=replies.credential(principal),
            environment=record.environment,
            role=replies.role_of(principal.user),
            whole_authority=principal.credential.authority.is_whole,
            scopes=record.narrowing.scopes,
            resource=record.narrowing.resource,
            rate_limit=replies.rate_limit(record.rate_limit),
            # The token's own end: a rotation's grace may end before the key does.
            expire_time=replies.timestamp(principal.credential.expire_time),
            allowed_networks=map(str, record.narrowing.allowed_networks),
            # A use puts off the end of a session: nobody else may answer for it from memory.
            depends_on=() if is_session else map(self.dependency, rests_on),
        ).SerializeToString()

    def permissions(self, permissions: PermissionSet) -> bytes:
        """What may be done."""
        return _permissions(permissions)

    def revision(self, position: Position) -> bytes:
        """The position at which that was decided."""
        revision = self.seal.revision(position)
        return pb.AuthenticateResponse(revision=revision).SerializeToString()

    def dependency(self, number: int) -> str:
        """A dependency, for the outside: the same on every server, and opaque."""
        key = self.seal.signing_key[: blake2b.MAX_KEY_SIZE]
        content = b"dependency" + struct.pack("q", number)
        return base64.urlsafe_b64encode(
            blake2b(content, key=key, digest_size=_MARK_BYTES).digest()
        ).decode()


@lru_cache(maxsize=256)  # many keys have the same
def _permissions(permissions: PermissionSet) -> bytes:
    return pb.AuthenticateResponse(permissions=sorted(permissions.patterns)).SerializeToString()

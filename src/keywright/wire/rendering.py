"""The reply of `Authenticate` in parts that are serialised once.

Fields of a protobuf message may come in any order, and a message is the concatenation of its parts
(protobuf encoding, "Field order"), so a reply is put together from what does not change between
calls.
"""

import base64
import struct
from collections.abc import Iterable, Sequence
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
_ITS_OWN = 2  # of what it rests on: the credential and its user


@dataclass(frozen=True, slots=True)
class Rendering:
    """Makes the parts; `seal` makes what is opaque to clients."""

    seal: Seal

    def head(self, principal: Principal, rests_on: Sequence[int]) -> bytes:
        """Who it is, with which credential and until when."""
        record = principal.credential.record
        return pb.AuthenticateResponse(
            user=replies.principal_user(principal),
            credential=replies.credential(principal),
            rate_limit=replies.rate_limit(record.rate_limit),
            # The token's own end: a rotation's grace may end before the key does.
            expire_time=replies.timestamp(principal.credential.expire_time),
            depends_on=self._depends_on(principal, rests_on[:_ITS_OWN]),
        ).SerializeToString()

    def terms(self, principal: Principal, rests_on: Sequence[int]) -> bytes:
        """What is the same for all credentials of that authority and environment."""
        record = principal.credential.record
        return pb.AuthenticateResponse(
            workspace=f"workspaces/{principal.workspace_id}",
            environment=record.environment,
            role=replies.role_of(principal.user),
            whole_authority=principal.credential.authority.is_whole,
            scopes=record.narrowing.scopes,
            resource=record.narrowing.resource,
            allowed_networks=map(str, record.narrowing.allowed_networks),
            depends_on=self._depends_on(principal, rests_on[_ITS_OWN:]),
        ).SerializeToString()

    def permissions(self, permissions: PermissionSet) -> bytes:
        """What may be done."""
        return _permissions(permissions)

    def revision(self, position: Position) -> bytes:
        """The position at which that was decided."""
        revision = self.seal.revision(position)
        return pb.AuthenticateResponse(revision=revision).SerializeToString()

    def _depends_on(self, principal: Principal, rests_on: Sequence[int]) -> Iterable[str]:
        # A use puts off the end of a session: nobody else may answer for it from memory.
        is_session = principal.credential.kind is ChangeKind.SESSION
        return () if is_session else map(self.dependency, rests_on)

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

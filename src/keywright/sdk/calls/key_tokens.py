"""What of `client.keys` makes tokens, each of which is shown once."""

from datetime import timedelta
from typing import Any, TypeVar, Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import Flow, Method, Mode, call, operation
from keywright.sdk.errors import TokenLost
from keywright.sdk.values.arguments import KeyAttributes
from keywright.sdk.values.lifetimes import with_ttl
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import CreatedKey, EnsuredKey, Key, RotatedKey
from keywright.sdk.values.writing import duration, wait_mode, write
from keywright.v1 import key_pb2
from keywright.v1 import key_service_pb2 as pb

_SERVICE = "KeyService"
_CREATE = Method(_SERVICE, "CreateKey", pb.CreateKeyResponse)
_ENSURE = Method(_SERVICE, "EnsureKey", pb.EnsureKeyResponse)
_ROTATE = Method(_SERVICE, "RotateKey", pb.RotateKeyResponse)

Creation = TypeVar("Creation", pb.CreateKeyRequest, pb.EnsureKeyRequest)


class KeyTokens(NamedSurface[Mode]):
    """Keys and their tokens."""

    @operation
    def create(
        self, *, key_id: str = "", request_id: str = "", **attributes: Unpack[KeyAttributes]
    ) -> Flow[CreatedKey]:
        """Create a key and get its token, which is shown this once.

        Example:
            >>> lifetime = timedelta(weeks=2)
            >>> made = client.keys.create(name="CI", user="ann@acme.example", ttl=lifetime)
            >>> made.key.id, made.token.reveal()

        Args:
            key_id: the id, chosen by you; else one is given.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            attributes: `KeyAttributes`.

        Raises:
            TokenLost: the key was created, but the reply was lost.
            ValueError: `expire_time` has no time zone, or two lifetimes or names are given.
        """
        request = yield from self._creation(pb.CreateKeyRequest, key_id, request_id, attributes)
        reply = yield from call(_CREATE, request)
        return CreatedKey(read(Key, reply.key), _token(reply), reply.revision)

    @operation
    def ensure(
        self, key_id: str, *, request_id: str = "", **attributes: Unpack[KeyAttributes]
    ) -> Flow[EnsuredKey]:
        """Create a key unless there is one of this id, as a program may each time it is set up.

        Args:
            key_id: the id.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            attributes: `KeyAttributes`. An existing key must have the same, but for its expiry.

        Raises:
            AlreadyExists: the key has other attributes, or is revoked or expired.
            TokenLost: the key was created, but the reply was lost.
            ValueError: `expire_time` has no time zone, or two lifetimes or names are given.
        """
        request = yield from self._creation(pb.EnsureKeyRequest, key_id, request_id, attributes)
        reply = yield from call(_ENSURE, request)
        token = _token(reply) if reply.created else None
        return EnsuredKey(read(Key, reply.key), token, reply.created, reply.revision)

    @operation
    def rotate(
        self,
        key: str,
        *,
        grace: timedelta | None = None,
        etag: str = "",
        wait: bool = True,
        request_id: str = "",
    ) -> Flow[RotatedKey]:
        """Give a key a new token, which is shown this once.

        Args:
            key: which.
            grace: for how long the old token stands beside the new one, at most 7 days; it dies at
                once if not given.
            etag: rotate it only if this is still its etag.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.

        Raises:
            TokenLost: the key was rotated, but the reply was lost: rotate it again.
        """
        name = yield from self._names.key(key)
        request = pb.RotateKeyRequest(
            name=name,
            grace=duration(grace),
            etag=etag,
            wait=wait_mode(wait=wait),
            request_id=request_id,
        )
        reply = yield from call(_ROTATE, request)
        return RotatedKey(
            read(Key, reply.key), _token(reply), reply.revision, reply.waited.ToTimedelta()
        )

    def _creation(
        self, kind: type[Creation], key_id: str, request_id: str, attributes: KeyAttributes
    ) -> Flow[Creation]:
        given = with_ttl(attributes)
        ttl = given.pop("ttl", None)
        never_expires = given.pop("never_expires", False)
        if "name" in given:
            if "display_name" in given:
                raise ValueError("name and display_name are the same: give one of them")
            given["display_name"] = given.pop("name")
        key = write(key_pb2.Key, KeyAttributes, (yield from self._names.full(given)))
        return kind(
            parent=(yield from self._names.workspace()),
            key=key,
            key_id=key_id,
            ttl=duration(ttl),
            never_expires=never_expires,
            request_id=request_id,
        )


def _token(reply: Any) -> Secret:
    if not reply.token:  # an earlier call of this `request_id` was told it
        raise TokenLost(
            f"{reply.key.name} was made as asked for, but the reply that showed its token was "
            "lost, and no token is shown twice: rotate the key",
            reason="TOKEN_LOST",
            metadata={"resource": reply.key.name},
        )
    return Secret(reply.token)

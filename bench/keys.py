"""Keys that are made as everybody makes them: through `CreateUser` and `CreateKey`."""

from dataclasses import dataclass
from typing import Any

import grpc.aio

from bench.load import Metadata
from bench.server import WORKSPACE
from keywright.domain.token import TokenFormat
from keywright.v1 import (
    key_pb2,
    key_service_pb2,
    key_service_pb2_grpc,
    user_pb2,
    user_service_pb2,
    wait_mode_pb2,
)
from keywright.v1 import user_service_pb2_grpc as user_grpc

PARENT = f"workspaces/{WORKSPACE}"


def bearer(token: str) -> Metadata:
    """The metadata of a caller with this token."""
    return (("authorization", f"Bearer {token}"),)


@dataclass(frozen=True, slots=True)
class Admin:
    """Makes users and keys, over one connection."""

    channel: grpc.aio.Channel
    token: str

    async def service_user(self, user_id: str, role: str) -> str:
        """A new user; returns its name."""
        user = user_pb2.User(kind=user_pb2.USER_KIND_SERVICE, role=f"{PARENT}/roles/{role}")
        stub: Any = user_grpc.UserServiceStub(self.channel)
        response = await stub.CreateUser(
            user_service_pb2.CreateUserRequest(parent=PARENT, user_id=user_id, user=user),
            metadata=bearer(self.token),
        )
        return str(response.user.name)

    async def key(self, user: str) -> str:
        """A new key of a user; returns its token."""
        stub: Any = key_service_pb2_grpc.KeyServiceStub(self.channel)
        response = await stub.CreateKey(
            key_service_pb2.CreateKeyRequest(parent=PARENT, key=key_pb2.Key(user=user)),
            metadata=bearer(self.token),
        )
        return str(response.token)

    async def tokens(self, count: int) -> list[str]:
        """Tokens of `count` new keys of one new member."""
        member = await self.service_user("member", "member")
        return [await self.key(member) for _ in range(count)]

    async def name_of(self, token: str) -> str:
        """The name of the key of a token."""
        stub: Any = key_service_pb2_grpc.KeyServiceStub(self.channel)
        prefix = TokenFormat().parse(token).prefix
        response = await stub.LookupKey(
            key_service_pb2.LookupKeyRequest(parent=PARENT, prefix=prefix),
            metadata=bearer(self.token),
        )
        return str(response.key.name)

    async def revoke(self, key: str, *, wait: bool = True) -> None:
        """Revoke a key by its name, and wait until no server acts on the old state."""
        stub: Any = key_service_pb2_grpc.KeyServiceStub(self.channel)
        mode = wait_mode_pb2.WAIT_MODE_ALL if wait else wait_mode_pb2.WAIT_MODE_NONE
        await stub.RevokeKey(
            key_service_pb2.RevokeKeyRequest(name=key, wait=mode), metadata=bearer(self.token)
        )

"""KeyService: change keys, and end them."""

from datetime import timedelta

from google.protobuf.message import Message

from keywright.domain.keys import KeyAt
from keywright.domain.names import KeyName, WorkspaceName
from keywright.service.key_requests import KeyUpdate
from keywright.service.key_update import FIELDS
from keywright.v1 import key_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.handlers.keys import query, shown, spec
from keywright.wire.masks import changing
from keywright.wire.mutations import mutate
from keywright.wire.rpc import Rpc


async def update_key(rpc: Rpc, request: pb.UpdateKeyRequest) -> pb.UpdateKeyResponse:
    """UpdateKey."""
    name = KeyName.parse(request.key.name, "key.name")
    fields = changing(request.key, request.update_mask, FIELDS)
    update = KeyUpdate(fields, spec(request.key))
    return await mutate(
        rpc,
        request,
        pb.UpdateKeyResponse,
        lambda call: rpc.services.key_changes.update(call, name, update, etag=request.key.etag),
        _told,
    )


async def rotate_key(rpc: Rpc, request: pb.RotateKeyRequest) -> pb.RotateKeyResponse:
    """RotateKey."""
    name = KeyName.parse(request.name, "name")
    grace = convert.lifetime(request, "grace", "grace") or timedelta(0)
    return await mutate(
        rpc,
        request,
        pb.RotateKeyResponse,
        lambda call: rpc.services.key_changes.rotate(call, name, grace=grace, etag=request.etag),
        shown,
    )


async def disable_key(rpc: Rpc, request: pb.DisableKeyRequest) -> pb.DisableKeyResponse:
    """DisableKey."""
    name = KeyName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DisableKeyResponse,
        lambda call: rpc.services.key_changes.disable(call, name, etag=request.etag),
        _told,
    )


async def enable_key(rpc: Rpc, request: pb.EnableKeyRequest) -> pb.EnableKeyResponse:
    """EnableKey."""
    name = KeyName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.EnableKeyResponse,
        lambda call: rpc.services.key_changes.enable(call, name, etag=request.etag),
        _told,
    )


async def revoke_key(rpc: Rpc, request: pb.RevokeKeyRequest) -> pb.RevokeKeyResponse:
    """RevokeKey."""
    name = KeyName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.RevokeKeyResponse,
        lambda call: rpc.services.key_changes.revoke(call, name, etag=request.etag),
        _told,
    )


async def revoke_keys(rpc: Rpc, request: pb.RevokeKeysRequest) -> pb.RevokeKeysResponse:
    """RevokeKeys."""
    parent = WorkspaceName.parse(request.parent, "parent")
    only = query(request.filter)
    return await mutate(
        rpc,
        request,
        pb.RevokeKeysResponse,
        lambda call: rpc.services.key_changes.revoke_many(
            call, parent, only, validate_only=request.validate_only
        ),
        lambda count: {"count": count},
    )


async def delete_key(rpc: Rpc, request: pb.DeleteKeyRequest) -> pb.DeleteKeyResponse:
    """DeleteKey."""
    name = KeyName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DeleteKeyResponse,
        lambda call: rpc.services.key_changes.delete(call, name, etag=request.etag),
        _told,
    )


def _told(key: KeyAt) -> dict[str, Message]:
    return {"key": replies.key(key)}


HANDLERS = {
    "UpdateKey": update_key,
    "RotateKey": rotate_key,
    "DisableKey": disable_key,
    "EnableKey": enable_key,
    "RevokeKey": revoke_key,
    "RevokeKeys": revoke_keys,
    "DeleteKey": delete_key,
}

"""KeyService: change keys, and end them."""

from datetime import timedelta

from keywright.domain.names import KeyName, WorkspaceName
from keywright.service.key_requests import KeyUpdate
from keywright.service.key_update import FIELDS
from keywright.v1 import key_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.handlers.keys import query, spec
from keywright.wire.masks import changing
from keywright.wire.rpc import Rpc


async def update_key(rpc: Rpc, request: pb.UpdateKeyRequest) -> pb.UpdateKeyResponse:
    """UpdateKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.key.name, "key.name")
    fields = changing(request.key, request.update_mask, FIELDS)
    changed = await rpc.services.key_changes.update(
        rpc.call, name, KeyUpdate(fields, spec(request.key)), etag=request.key.etag
    )
    return pb.UpdateKeyResponse(
        key=replies.key(changed.key),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def rotate_key(rpc: Rpc, request: pb.RotateKeyRequest) -> pb.RotateKeyResponse:
    """RotateKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    grace = convert.lifetime(request, "grace", "grace") or timedelta(0)
    rotated = await rpc.services.key_changes.rotate(rpc.call, name, grace=grace, etag=request.etag)
    return pb.RotateKeyResponse(
        key=replies.key(rotated.key),
        token=replies.token(rotated.token),
        revision=rpc.services.seal.revision(rotated.position),
        waited=replies.NOT_WAITED,
    )


async def disable_key(rpc: Rpc, request: pb.DisableKeyRequest) -> pb.DisableKeyResponse:
    """DisableKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    changed = await rpc.services.key_changes.disable(rpc.call, name, etag=request.etag)
    return pb.DisableKeyResponse(
        key=replies.key(changed.key),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def enable_key(rpc: Rpc, request: pb.EnableKeyRequest) -> pb.EnableKeyResponse:
    """EnableKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    changed = await rpc.services.key_changes.enable(rpc.call, name, etag=request.etag)
    return pb.EnableKeyResponse(
        key=replies.key(changed.key), revision=rpc.services.seal.revision(changed.position)
    )


async def revoke_key(rpc: Rpc, request: pb.RevokeKeyRequest) -> pb.RevokeKeyResponse:
    """RevokeKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    changed = await rpc.services.key_changes.revoke(rpc.call, name, etag=request.etag)
    return pb.RevokeKeyResponse(
        key=replies.key(changed.key),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def revoke_keys(rpc: Rpc, request: pb.RevokeKeysRequest) -> pb.RevokeKeysResponse:
    """RevokeKeys."""
    convert.refuse_unimplemented(request, "request_id")
    parent = WorkspaceName.parse(request.parent, "parent")
    revoked = await rpc.services.key_changes.revoke_many(
        rpc.call, parent, query(request.filter), validate_only=request.validate_only
    )
    return pb.RevokeKeysResponse(
        count=revoked.count,
        revision=rpc.services.seal.revision(revoked.position),
        waited=replies.NOT_WAITED,
    )


async def delete_key(rpc: Rpc, request: pb.DeleteKeyRequest) -> pb.DeleteKeyResponse:
    """DeleteKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    changed = await rpc.services.key_changes.delete(rpc.call, name, etag=request.etag)
    return pb.DeleteKeyResponse(
        key=replies.key(changed.key),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


HANDLERS = {
    "UpdateKey": update_key,
    "RotateKey": rotate_key,
    "DisableKey": disable_key,
    "EnableKey": enable_key,
    "RevokeKey": revoke_key,
    "RevokeKeys": revoke_keys,
    "DeleteKey": delete_key,
}

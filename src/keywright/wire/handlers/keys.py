"""KeyService."""

from keywright.domain.keys import RateLimit
from keywright.domain.names import KeyName, WorkspaceName
from keywright.service.key_requests import KeyQuery, KeySpec
from keywright.v1 import key_service_pb2 as pb
from keywright.v1.key_pb2 import KeyFilter
from keywright.wire import convert
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_key(rpc: Rpc, request: pb.CreateKeyRequest) -> pb.CreateKeyResponse:
    """CreateKey."""
    convert.refuse_unimplemented(request, "request_id")
    parent = WorkspaceName.parse(request.parent, "parent")
    created = await rpc.services.keys.create(rpc.call, parent, _spec(request))
    return pb.CreateKeyResponse(
        key=convert.key(created.key),
        token=created.token.reveal(),
        revision=rpc.services.seal.revision(created.position),
    )


async def get_key(rpc: Rpc, request: pb.GetKeyRequest) -> pb.GetKeyResponse:
    """GetKey."""
    name = KeyName.parse(request.name, "name")
    return pb.GetKeyResponse(key=convert.key(await rpc.services.keys.get(rpc.call, name)))


async def list_keys(rpc: Rpc, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
    """ListKeys."""
    convert.refuse_unimplemented(request, "filter.unused_since", "order_by", "include_total_size")
    parent = WorkspaceName.parse(request.parent, "parent")
    only = _query(request.filter)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.keys.list(
            rpc.call, parent, only, after=after, limit=limit
        ),
        convert=convert.key,
        position=lambda found: found.key.internal_id,
    )
    return pb.ListKeysResponse(keys=found.entries, next_page_token=found.next_page_token)


async def revoke_key(rpc: Rpc, request: pb.RevokeKeyRequest) -> pb.RevokeKeyResponse:
    """RevokeKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    revoked = await rpc.services.keys.revoke(rpc.call, name, etag=request.etag)
    return pb.RevokeKeyResponse(
        key=convert.key(revoked.key),
        revision=rpc.services.seal.revision(revoked.position),
        waited=convert.NOT_WAITED,
    )


async def delete_key(rpc: Rpc, request: pb.DeleteKeyRequest) -> pb.DeleteKeyResponse:
    """DeleteKey."""
    convert.refuse_unimplemented(request, "request_id")
    name = KeyName.parse(request.name, "name")
    deleted = await rpc.services.keys.delete(rpc.call, name, etag=request.etag)
    return pb.DeleteKeyResponse(
        key=convert.key(deleted.key),
        revision=rpc.services.seal.revision(deleted.position),
        waited=convert.NOT_WAITED,
    )


def _spec(request: pb.CreateKeyRequest) -> KeySpec:
    key = request.key
    rate_limit = None
    if key.HasField("rate_limit"):
        period = convert.lifetime(key.rate_limit, "period", "key.rate_limit.period")
        rate_limit = RateLimit(key.rate_limit.requests, period) if period else None
    return KeySpec(
        key_id=request.key_id,
        user=convert.user_name(key.user, "key.user"),
        display_name=key.display_name,
        role=convert.role_name(key.role, "key.role"),
        scopes=tuple(key.scopes),
        resource=key.resource,
        environment=key.environment,
        allowed_networks=convert.networks(key.allowed_networks),
        rate_limit=rate_limit,
        labels=dict(key.labels),
        ttl=convert.lifetime(request, "ttl", "ttl"),
        expire_time=convert.moment(key, "expire_time", "key.expire_time"),
        never_expires=request.never_expires,
    )


def _query(asked: KeyFilter) -> KeyQuery:
    return KeyQuery(
        states=convert.key_states(asked.states),
        user=convert.user_name(asked.user, "filter.user"),
        creator=convert.user_name(asked.creator, "filter.creator"),
        resource=asked.resource,
        role=convert.role_name(asked.role, "filter.role"),
        environment=asked.environment,
        labels=convert.labels(asked.labels),
        expires_before=convert.moment(asked, "expires_before", "filter.expires_before"),
        unrotated_since=convert.moment(asked, "unrotated_since", "filter.unrotated_since"),
        search=asked.search,
    )


HANDLERS = {
    "CreateKey": create_key,
    "GetKey": get_key,
    "ListKeys": list_keys,
    "RevokeKey": revoke_key,
    "DeleteKey": delete_key,
}

"""GrantService."""

from google.protobuf.message import Message

from keywright.domain.directory import GrantRecord
from keywright.domain.names import GrantName, RoleName, UserName, WorkspaceName
from keywright.service.grants import GrantQuery, GrantSpec
from keywright.v1 import grant_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.mutations import mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_grant(rpc: Rpc, request: pb.CreateGrantRequest) -> pb.CreateGrantResponse:
    """CreateGrant."""
    parent = WorkspaceName.parse(request.parent, "parent")
    spec = GrantSpec(
        user=UserName.parse(request.grant.user, "grant.user"),
        resource=request.grant.resource,
        role=RoleName.parse(request.grant.role, "grant.role"),
        grant_id=request.grant_id,
    )
    return await mutate(
        rpc,
        request,
        pb.CreateGrantResponse,
        lambda call: rpc.services.grants.create(call, parent, spec),
        _told,
    )


async def get_grant(rpc: Rpc, request: pb.GetGrantRequest) -> pb.GetGrantResponse:
    """GetGrant."""
    name = GrantName.parse(request.name, "name")
    return pb.GetGrantResponse(grant=replies.grant(await rpc.services.grants.get(rpc.call, name)))


async def list_grants(rpc: Rpc, request: pb.ListGrantsRequest) -> pb.ListGrantsResponse:
    """ListGrants."""
    parent = WorkspaceName.parse(request.parent, "parent")
    query = GrantQuery(
        user=convert.user_name(request.filter.user, "filter.user"),
        resource=request.filter.resource,
        role=convert.role_name(request.filter.role, "filter.role"),
    )
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.grants.list(
            rpc.call, parent, query, after=after, limit=limit
        ),
        convert=replies.grant,
    )
    return pb.ListGrantsResponse(grants=found.entries, next_page_token=found.next_page_token)


async def delete_grant(rpc: Rpc, request: pb.DeleteGrantRequest) -> pb.DeleteGrantResponse:
    """DeleteGrant."""
    name = GrantName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DeleteGrantResponse,
        lambda call: rpc.services.grants.delete(call, name),
        _told,
    )


def _told(grant: GrantRecord) -> dict[str, Message]:
    return {"grant": replies.grant(grant)}


HANDLERS = {
    "CreateGrant": create_grant,
    "GetGrant": get_grant,
    "ListGrants": list_grants,
    "DeleteGrant": delete_grant,
}

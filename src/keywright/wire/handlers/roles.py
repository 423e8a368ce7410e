"""RoleService."""

from keywright.domain.names import RoleName, WorkspaceName
from keywright.service.roles import FIELDS, RoleSpec, RoleUpdate
from keywright.v1 import role_service_pb2 as pb
from keywright.v1.role_pb2 import Role
from keywright.wire import convert, replies
from keywright.wire.masks import changing
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_role(rpc: Rpc, request: pb.CreateRoleRequest) -> pb.CreateRoleResponse:
    """CreateRole."""
    convert.refuse_unimplemented(request, "request_id")
    parent = WorkspaceName.parse(request.parent, "parent")
    created = await rpc.services.roles.create(
        rpc.call, parent, _spec(request.role, request.role_id)
    )
    return pb.CreateRoleResponse(
        role=replies.role(created.role), revision=rpc.services.seal.revision(created.position)
    )


async def get_role(rpc: Rpc, request: pb.GetRoleRequest) -> pb.GetRoleResponse:
    """GetRole."""
    name = RoleName.parse(request.name, "name")
    return pb.GetRoleResponse(role=replies.role(await rpc.services.roles.get(rpc.call, name)))


async def list_roles(rpc: Rpc, request: pb.ListRolesRequest) -> pb.ListRolesResponse:
    """ListRoles."""
    parent = WorkspaceName.parse(request.parent, "parent")
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.roles.list(
            rpc.call, parent, after=after, limit=limit
        ),
        convert=replies.role,
    )
    return pb.ListRolesResponse(roles=found.entries, next_page_token=found.next_page_token)


async def update_role(rpc: Rpc, request: pb.UpdateRoleRequest) -> pb.UpdateRoleResponse:
    """UpdateRole."""
    convert.refuse_unimplemented(request, "request_id")
    name = RoleName.parse(request.role.name, "role.name")
    fields = changing(request.role, request.update_mask, FIELDS)
    changed = await rpc.services.roles.update(
        rpc.call, name, RoleUpdate(fields, _spec(request.role)), etag=request.role.etag
    )
    return pb.UpdateRoleResponse(
        role=replies.role(changed.role),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def delete_role(rpc: Rpc, request: pb.DeleteRoleRequest) -> pb.DeleteRoleResponse:
    """DeleteRole."""
    convert.refuse_unimplemented(request, "request_id")
    name = RoleName.parse(request.name, "name")
    deleted = await rpc.services.roles.delete(rpc.call, name, etag=request.etag)
    return pb.DeleteRoleResponse(
        role=replies.role(deleted.role),
        revision=rpc.services.seal.revision(deleted.position),
        waited=replies.NOT_WAITED,
    )


def _spec(role: Role, role_id: str = "") -> RoleSpec:
    return RoleSpec(
        role_id=role_id,
        display_name=role.display_name,
        description=role.description,
        permissions=tuple(role.permissions),
        may_hold_keys=role.may_hold_keys,
    )


HANDLERS = {
    "CreateRole": create_role,
    "GetRole": get_role,
    "ListRoles": list_roles,
    "UpdateRole": update_role,
    "DeleteRole": delete_role,
}

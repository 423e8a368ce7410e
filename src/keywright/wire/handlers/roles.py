"""RoleService."""

from google.protobuf.message import Message

from keywright.domain.directory import RoleRecord
from keywright.domain.names import RoleName, WorkspaceName
from keywright.service.roles import FIELDS, RoleSpec, RoleUpdate
from keywright.v1 import role_service_pb2 as pb
from keywright.v1.role_pb2 import Role
from keywright.wire import replies
from keywright.wire.masks import changing
from keywright.wire.mutations import mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_role(rpc: Rpc, request: pb.CreateRoleRequest) -> pb.CreateRoleResponse:
    """CreateRole."""
    parent = WorkspaceName.parse(request.parent, "parent")
    return await mutate(
        rpc,
        request,
        pb.CreateRoleResponse,
        lambda call: rpc.services.roles.create(call, parent, _spec(request.role, request.role_id)),
        _told,
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
    name = RoleName.parse(request.role.name, "role.name")
    fields = changing(request.role, request.update_mask, FIELDS)
    update = RoleUpdate(fields, _spec(request.role))
    return await mutate(
        rpc,
        request,
        pb.UpdateRoleResponse,
        lambda call: rpc.services.roles.update(call, name, update, etag=request.role.etag),
        _told,
    )


async def delete_role(rpc: Rpc, request: pb.DeleteRoleRequest) -> pb.DeleteRoleResponse:
    """DeleteRole."""
    name = RoleName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DeleteRoleResponse,
        lambda call: rpc.services.roles.delete(call, name, etag=request.etag),
        _told,
    )


def _spec(role: Role, role_id: str = "") -> RoleSpec:
    return RoleSpec(
        role_id=role_id,
        display_name=role.display_name,
        description=role.description,
        permissions=tuple(role.permissions),
        may_hold_keys=role.may_hold_keys,
    )


def _told(role: RoleRecord) -> dict[str, Message]:
    return {"role": replies.role(role)}


HANDLERS = {
    "CreateRole": create_role,
    "GetRole": get_role,
    "ListRoles": list_roles,
    "UpdateRole": update_role,
    "DeleteRole": delete_role,
}

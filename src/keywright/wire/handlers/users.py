"""UserService."""

from keywright.domain.directory import UserFilter
from keywright.domain.names import UserName, WorkspaceName
from keywright.service.users import UserSpec
from keywright.v1 import user_service_pb2 as pb
from keywright.wire import convert
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_user(rpc: Rpc, request: pb.CreateUserRequest) -> pb.CreateUserResponse:
    """CreateUser."""
    convert.refuse_unimplemented(request, "request_id", "user.resource")
    spec = UserSpec(
        user_id=request.user_id,
        kind=convert.user_kind(request.user.kind),
        role=convert.role_name(request.user.role, "user.role"),
        email=request.user.email,
        display_name=request.user.display_name,
        external_id=request.user.external_id,
        labels=dict(request.user.labels),
    )
    parent = WorkspaceName.parse(request.parent, "parent")
    created = await rpc.services.users.create(rpc.call, parent, spec)
    return pb.CreateUserResponse(
        user=convert.user(created.user), revision=rpc.services.seal.revision(created.position)
    )


async def get_user(rpc: Rpc, request: pb.GetUserRequest) -> pb.GetUserResponse:
    """GetUser."""
    name = UserName.parse(request.name, "name")
    return pb.GetUserResponse(user=convert.user(await rpc.services.users.get(rpc.call, name)))


async def list_users(rpc: Rpc, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """ListUsers."""
    convert.refuse_unimplemented(request, "filter.resource")
    parent = WorkspaceName.parse(request.parent, "parent")
    only = _filter(request)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.users.list(
            rpc.call, parent, only, after=after, limit=limit
        ),
        convert=convert.user,
        position=lambda found: found.internal_id,
    )
    return pb.ListUsersResponse(users=found.entries, next_page_token=found.next_page_token)


async def disable_user(rpc: Rpc, request: pb.DisableUserRequest) -> pb.DisableUserResponse:
    """DisableUser."""
    convert.refuse_unimplemented(request, "request_id")
    name = UserName.parse(request.name, "name")
    changed = await rpc.services.users.disable(rpc.call, name, etag=request.etag)
    return pb.DisableUserResponse(
        user=convert.user(changed.user),
        revision=rpc.services.seal.revision(changed.position),
        waited=convert.NOT_WAITED,
    )


async def enable_user(rpc: Rpc, request: pb.EnableUserRequest) -> pb.EnableUserResponse:
    """EnableUser."""
    convert.refuse_unimplemented(request, "request_id")
    name = UserName.parse(request.name, "name")
    changed = await rpc.services.users.enable(rpc.call, name, etag=request.etag)
    return pb.EnableUserResponse(
        user=convert.user(changed.user), revision=rpc.services.seal.revision(changed.position)
    )


def _filter(request: pb.ListUsersRequest) -> UserFilter:
    return UserFilter(
        states=convert.user_states(request.filter.states),
        kinds=frozenset(map(convert.user_kind, request.filter.kinds)),
        role=convert.role_name(request.filter.role, "filter.role"),
        external_id=request.filter.external_id,
        labels=convert.labels(request.filter.labels),
        search=request.filter.search,
    )


HANDLERS = {
    "CreateUser": create_user,
    "GetUser": get_user,
    "ListUsers": list_users,
    "DisableUser": disable_user,
    "EnableUser": enable_user,
}

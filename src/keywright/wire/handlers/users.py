"""UserService."""

from google.protobuf.message import Message

from keywright.domain.directory import User, UserFilter
from keywright.domain.names import UserName, WorkspaceName
from keywright.service.user_requests import FIELDS, UserSpec, UserUpdate
from keywright.v1 import user_pb2
from keywright.v1 import user_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.masks import changing
from keywright.wire.mutations import mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_user(rpc: Rpc, request: pb.CreateUserRequest) -> pb.CreateUserResponse:
    """CreateUser."""
    parent = WorkspaceName.parse(request.parent, "parent")
    return await mutate(
        rpc,
        request,
        pb.CreateUserResponse,
        lambda call: rpc.services.users.create(call, parent, _spec(request.user, request.user_id)),
        _told,
    )


async def get_user(rpc: Rpc, request: pb.GetUserRequest) -> pb.GetUserResponse:
    """GetUser."""
    name = UserName.parse(request.name, "name")
    return pb.GetUserResponse(user=replies.user(await rpc.services.users.get(rpc.call, name)))


async def list_users(rpc: Rpc, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """ListUsers."""
    parent = WorkspaceName.parse(request.parent, "parent")
    only = _filter(request)
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.users.list(
            rpc.call, parent, only, after=after, limit=limit
        ),
        convert=replies.user,
    )
    return pb.ListUsersResponse(users=found.entries, next_page_token=found.next_page_token)


async def update_user(rpc: Rpc, request: pb.UpdateUserRequest) -> pb.UpdateUserResponse:
    """UpdateUser."""
    name = UserName.parse(request.user.name, "user.name")
    fields = changing(request.user, request.update_mask, FIELDS)
    update = UserUpdate(fields, _spec(request.user))
    return await mutate(
        rpc,
        request,
        pb.UpdateUserResponse,
        lambda call: rpc.services.users.update(call, name, update, etag=request.user.etag),
        _told,
    )


async def disable_user(rpc: Rpc, request: pb.DisableUserRequest) -> pb.DisableUserResponse:
    """DisableUser."""
    name = UserName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DisableUserResponse,
        lambda call: rpc.services.users.disable(call, name, etag=request.etag),
        _told,
    )


async def enable_user(rpc: Rpc, request: pb.EnableUserRequest) -> pb.EnableUserResponse:
    """EnableUser."""
    name = UserName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.EnableUserResponse,
        lambda call: rpc.services.users.enable(call, name, etag=request.etag),
        _told,
    )


async def delete_user(rpc: Rpc, request: pb.DeleteUserRequest) -> pb.DeleteUserResponse:
    """DeleteUser."""
    name = UserName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DeleteUserResponse,
        lambda call: rpc.services.users.delete(call, name, force=request.force, etag=request.etag),
        _told,
    )


def _spec(user: user_pb2.User, user_id: str = "") -> UserSpec:
    return UserSpec(
        user_id=user_id,
        kind=convert.user_kind(user.kind),
        role=convert.role_name(user.role, "user.role"),
        email=user.email,
        display_name=user.display_name,
        external_id=user.external_id,
        resource=user.resource,
        labels=dict(user.labels),
    )


def _filter(request: pb.ListUsersRequest) -> UserFilter:
    return UserFilter(
        states=convert.user_states(request.filter.states),
        kinds=frozenset(map(convert.user_kind, request.filter.kinds)),
        role=convert.role_name(request.filter.role, "filter.role"),
        external_id=request.filter.external_id,
        resource=request.filter.resource,
        labels=convert.labels(request.filter.labels),
        search=request.filter.search,
    )


def _told(user: User) -> dict[str, Message]:
    return {"user": replies.user(user)}


HANDLERS = {
    "CreateUser": create_user,
    "GetUser": get_user,
    "ListUsers": list_users,
    "UpdateUser": update_user,
    "DisableUser": disable_user,
    "EnableUser": enable_user,
    "DeleteUser": delete_user,
}

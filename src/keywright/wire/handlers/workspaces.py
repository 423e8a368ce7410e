"""WorkspaceService."""

from google.protobuf.message import Message

from keywright.domain.directory import KeyCreation, KeyPolicy, Workspace
from keywright.domain.names import WorkspaceName
from keywright.service.workspace_requests import FIELDS, WorkspaceSpec, WorkspaceUpdate
from keywright.service.workspaces import CreatedWorkspace
from keywright.v1 import workspace_pb2
from keywright.v1 import workspace_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.masks import changing
from keywright.wire.mutations import mutate
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_workspace(
    rpc: Rpc, request: pb.CreateWorkspaceRequest
) -> pb.CreateWorkspaceResponse:
    """CreateWorkspace."""
    spec = _spec(request.workspace, request.workspace_id, request.admin_email)
    return await mutate(
        rpc,
        request,
        pb.CreateWorkspaceResponse,
        lambda call: rpc.services.workspaces.create(call, spec),
        _created,
    )


async def get_workspace(rpc: Rpc, request: pb.GetWorkspaceRequest) -> pb.GetWorkspaceResponse:
    """GetWorkspace."""
    name = WorkspaceName.parse(request.name, "name")
    found = await rpc.services.workspaces.get(rpc.call, name)
    return pb.GetWorkspaceResponse(workspace=replies.workspace(found))


async def list_workspaces(rpc: Rpc, request: pb.ListWorkspacesRequest) -> pb.ListWorkspacesResponse:
    """ListWorkspaces."""
    found = await page(
        rpc,
        request,
        fetch=lambda after, limit: rpc.services.workspaces.list(rpc.call, after=after, limit=limit),
        convert=replies.workspace,
    )
    return pb.ListWorkspacesResponse(
        workspaces=found.entries, next_page_token=found.next_page_token
    )


async def update_workspace(
    rpc: Rpc, request: pb.UpdateWorkspaceRequest
) -> pb.UpdateWorkspaceResponse:
    """UpdateWorkspace."""
    name = WorkspaceName.parse(request.workspace.name, "workspace.name")
    update = WorkspaceUpdate(
        changing(request.workspace, request.update_mask, FIELDS), _spec(request.workspace)
    )
    etag = request.workspace.etag
    return await mutate(
        rpc,
        request,
        pb.UpdateWorkspaceResponse,
        lambda call: rpc.services.workspaces.update(call, name, update, etag=etag),
        _changed,
    )


async def disable_workspace(
    rpc: Rpc, request: pb.DisableWorkspaceRequest
) -> pb.DisableWorkspaceResponse:
    """DisableWorkspace."""
    name = WorkspaceName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DisableWorkspaceResponse,
        lambda call: rpc.services.workspaces.disable(call, name, etag=request.etag),
        _changed,
    )


async def enable_workspace(
    rpc: Rpc, request: pb.EnableWorkspaceRequest
) -> pb.EnableWorkspaceResponse:
    """EnableWorkspace."""
    name = WorkspaceName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.EnableWorkspaceResponse,
        lambda call: rpc.services.workspaces.enable(call, name, etag=request.etag),
        _changed,
    )


async def delete_workspace(
    rpc: Rpc, request: pb.DeleteWorkspaceRequest
) -> pb.DeleteWorkspaceResponse:
    """DeleteWorkspace."""
    name = WorkspaceName.parse(request.name, "name")
    return await mutate(
        rpc,
        request,
        pb.DeleteWorkspaceResponse,
        lambda call: rpc.services.workspaces.delete(call, name, etag=request.etag),
        _changed,
    )


def _created(made: CreatedWorkspace) -> dict[str, Message]:
    admin = {} if made.admin is None else {"admin": replies.user(made.admin)}
    return {**_changed(made.workspace), **admin}


def _changed(workspace: Workspace) -> dict[str, Message]:
    return {"workspace": replies.workspace(workspace)}


def _spec(
    workspace: workspace_pb2.Workspace, workspace_id: str = "", admin_email: str = ""
) -> WorkspaceSpec:
    catalog = None
    if workspace.HasField("permission_catalog"):
        entries = workspace.permission_catalog.entries
        catalog = tuple((each.permission, each.description) for each in entries)
    return WorkspaceSpec(
        workspace_id=workspace_id,
        display_name=workspace.display_name,
        policy=_policy(workspace.policy),
        environments=tuple(workspace.environments),
        permission_catalog=catalog,
        labels=dict(workspace.labels),
        admin_email=admin_email,
    )


def _policy(policy: workspace_pb2.KeyPolicy) -> KeyPolicy:
    path = "workspace.policy"
    only_admins = policy.key_creation == workspace_pb2.KEY_CREATION_ADMINS
    return KeyPolicy(
        max_ttl=convert.lifetime(policy, "max_ttl", f"{path}.max_ttl"),
        default_ttl=convert.lifetime(policy, "default_ttl", f"{path}.default_ttl"),
        expiry_required=policy.expiry_required,
        max_keys_per_user=policy.max_keys_per_user or None,
        key_creation=KeyCreation.ADMINS if only_admins else KeyCreation.EVERYONE,
        free_binding=policy.free_binding,
        rotation_reminder=convert.lifetime(
            policy, "rotation_reminder", f"{path}.rotation_reminder"
        ),
    )


HANDLERS = {
    "CreateWorkspace": create_workspace,
    "GetWorkspace": get_workspace,
    "ListWorkspaces": list_workspaces,
    "UpdateWorkspace": update_workspace,
    "DisableWorkspace": disable_workspace,
    "EnableWorkspace": enable_workspace,
    "DeleteWorkspace": delete_workspace,
}

"""WorkspaceService."""

from keywright.domain.directory import KeyCreation, KeyPolicy
from keywright.domain.names import WorkspaceName
from keywright.service.workspace_requests import FIELDS, WorkspaceSpec, WorkspaceUpdate
from keywright.v1 import workspace_pb2
from keywright.v1 import workspace_service_pb2 as pb
from keywright.wire import convert, replies
from keywright.wire.masks import changing
from keywright.wire.paging import page
from keywright.wire.rpc import Rpc


async def create_workspace(
    rpc: Rpc, request: pb.CreateWorkspaceRequest
) -> pb.CreateWorkspaceResponse:
    """CreateWorkspace."""
    convert.refuse_unimplemented(request, "request_id")
    spec = _spec(request.workspace, request.workspace_id, request.admin_email)
    created = await rpc.services.workspaces.create(rpc.call, spec)
    return pb.CreateWorkspaceResponse(
        workspace=replies.workspace(created.workspace),
        admin=None if created.admin is None else replies.user(created.admin),
        revision=rpc.services.seal.revision(created.position),
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
    convert.refuse_unimplemented(request, "request_id")
    name = WorkspaceName.parse(request.workspace.name, "workspace.name")
    update = WorkspaceUpdate(
        changing(request.workspace, request.update_mask, FIELDS), _spec(request.workspace)
    )
    etag = request.workspace.etag
    changed = await rpc.services.workspaces.update(rpc.call, name, update, etag=etag)
    return pb.UpdateWorkspaceResponse(
        workspace=replies.workspace(changed.workspace),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def disable_workspace(
    rpc: Rpc, request: pb.DisableWorkspaceRequest
) -> pb.DisableWorkspaceResponse:
    """DisableWorkspace."""
    convert.refuse_unimplemented(request, "request_id")
    name = WorkspaceName.parse(request.name, "name")
    changed = await rpc.services.workspaces.disable(rpc.call, name, etag=request.etag)
    return pb.DisableWorkspaceResponse(
        workspace=replies.workspace(changed.workspace),
        revision=rpc.services.seal.revision(changed.position),
        waited=replies.NOT_WAITED,
    )


async def enable_workspace(
    rpc: Rpc, request: pb.EnableWorkspaceRequest
) -> pb.EnableWorkspaceResponse:
    """EnableWorkspace."""
    convert.refuse_unimplemented(request, "request_id")
    name = WorkspaceName.parse(request.name, "name")
    changed = await rpc.services.workspaces.enable(rpc.call, name, etag=request.etag)
    return pb.EnableWorkspaceResponse(
        workspace=replies.workspace(changed.workspace),
        revision=rpc.services.seal.revision(changed.position),
    )


async def delete_workspace(
    rpc: Rpc, request: pb.DeleteWorkspaceRequest
) -> pb.DeleteWorkspaceResponse:
    """DeleteWorkspace."""
    convert.refuse_unimplemented(request, "request_id")
    name = WorkspaceName.parse(request.name, "name")
    deleted = await rpc.services.workspaces.delete(rpc.call, name, etag=request.etag)
    return pb.DeleteWorkspaceResponse(
        workspace=replies.workspace(deleted.workspace),
        revision=rpc.services.seal.revision(deleted.position),
        waited=replies.NOT_WAITED,
    )


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

"""`client.workspaces`."""

from typing import Unpack

from keywright.sdk.arguments import WorkspaceAttributes
from keywright.sdk.flow import Flow, Listing, Method, call, listing, operation
from keywright.sdk.names import NamedSurface
from keywright.sdk.reading import read
from keywright.sdk.results import CreatedWorkspace, User, Workspace
from keywright.sdk.writing import change, write
from keywright.v1 import workspace_pb2
from keywright.v1 import workspace_service_pb2 as pb

_SERVICE = "WorkspaceService"
_CREATE = Method(_SERVICE, "CreateWorkspace", pb.CreateWorkspaceResponse)
_GET = Method(_SERVICE, "GetWorkspace", pb.GetWorkspaceResponse)
_LIST = Method(_SERVICE, "ListWorkspaces", pb.ListWorkspacesResponse)
_UPDATE = Method(_SERVICE, "UpdateWorkspace", pb.UpdateWorkspaceResponse)
_DISABLE = Method(_SERVICE, "DisableWorkspace", pb.DisableWorkspaceResponse)
_ENABLE = Method(_SERVICE, "EnableWorkspace", pb.EnableWorkspaceResponse)
_DELETE = Method(_SERVICE, "DeleteWorkspace", pb.DeleteWorkspaceResponse)


class Workspaces(NamedSurface):
    """The workspaces that the caller may see. One is named by its id or its full name."""

    @operation
    def create(
        self,
        workspace_id: str,
        *,
        admin_email: str = "",
        **attributes: Unpack[WorkspaceAttributes],
    ) -> Flow[CreatedWorkspace]:
        """Create a workspace, with its first admin if one is named.

        Args:
            workspace_id: the id, chosen by you; never given again.
            admin_email: the first admin's e-mail address; without it there is none.
            attributes: `WorkspaceAttributes`.
        """
        request = pb.CreateWorkspaceRequest(
            workspace=write(workspace_pb2.Workspace, WorkspaceAttributes, attributes),
            workspace_id=workspace_id,
            admin_email=admin_email,
        )
        reply = yield from call(_CREATE, request)
        admin = read(User, reply.admin) if reply.HasField("admin") else None
        return CreatedWorkspace(read(Workspace, reply.workspace), admin, reply.revision)

    @operation
    def get(self, workspace: str | None = None) -> Flow[Workspace]:
        """Get a workspace with its policy, environments and permissions; else the client's own."""
        request = pb.GetWorkspaceRequest(name=(yield from self._names.workspace(workspace)))
        return read(Workspace, (yield from call(_GET, request)).workspace)

    @listing
    def list(self, *, page_size: int = 0) -> Flow[Listing[Workspace]]:
        """Iterate over the workspaces that the caller may see, by id.

        Args:
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        request = pb.ListWorkspacesRequest(page_size=page_size)
        yield from ()  # a flow, though it needs no call
        return Listing(
            _LIST, request, lambda reply: (read(Workspace, each) for each in reply.workspaces)
        )

    @operation
    def update(
        self,
        workspace: str | None = None,
        *,
        etag: str = "",
        **changes: Unpack[WorkspaceAttributes],
    ) -> Flow[Workspace]:
        """Change a workspace: what is given, and nothing else.

        A policy counts for keys that are created or changed later.

        Args:
            workspace: which; the client's own if not given.
            etag: change it only if this is still its etag.
            changes: `WorkspaceAttributes`. Of a policy, `policy={"max_ttl": timedelta(weeks=12)}`
                changes only this.

        Raises:
            FailedPrecondition: keys are of an environment that is taken away.
            Aborted: it was changed since `etag`.
            ValueError: nothing is given.
        """
        name = yield from self._names.workspace(workspace)
        changed, mask = change(
            workspace_pb2.Workspace, WorkspaceAttributes, changes, name=name, etag=etag
        )
        request = pb.UpdateWorkspaceRequest(workspace=changed, update_mask=mask)
        return read(Workspace, (yield from call(_UPDATE, request)).workspace)

    @operation
    def disable(self, workspace: str) -> Flow[Workspace]:
        """Disable a workspace: no credential of its users stands until it is enabled again."""
        request = pb.DisableWorkspaceRequest(name=(yield from self._names.workspace(workspace)))
        return read(Workspace, (yield from call(_DISABLE, request)).workspace)

    @operation
    def enable(self, workspace: str) -> Flow[Workspace]:
        """Enable a workspace again."""
        request = pb.EnableWorkspaceRequest(name=(yield from self._names.workspace(workspace)))
        return read(Workspace, (yield from call(_ENABLE, request)).workspace)

    @operation
    def delete(self, workspace: str) -> Flow[Workspace]:
        """Delete a disabled workspace with all that is in it; returns it as it last was."""
        request = pb.DeleteWorkspaceRequest(name=(yield from self._names.workspace(workspace)))
        return read(Workspace, (yield from call(_DELETE, request)).workspace)

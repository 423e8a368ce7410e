"""`client.workspaces`."""

from typing import Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.arguments import WorkspaceAttributes
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import CreatedWorkspace, User, Workspace
from keywright.sdk.values.writing import change, wait_mode, write
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


class Workspaces(NamedSurface[Mode]):
    """The workspaces that the caller may see. One is named by its id or its full name."""

    @operation
    def create(
        self,
        workspace_id: str,
        *,
        admin_email: str = "",
        request_id: str = "",
        **attributes: Unpack[WorkspaceAttributes],
    ) -> Flow[CreatedWorkspace]:
        """Create a workspace, with its first admin if one is named.

        Args:
            workspace_id: the id, chosen by you; never given again.
            admin_email: the first admin's e-mail address; without it there is none.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            attributes: `WorkspaceAttributes`.
        """
        request = pb.CreateWorkspaceRequest(
            workspace=write(workspace_pb2.Workspace, WorkspaceAttributes, attributes),
            workspace_id=workspace_id,
            admin_email=admin_email,
            request_id=request_id,
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
        wait: bool = True,
        request_id: str = "",
        **changes: Unpack[WorkspaceAttributes],
    ) -> Flow[Workspace]:
        """Change a workspace: what is given, and nothing else.

        A policy counts for keys that are created or changed later.

        Args:
            workspace: which; the client's own if not given.
            etag: change it only if this is still its etag.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
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
        request = pb.UpdateWorkspaceRequest(
            workspace=changed, update_mask=mask, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Workspace, (yield from call(_UPDATE, request)).workspace)

    @operation
    def disable(
        self, workspace: str, *, wait: bool = True, request_id: str = ""
    ) -> Flow[Workspace]:
        """Disable a workspace: no credential of its users stands until it is enabled again.

        Args:
            workspace: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.workspace(workspace)
        request = pb.DisableWorkspaceRequest(
            name=name, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Workspace, (yield from call(_DISABLE, request)).workspace)

    @operation
    def enable(self, workspace: str, *, request_id: str = "") -> Flow[Workspace]:
        """Enable a workspace again.

        Args:
            workspace: which.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        request = pb.EnableWorkspaceRequest(
            name=(yield from self._names.workspace(workspace)), request_id=request_id
        )
        return read(Workspace, (yield from call(_ENABLE, request)).workspace)

    @operation
    def delete(self, workspace: str, *, wait: bool = True, request_id: str = "") -> Flow[Workspace]:
        """Delete a disabled workspace with all that is in it; returns it as it last was.

        Args:
            workspace: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.workspace(workspace)
        request = pb.DeleteWorkspaceRequest(
            name=name, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Workspace, (yield from call(_DELETE, request)).workspace)

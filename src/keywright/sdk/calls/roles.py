"""`client.roles`."""

from typing import Unpack

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.arguments import RoleAttributes
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import Role
from keywright.sdk.values.writing import change, wait_mode, write
from keywright.v1 import role_pb2
from keywright.v1 import role_service_pb2 as pb

_SERVICE = "RoleService"
_CREATE = Method(_SERVICE, "CreateRole", pb.CreateRoleResponse)
_GET = Method(_SERVICE, "GetRole", pb.GetRoleResponse)
_LIST = Method(_SERVICE, "ListRoles", pb.ListRolesResponse)
_UPDATE = Method(_SERVICE, "UpdateRole", pb.UpdateRoleResponse)
_DELETE = Method(_SERVICE, "DeleteRole", pb.DeleteRoleResponse)


class Roles(NamedSurface[Mode]):
    """The roles of a workspace. A role is named by its id, in any case, or its full name."""

    @operation
    def create(
        self, role_id: str, request_id: str = "", **attributes: Unpack[RoleAttributes]
    ) -> Flow[Role]:
        """Create a role.

        Args:
            role_id: the id, chosen by you.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            attributes: `RoleAttributes`; its holders may hold no keys unless it says so.
        """
        role = write(role_pb2.Role, RoleAttributes, attributes)
        parent = yield from self._names.workspace()
        request = pb.CreateRoleRequest(
            parent=parent, role=role, role_id=role_id, request_id=request_id
        )
        return read(Role, (yield from call(_CREATE, request)).role)

    @operation
    def get(self, role: str) -> Flow[Role]:
        """Get a role."""
        request = pb.GetRoleRequest(name=(yield from self._names.role(role)))
        return read(Role, (yield from call(_GET, request)).role)

    @listing
    def list(self, *, page_size: int = 0) -> Flow[Listing[Role]]:
        """Iterate over the roles: the built-in ones first, then by id.

        Args:
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        parent = yield from self._names.workspace()
        request = pb.ListRolesRequest(parent=parent, page_size=page_size)
        return Listing(_LIST, request, lambda reply: (read(Role, each) for each in reply.roles))

    @operation
    def update(
        self,
        role: str,
        *,
        etag: str = "",
        wait: bool = True,
        request_id: str = "",
        **changes: Unpack[RoleAttributes],
    ) -> Flow[Role]:
        """Change a role, and at once what everybody who has it may do; only what is given.

        Args:
            role: which.
            etag: change it only if this is still its etag.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
            changes: `RoleAttributes`; what is empty or None is taken away.

        Raises:
            FailedPrecondition: the role is built in.
            Aborted: it was changed since `etag`.
            ValueError: nothing is given.
        """
        name = yield from self._names.role(role)
        changed, mask = change(role_pb2.Role, RoleAttributes, changes, name=name, etag=etag)
        request = pb.UpdateRoleRequest(
            role=changed, update_mask=mask, wait=wait_mode(wait=wait), request_id=request_id
        )
        return read(Role, (yield from call(_UPDATE, request)).role)

    @operation
    def delete(self, role: str, *, wait: bool = True, request_id: str = "") -> Flow[Role]:
        """Delete a role that no user, grant or key has; returns it as it last was.

        Args:
            role: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.role(role)
        request = pb.DeleteRoleRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(Role, (yield from call(_DELETE, request)).role)

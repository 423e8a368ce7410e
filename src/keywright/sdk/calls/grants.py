"""`client.grants`."""

from keywright.sdk.calls.names import NamedSurface
from keywright.sdk.connection.flow import Flow, Listing, Method, Mode, call, listing, operation
from keywright.sdk.values.reading import read
from keywright.sdk.values.results import Grant
from keywright.sdk.values.writing import wait_mode
from keywright.v1 import grant_pb2
from keywright.v1 import grant_service_pb2 as pb

_SERVICE = "GrantService"
_CREATE = Method(_SERVICE, "CreateGrant", pb.CreateGrantResponse)
_GET = Method(_SERVICE, "GetGrant", pb.GetGrantResponse)
_LIST = Method(_SERVICE, "ListGrants", pb.ListGrantsResponse)
_DELETE = Method(_SERVICE, "DeleteGrant", pb.DeleteGrantResponse)


class Grants(NamedSurface[Mode]):
    """Who has which role on which resource. A grant is named by its id or its full name."""

    @operation
    def create(
        self, user: str, resource: str, role: str, *, grant_id: str = "", request_id: str = ""
    ) -> Flow[Grant]:
        """Give a user the permissions of a role on a resource and everything below it.

        Args:
            user: who, by id, e-mail address or full name.
            resource: on what, `projects/abc`.
            role: which, by id or full name.
            grant_id: the id, chosen by you; else one is given.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        grant = grant_pb2.Grant(
            user=(yield from self._names.user(user)),
            resource=resource,
            role=(yield from self._names.role(role)),
        )
        parent = yield from self._names.workspace()
        request = pb.CreateGrantRequest(
            parent=parent, grant=grant, grant_id=grant_id, request_id=request_id
        )
        return read(Grant, (yield from call(_CREATE, request)).grant)

    @operation
    def get(self, grant: str) -> Flow[Grant]:
        """Get a grant."""
        request = pb.GetGrantRequest(name=(yield from self._names.grant(grant)))
        return read(Grant, (yield from call(_GET, request)).grant)

    @listing
    def list(
        self,
        *,
        user: str | None = None,
        resource: str = "",
        role: str | None = None,
        page_size: int = 0,
    ) -> Flow[Listing[Grant]]:
        """Iterate over the grants that match all of what is given, newest first.

        Args:
            user: to this user, by id, e-mail address or full name.
            resource: on exactly this.
            role: of this role.
            page_size: how many to fetch at a time, at most 1,000; the server chooses if 0.
        """
        match = grant_pb2.GrantFilter(
            resource=resource, **(yield from self._names.full({"user": user, "role": role}))
        )
        parent = yield from self._names.workspace()
        request = pb.ListGrantsRequest(parent=parent, filter=match, page_size=page_size)
        return Listing(_LIST, request, lambda reply: (read(Grant, each) for each in reply.grants))

    @operation
    def delete(self, grant: str, *, wait: bool = True, request_id: str = "") -> Flow[Grant]:
        """Take a grant away: when this returns it counts nowhere. Returns it as it last was.

        Args:
            grant: which.
            wait: whether to return only when no replica can act on the old state any more.
            request_id: marks the call, so that it can be repeated; one is made if not given.
        """
        name = yield from self._names.grant(grant)
        request = pb.DeleteGrantRequest(name=name, wait=wait_mode(wait=wait), request_id=request_id)
        return read(Grant, (yield from call(_DELETE, request)).grant)
